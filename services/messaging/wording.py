"""The words of each message, by template, moment and language; written for people, never naming a private reason.

They stand in `words/<language>.toml`. A card that was lost, stolen or blocked for fraud gets the same words as any
card the bank declines. Nothing is sold, so that the message stays transactional, and no step promises another charge.
A 3-D Secure notice is the first message of `authentication`: PRODUCT §4.3 gives both one slot.
"""

import functools
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from services.messaging.languages import DEFAULT_LANGUAGE

_WORDS = Path(__file__).parent / "words"


class Template(StrEnum):
    CONFIRM = "confirm_with_bank"
    TECHNICAL = "technical_fault"
    FUNDS = "payment_did_not_go_through"
    DECLINED = "bank_declined"
    NEW_CARD = "new_card_needed"
    CARD_EXPIRES = "card_expires_soon"
    CARD_MISSING = "card_missing"
    AHEAD = "payment_ahead"
    STOP = "polite_stop"


class Moment(StrEnum):
    """Which of a ghost's messages it is."""

    FIRST = "first"
    REMINDER = "reminder"
    LAST = "last"


CARD_EXPIRES_GROUP, CARD_MISSING_GROUP, AHEAD_GROUP = "card_expiring", "card_missing", "charge_ahead"
STOP_GROUP = "customer_stopped"

TEMPLATE_OF_GROUP: dict[str, Template] = {
    "authentication": Template.CONFIRM,
    "technical": Template.TECHNICAL,
    "funds": Template.FUNDS,
    "issuer_vague": Template.DECLINED,
    "card_data": Template.NEW_CARD,
    "not_usable": Template.NEW_CARD,
    "lost_stolen_fraud": Template.DECLINED,
    "unknown": Template.FUNDS,  # nobody knows whether it was the bank
    STOP_GROUP: Template.STOP,
    CARD_EXPIRES_GROUP: Template.CARD_EXPIRES,
    CARD_MISSING_GROUP: Template.CARD_MISSING,
    AHEAD_GROUP: Template.AHEAD,
}
# One message and no more; the first three are about a payment that has not failed.
AHEAD_TEMPLATES = frozenset({Template.CARD_EXPIRES, Template.CARD_MISSING, Template.AHEAD})
SINGLE_TEMPLATES = AHEAD_TEMPLATES | {Template.STOP}
_PROTECTION = "the protection message"
# Where a person decides, the refused amount (`invalid_amount`) stands in a group of cards: no other card would mend it.
# Where the bank advises against the card, what is said of passing reasons does not fit: another card is asked for.
_OF_STRATEGY: dict[tuple[str, str], Template] = {
    ("not_usable", "high_value_manual"): Template.FUNDS,
    ("funds", "card_refresh"): Template.DECLINED,
    ("unknown", "card_refresh"): Template.DECLINED,
}


@dataclass(frozen=True, slots=True)
class Wording:
    """One message, with its places (`{merchant}`, `{amount}`) still to be filled in by the renderer."""

    subject: str
    heading: str
    lines: tuple[str, ...]
    button: str
    sms: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every message of a language; `greeting` takes `{name}`, the reasons `{merchant}`."""

    greeting: str
    greeting_without_name: str
    nameless: str  # a merchant that has no name
    reason: str
    reason_ahead: str
    safety: str
    unsubscribe: str
    opt_out: str
    test_banner: str
    test_mark: str
    on_date: str
    soon: str  # where no date is known
    about: str  # an amount that is not known to the cent


def template_of(decline_group: str, strategy: str = "") -> Template:
    """The template of a decline group under a strategy; neutral words for a group that is new here."""
    return _OF_STRATEGY.get((decline_group, strategy)) or TEMPLATE_OF_GROUP.get(decline_group, Template.FUNDS)


def is_by_strategy(decline_group: str, strategy: str) -> bool:
    """Whether the strategy asks for other words than its decline group's: those would contradict it."""
    return (decline_group, strategy) in _OF_STRATEGY


def moments_of(template: Template) -> tuple[Moment, ...]:
    """The moments in which a template is sent."""
    return (Moment.FIRST,) if template in SINGLE_TEMPLATES else tuple(Moment)


def moment_of(step: int, last_step: int) -> Moment:
    """Steps count from 1. The first is the first even where it is also the last: nobody was reminded yet."""
    if step <= 1:
        return Moment.FIRST
    return Moment.LAST if step >= last_step else Moment.REMINDER


def called(template: str, step: int) -> str:
    """A message as a merchant reads of it in a sentence; what is said once has a name and no number."""
    return _CALLED.get(template) or f"message {step}"


_CALLED = {
    Template.CARD_EXPIRES.value: _PROTECTION,
    Template.CARD_MISSING.value: _PROTECTION,
    Template.AHEAD.value: _PROTECTION,
    Template.STOP.value: "the polite note",
    # Of no ghost: to members of the merchant's team.
    "alert": "an alert to the team",
    "digest": "the weekly digest",
    "test_message": "a test",
}


def wording(template: Template, moment: Moment, language: str = DEFAULT_LANGUAGE) -> Wording:
    """The words of one message. `language` is one of `LANGUAGES`."""
    entry = _read(language)[template]
    words = entry[moment if moment in moments_of(template) else Moment.FIRST]
    return Wording(words["subject"], words["heading"], tuple(words["lines"]), entry["button"], words["sms"])


def frame(language: str = DEFAULT_LANGUAGE) -> Frame:
    """What stands around a message. `language` is one of `LANGUAGES`."""
    words = _read(language)
    return Frame(**{name: words[name] for name in Frame.__dataclass_fields__})


@functools.cache
def _read(language: str) -> dict[str, Any]:
    return tomllib.loads((_WORDS / f"{language}.toml").read_text(encoding="utf-8"))
