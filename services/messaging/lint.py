"""What is refused in a message, ours or a merchant's own, with line and column. Pure.

A template is one message in one language: `Source` is what a merchant edits, `Target` says where it is used, which
decides what may stand in it. `check` finds everything at once, so that nobody saves five times to learn of five
mistakes.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from services.messaging import lint_promises, lint_words, sms
from services.messaging.languages import LANGUAGES
from services.messaging.markup import Parsed, Place, Problem, fill, parse, problem_at
from services.messaging.wording import AHEAD_TEMPLATES, SINGLE_TEMPLATES, Moment, template_of

EMAIL, SMS = "email", "sms"
# Which variables there are, and whether a message may be without a value for each.
_ALWAYS = {"merchant": False, "amount": False, "name": True, "card": True, "date": True, "when": False}
VARIABLES = {EMAIL: _ALWAYS, SMS: {**_ALWAYS, "pay_link": False, "opt_out": False}}
LONGEST = {"subject": 120, "heading": 120, "body": 2_000, "button": 40}
MOST_PARAGRAPHS = 12
FIELDS = {EMAIL: ("subject", "heading", "body", "button"), SMS: ("body",)}
_MISSING = {
    "subject": "A subject is needed.",
    "heading": "A heading is needed.",
    "body": "There is no text yet.",
    "button": "The button needs a label: it carries the link to pay.",
}
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]{1,12}://\S*|\bwww\.\S+|\bmailto:|\]\(|(?<![@\w.-])(?:[a-z0-9-]{2,63}\.)+[a-z]{2,24}\b(?:[/?#]\S*)?"
)
_HTML = re.compile(r"<[a-z!/?]|&(?:[a-z]{2,8}|#\d{1,6});")
_ONE_BRACE = re.compile(r"(?<!\{)\{\s*(merchant|amount|name|card|date|when|pay_link|opt_out)\s*\}(?!\})")
_BRACES = re.compile(r"\{\{[^{}]*\}\}")
_WORD = re.compile(r"\w+")
# What a text message is measured with: long, but what happens.
_LONG = {"merchant": "Northwind Analytics GmbH", "amount": "1.234.567,89 EUR", "name": "Alexandra", "card": "4242",
         "date": "31.12.2026", "when": "am 31.12.2026",
         "pay_link": "https://pay.northwind.example/r/" + "x" * 43}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """What a merchant writes. An SMS has a body alone."""

    subject: str = ""
    heading: str = ""
    body: str = ""
    button: str = ""

    def normalised(self) -> "Source":
        """Composed letters (NFC), one kind of line end, no space around: what is stored, and what positions count."""
        return Source(*(_normal(getattr(self, name)) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Target:
    """The message a template is for. `decline_group` may be `*`."""

    decline_group: str
    moment: Moment
    channel: str
    language: str

    @property
    def is_last(self) -> bool:
        return self.moment is Moment.LAST or (
            self.decline_group != "*" and template_of(self.decline_group) in SINGLE_TEMPLATES
        )


def check(source: Source, target: Target, opt_out: str = "Reply STOP for no more.") -> tuple[Problem, ...]:
    """Everything that is wrong with a normalised source, by field and place. Empty: it may be used."""
    found: list[Problem] = []
    for field in FIELDS[target.channel]:
        text = getattr(source, field)
        found += [replace(each, field=field) for each in _field(field, text, target, opt_out)]
    return tuple(found)


_OF_ADDRESS = frozenset({"sales", "link", "html"})  # streets have names: a reason may well be one


def check_beside(text: str, *, is_address: bool = False) -> tuple[Problem, ...]:
    """What is wrong with words of the merchant's own that stand below every message: in any language, the last too."""
    found: dict[tuple[int, int], Problem] = {}
    for language in LANGUAGES:
        for each in _said(text, text, Target("*", Moment.LAST, EMAIL, language)):
            if not is_address or each.code in _OF_ADDRESS:
                found.setdefault((each.line, each.column), each)
    return tuple(found[place] for place in sorted(found))


def promises_again(source: Source, target: Target) -> bool:
    """Whether it speaks of another attempt: fine before the last message, never in it."""
    texts = [getattr(source, field) for field in FIELDS[target.channel]]
    said = [_fold(_without_places(text, parse(text, VARIABLES[target.channel])))[0] for text in texts]
    return any(True for text in said for _ in _promised(text, target))


def _promises(target: Target) -> tuple[re.Pattern[str], ...]:
    """What promises another attempt; that money will be taken does so only where it should have been taken already."""
    is_ahead = template_of(target.decline_group) in AHEAD_TEMPLATES
    again = lint_promises.PROMISE[target.language]
    return (again,) if is_ahead else (again, lint_promises.CHARGE[target.language])


def _promised(folded: str, target: Target) -> Iterator[re.Match[str]]:
    """Where another attempt is promised. That there is none is struck out first: it uses a promise's own words."""
    rest = lint_promises.DENIAL[target.language].sub(lambda found: "|" * len(found[0]), folded)
    for pattern in _promises(target):
        yield from pattern.finditer(rest)


def paragraphs(body: str) -> tuple[str, ...]:
    """A body's paragraphs: what stands between empty lines. A single line end is a space."""
    parts = re.split(r"\n[ \t]*\n\s*", body.strip())
    return tuple(re.sub(r"[ \t]*\n[ \t]*", " ", part).strip() for part in parts if part.strip())


