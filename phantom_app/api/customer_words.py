"""The words of the pages a merchant's customer sees, in the language that PHANTOM writes to them in."""

import functools
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from babel.core import negotiate_locale
from babel.dates import format_date

from core.money import Money, format_money
from services.messaging.languages import DEFAULT_LANGUAGE, LANGUAGES, language_of, unbroken

_WORDS = Path(__file__).parent / "words"
_ASKED = 10


@dataclass(frozen=True, slots=True)
class PageWords:
    """One page's texts, filled in; `button` and what else a page has none of is empty."""

    language: str
    title: str
    heading: str
    lines: tuple[str, ...]
    button: str
    soft: str
    link: str
    help: str


def page_words(
    name: str,
    locale: str = DEFAULT_LANGUAGE,
    merchant: str = "",
    amount: Money | None = None,
    at: datetime | None = None,
) -> PageWords:
    """The words of page `name` in the language of `locale` (`de_AT`). Raises `KeyError` for a page there is not."""
    language = language_of(locale)
    known = _read(language)
    fill = {
        "merchant": merchant or known["nameless"],
        "amount": format_money(amount, locale) if amount else "",
        "date": format_date(at, "long", locale=locale) if at else "",
    }
    page = known[name]

    def said(words: str) -> str:
        text = unbroken(words.format(**fill), language)
        return text if merchant else text[:1].upper() + text[1:]  # a merchant's name keeps its own first letter

    def text(key: str) -> str:
        return said(str(page.get(key, "")))

    return PageWords(
        language=language,
        title=text("title"),
        heading=text("heading"),
        lines=tuple(said(line) for line in page.get("lines", ())),
        button=text("button"),
        soft=text("soft"),
        link=text("link"),
        help=said(known["help"]),
    )


def language_asked_for(header: str | None) -> str:
    """The first language of an Accept-Language header that PHANTOM writes; English for none."""
    asked = [part.partition(";")[0].strip() for part in (header or "").split(",", _ASKED)[:_ASKED]]
    return negotiate_locale([each for each in asked if each], LANGUAGES, sep="-") or DEFAULT_LANGUAGE


@functools.cache
def _read(language: str) -> dict[str, Any]:
    return tomllib.loads((_WORDS / f"{language}.toml").read_text(encoding="utf-8"))
