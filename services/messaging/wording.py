"""The words of each message, by template, moment and language; written for people, never naming a private reason.

They stand in `words/<language>.toml`. A card that was lost, stolen or blocked for fraud gets the same words as any
card the bank declines. Nothing is sold, so that the message stays transactional, and no step promises another charge.
"""

import functools
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from babel.core import Locale, UnknownLocaleError

LANGUAGES = ("en", "de", "es", "fr", "pt")
DEFAULT_LANGUAGE = "en"
_WORDS = Path(__file__).parent / "words"


class Template(StrEnum):
    CONFIRM = "confirm_with_bank"
    TECHNICAL = "technical_fault"
    FUNDS = "payment_did_not_go_through"
    DECLINED = "bank_declined"
    NEW_CARD = "new_card_needed"


class Moment(StrEnum):
    """Which of a ghost's messages it is."""

    FIRST = "first"
    REMINDER = "reminder"
    LAST = "last"


TEMPLATE_OF_GROUP: dict[str, Template] = {
    "authentication": Template.CONFIRM,
    "technical": Template.TECHNICAL,
    "funds": Template.FUNDS,
    "issuer_vague": Template.DECLINED,
    "card_data": Template.NEW_CARD,
    "not_usable": Template.NEW_CARD,
    "lost_stolen_fraud": Template.DECLINED,
    "unknown": Template.DECLINED,
}


@dataclass(frozen=True, slots=True)
class Wording:
    """One message, with `{merchant}` and `{amount}` still to be filled in by the renderer."""

    subject: str
    heading: str
    lines: tuple[str, ...]
    button: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every message of a language; `greeting` takes `{name}`, `reason` takes `{merchant}`."""

    greeting: str
    greeting_without_name: str
    nameless: str  # a merchant that has no name
    reason: str
    safety: str
    unsubscribe: str


def moment_of(step: int, last_step: int) -> Moment:
    """Steps count from 1. The first is the first even where it is also the last: nobody was reminded yet."""
    if step <= 1:
        return Moment.FIRST
    return Moment.LAST if step >= last_step else Moment.REMINDER


def language_of(tag: str) -> str:
    """The language PHANTOM writes to someone whose preferred language Stripe gives as `tag` (BCP 47, e.g. `pt-BR`)."""
    language = tag.replace("_", "-").partition("-")[0].lower()
    return language if language in LANGUAGES else DEFAULT_LANGUAGE


def locale_of(tag: str) -> str:
    """The locale of amounts: the customer's own where PHANTOM writes its language, else the written language's."""
    language = language_of(tag)
    if tag and tag.replace("_", "-").partition("-")[0].lower() == language:
        try:
            return str(Locale.parse(tag.replace("-", "_")))
        except (UnknownLocaleError, ValueError):
            return language
    return "en_US" if language == DEFAULT_LANGUAGE else language


def wording(template: Template, moment: Moment, language: str = DEFAULT_LANGUAGE) -> Wording:
    """The words of one message. `language` is one of `LANGUAGES`."""
    entry = _read(language)[template]
    words = entry[moment]
    return Wording(words["subject"], words["heading"], tuple(words["lines"]), entry["button"])


def frame(language: str = DEFAULT_LANGUAGE) -> Frame:
    """What stands around a message. `language` is one of `LANGUAGES`."""
    words = _read(language)
    return Frame(**{name: words[name] for name in Frame.__dataclass_fields__})


@functools.cache
def _read(language: str) -> dict[str, Any]:
    return tomllib.loads((_WORDS / f"{language}.toml").read_text(encoding="utf-8"))