def _field(field: str, text: str, target: Target, opt_out: str) -> Iterator[Problem]:
    if not text.strip():
        yield Problem(1, 1, "missing", _MISSING[field])
        return
    if len(text) > LONGEST[field]:
        yield problem_at(text, LONGEST[field], "too_long", f"At most {LONGEST[field]:,} characters fit.")
        return  # the rest would be work without end
    yield from _shape(field, text)
    parsed = parse(text, VARIABLES[target.channel])
    yield from sorted(parsed.problems, key=lambda each: (each.line, each.column))
    yield from _said(_without_places(text, parsed), text, target)
    if target.channel == SMS and not parsed.problems:
        yield from _sms(text, parsed, opt_out)


def _shape(field: str, text: str) -> Iterator[Problem]:
    if field != "body" and "\n" in text:
        yield problem_at(text, text.index("\n"), "line_break", "This is one line.")
    for offset, each in enumerate(text):
        if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and each != "\n":
            yield problem_at(text, offset, "invisible", f"An invisible character (U+{ord(each):04X}) stands here.")
            break
    if field == "body" and len(paragraphs(text)) > MOST_PARAGRAPHS:
        yield Problem(1, 1, "too_long", f"At most {MOST_PARAGRAPHS} paragraphs: people read two.")
    if found := _ONE_BRACE.search(text):
        yield problem_at(text, found.start(), "one_brace", f"Two braces make it a value: {{{{ {found[1]} }}}}.")
    if found := next((word for word in _WORD.finditer(text) if _is_mixed(word[0])), None):
        yield problem_at(text, found.start(), "mixed_letters", "This word mixes letters of two alphabets.")


def _said(masked: str, text: str, target: Target) -> Iterator[Problem]:
    """What the words say. `masked` is the text with its places blanked, letter for letter."""
    folded, origin = _fold(masked)
    rules: list[tuple[re.Pattern[str], str, Callable[[str], str]]] = [
        (_HTML, "html", lambda _: "HTML is not used here; empty lines make paragraphs."),
        (_LINK, "link", lambda said: f"“{said}” reads as a link. Only the link to pay may stand in a message."),
        (lint_words.PRIVATE, "private_reason", lambda said: f"“{said}”: a bank's reason is the customer's own affair."),
        (lint_words.SALES[target.language], "sales", lambda said: f"“{said}” sells; then this is no notice any more."),
        (
            lint_words.CANCELLED[target.language],
            "cancelled",
            lambda said: f"“{said}”: the subscription goes on while its payment is open.",
        ),
    ]
    hits = [(found, code, why) for pattern, code, why in rules for found in pattern.finditer(folded)]
    if target.is_last:
        hits += [
            (found, "promise", lambda said: f"“{said}”: the last message must not promise another attempt.")
            for found in _promised(folded, target)
        ]
    for found, code, why in hits:
        begins, ends = origin[found.start()], origin[max(found.start(), found.end() - 1)] + 1
        if rest := _WORD.match(text, ends):  # the rules know stems; people read words
            ends = rest.end()
        yield problem_at(text, begins, code, why(text[begins:ends][:40]))


def _sms(text: str, parsed: Parsed, opt_out: str) -> Iterator[Problem]:
    names = [place.name for place in parsed.places]
    if "merchant" not in names:
        yield Problem(1, 1, "missing", "Say who writes: {{ merchant }}.")
    if names.count("pay_link") != 1:
        yield Problem(1, 1, "missing", "The link to pay must stand in it once: {{ pay_link }}.")
    if "opt_out" not in names and "STOP" not in text:
        yield Problem(1, 1, "missing", "Say how to stop these messages: {{ opt_out }}.")
    sample = sms.plainer(fill(parsed.pieces, {**_LONG, "opt_out": opt_out}))
    length = sms.length_of(sample)
    if length.segments > sms.MOST_SEGMENTS:
        odd = sms.outside_gsm(sms.plainer(text))
        offset = next((at for at, each in enumerate(text) if sms.plainer(each) in odd), len(text)) if odd else len(text)
        why = f" {' '.join(odd[:8])} halve what fits." if odd else ""
        yield problem_at(text, offset, "too_long", f"It takes {length.segments} segments; two at most.{why}")


def _without_places(text: str, parsed: Parsed) -> str:
    """`text` with all braces blanked but for the words of a default, in the same length."""
    masked = list(_BRACES.sub(lambda found: " " * len(found[0]), text))
    for place in parsed.places:
        masked[place.begins : place.ends] = _blank(text[place.begins : place.ends], place)
    return "".join(masked)


def _blank(written: str, place: Place) -> str:
    if place.default is None:
        return " " * len(written)
    at = written.index(place.default, written.index("default") + len("default"))
    return " " * at + place.default + " " * (len(written) - at - len(place.default))


def _fold(text: str) -> tuple[str, list[int]]:
    """Lower case without accents and invisible characters, and where in `text` each of its letters came from."""
    folded: list[str] = []
    origin: list[int] = []
    for offset, letter in enumerate(text):
        if unicodedata.category(letter) == "Cf":
            continue
        plain = "".join(each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each))
        for each in plain.casefold():
            folded.append("'" if each in "’‘" else " " if each.isspace() else each)
            origin.append(offset)
    return "".join(folded), origin


def _is_mixed(word: str) -> bool:
    """Whether a word has Latin letters beside others: `frаud` with a Cyrillic а reads like a word and is none."""
    if word.isascii():
        return False
    latin = {unicodedata.name(each, "").startswith("LATIN") for each in word if each.isalpha() and each not in "ªº"}
    return len(latin) > 1


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
