// What is wrong with a mail as it is shown right now: a list of sentences. `action` and `wayOut` are addresses that its
// button and its way out must lead to; an empty `wayOut` asks for none.
({ action, wayOut }) => {
  const TEXT = 4.5, EDGE = 3, SMALLEST = 12, FINGER = 40; // WCAG 2.2, 1.4.3 and 1.4.11; pixels
  const NARROWEST = 120, MOST_LINES = 6, ICON = 16;
  const wrong = [];

  const read = (colour) => {
    const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
    return { parts: [red, green, blue], alpha };
  };
  const over = (top, below) => top.parts.map((part, at) => part * top.alpha + below[at] * (1 - top.alpha));
  const linear = (part) => (part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  // What is painted behind an element, its own background included.
  const ground = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (style.backgroundImage !== "none") wrong.push(`a picture lies behind "${element.innerText}"`);
      if (style.opacity !== "1") wrong.push(`"${element.innerText}" is see-through`);
      const layer = read(style.backgroundColor);
      layers.push(layer);
      if (layer.alpha === 1) return layers.reverse().reduce((below, top) => over(top, below), [0, 0, 0]);
    }
    wrong.push(`nothing of the mail's own lies behind "${element.innerText}"`);
    return [255, 255, 255];
  };
  const within = (box, what) => {
    if (box.left < -0.5 || box.right > innerWidth + 0.5) {
      wrong.push(`${what} reaches from ${box.left.toFixed(0)} to ${box.right.toFixed(0)} of ${innerWidth} pixels`);
    }
  };
  const cut = (element, box) => {
    for (let each = element; each && each !== document.body; each = each.parentElement) {
      if (getComputedStyle(each).overflow === "visible") continue;
      const frame = each.getBoundingClientRect();
      if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.bottom > frame.bottom + 0.5) return true;
    }
    return false;
  };
  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true });

  const readable = (element, text, box) => {
    const style = getComputedStyle(element), behind = ground(element);
    const ratio = contrast(over(read(style.color), behind), behind);
    if (ratio < TEXT) wrong.push(`"${text}" has a contrast of ${ratio.toFixed(2)}`);
    if (parseFloat(style.fontSize) < SMALLEST) wrong.push(`"${text}" is ${style.fontSize} small`);
    within(box, `"${text}"`);
    if (box.width < NARROWEST && box.height > MOST_LINES * parseFloat(style.fontSize) * 1.6) {
      wrong.push(`"${text}" is squeezed into ${box.width.toFixed(0)} pixels`);
    }
    if (cut(element, box)) wrong.push(`"${text}" is cut off`);
  };

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !isSeen(element) || element.closest("style, script, title")) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    readable(element, text, range.getBoundingClientRect());
    texts += 1;
  }
  if (texts < 3) wrong.push(`it shows only ${texts} texts`);
  for (const picture of document.images) {
    const box = picture.getBoundingClientRect();
    if (!picture.alt) wrong.push("a picture says nothing to whom it is blocked for");
    readable(picture, picture.alt, box);
    // The words that stand for a blocked picture are cut at its edge, of which the browser tells nothing.
    const words = document.createElement("div"), style = getComputedStyle(picture);
    Object.assign(words.style, { font: style.font, lineHeight: style.lineHeight, width: `${picture.width - ICON}px` });
    words.style.overflowWrap = "anywhere";
    words.textContent = picture.alt;
    document.body.append(words);
    if (words.offsetHeight > box.height) wrong.push(`"${picture.alt}" is cut off`);
    words.remove();
  }
  if (document.documentElement.scrollWidth > innerWidth) {
    wrong.push(`it is ${document.documentElement.scrollWidth} wide on ${innerWidth} pixels`);
  }

  const seenLinks = (address) => [...document.links].filter((each) => each.getAttribute("href") === address && isSeen(each));
  const buttons = seenLinks(action);
  if (buttons.length !== 1) wrong.push(`${buttons.length} buttons can be seen`);
  for (const button of buttons) {
    button.scrollIntoView({ block: "center" });
    const box = button.getBoundingClientRect(), cell = button.closest("td") ?? button;
    within(box, "the button");
    if (box.height < FINGER || box.width < FINGER) wrong.push(`the button is ${box.width} by ${box.height} pixels`);
    if (button.scrollWidth > button.clientWidth + 1) wrong.push("the button's label does not fit into it");
    if (!button.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2))) {
      wrong.push("something lies over the button");
    }
    const around = ground(cell.parentElement), style = getComputedStyle(cell);
    const edge = parseFloat(style.borderTopWidth) ? contrast(read(style.borderTopColor).parts, around) : 0;
    const stands = Math.max(edge, contrast(ground(button), around));
    if (stands < EDGE) wrong.push(`the button stands out by ${stands.toFixed(2)}`);
  }
  if (wayOut && seenLinks(wayOut).length !== 1) wrong.push("no way out can be seen");

  const left = document.body.innerText.match(/\{\{|\}\}|\{%|%\}|\{[a-z_]+\}|\b(?:None|undefined|nan)\b/);
  if (left) wrong.push(`"${left[0]}" is left in its text`);
  return [...new Set(wrong)];
}
