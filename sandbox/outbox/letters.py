"""A mail's own HTML, made fit for a frame: links open in a new tab, and nothing in it runs.

What is in a mail is not trusted. The frame and the response's policy both forbid scripts, forms and navigation of
the page around it; here only links are rewritten, so that a person can click them.
"""

import re
from html import escape
from html.parser import HTMLParser

from markupsafe import Markup

_DROPPED = frozenset(("script", "base", "meta", "iframe", "object", "embed", "link"))
_SAFE_LINK = re.compile(r"\s*(https?:|mailto:|tel:|#)", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s<>\"]+")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; font-src https: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


class _Rewriter(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            return
        if tag not in ("a", "area"):
            self.parts.append(self.get_starttag_text() or "")
            return
        kept = [(name, value) for name, value in attrs if name not in ("target", "rel", "href", "ping", "download")]
        href = dict(attrs).get("href")
        if href and _SAFE_LINK.match(href):
            kept += [("href", href), ("target", "_blank"), ("rel", "noopener noreferrer")]
        words = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in kept)
        self.parts.append(f"<{tag}{words}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _DROPPED:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.parts.append(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self.parts.append(f"<!{decl}>")


def framed(html: str) -> str:
    """The mail with every web link opening a new tab that knows nothing of this one."""
    rewriter = _Rewriter()
    rewriter.feed(html)
    rewriter.close()
    return "".join(rewriter.parts)


def linked(text: str) -> Markup:
    """Plain text, escaped, with its web addresses as links."""
    parts, position = [], 0
    for match in _LINK.finditer(text):
        url = match[0].rstrip(".,;:!?)")
        shown = escape(url)
        parts.append(escape(text[position : match.start()]))
        parts.append(f'<a href="{shown}" target="_blank" rel="noopener">{shown}</a>')
        position = match.start() + len(url)
    return Markup("".join([*parts, escape(text[position:])]))  # noqa: S704 - every part is escaped above
