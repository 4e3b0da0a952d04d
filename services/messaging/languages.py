"""In which language, and in which country's way of writing amounts and dates, somebody is written to. Pure.

What decides, in this order: the language the customer's record at Stripe names, the languages of the customer's
country, the merchant's default, English.
"""

import functools
import re

from babel.core import Locale, UnknownLocaleError
from babel.languages import get_official_languages

LANGUAGES = ("en", "de", "es", "fr", "pt")
DEFAULT_LANGUAGE = "en"
_FRENCH_SPACE = re.compile(r" (?=[;:?!»](?:\s|$))|(?<=«) ")


def language_of(tag: str, country: str = "", default: str = DEFAULT_LANGUAGE) -> str:
    """One of `LANGUAGES`, from a preferred language (BCP 47 as Stripe gives it), a country (ISO 3166) and a default."""
    primary = _primary(tag)
    if primary in LANGUAGES:
        return primary
    spoken = next((each for each in _spoken_in(country.upper()) if each in LANGUAGES), "")
    return spoken or (default if default in LANGUAGES else DEFAULT_LANGUAGE)


def locale_of(tag: str, country: str = "", default: str = DEFAULT_LANGUAGE) -> str:
    """The locale of amounts and dates in a message in `language_of` the same three.

    The customer's own where PHANTOM writes its language; else the written language as their country has it; else the
    written language's own.
    """
    language = language_of(tag, country, default)
    if _primary(tag) == language and (own := _known(tag.replace("-", "_"))):
        return own
    if country and (theirs := _known(f"{language}_{country.upper()}")):
        return theirs
    return "en_US" if language == DEFAULT_LANGUAGE else language


def unbroken(text: str, language: str) -> str:
    """`text` with the space that French puts before a mark held to the word before it: no line begins with `;`."""
    return _FRENCH_SPACE.sub("\u00a0", text) if language == "fr" else text


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


@functools.lru_cache(maxsize=512)
def _known(name: str) -> str:
    """The locale's name as Babel has it; empty where it has none. Tags come from customers: bounded."""
    try:
        return str(Locale.parse(name))
    except (UnknownLocaleError, ValueError, TypeError):
        return ""


@functools.lru_cache(maxsize=512)
def _spoken_in(country: str) -> tuple[str, ...]:
    """The languages of a country, the one most people have first (CLDR's likely subtags, then official ones)."""
    if len(country) != 2 or not country.isascii() or not country.isalpha():
        return ()
    try:
        likely: tuple[str, ...] = (Locale.parse(f"und_{country}").language,)
    except (UnknownLocaleError, ValueError):
        likely = ()
    return (*likely, *get_official_languages(country, de_facto=True))
