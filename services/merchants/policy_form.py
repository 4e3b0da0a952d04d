"""The policy as a person types it: each field read exactly, or refused with the sentence that stands beside it. Pure.

Bounds are those of `RecoveryPolicy` itself, read from it, so that nothing is refused here and taken there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.money import InvalidMoneyError, Money, parse_major, plain_major
from services.merchants.policies import BILLING_REASONS, LONGEST_GRACE, OwnRetries, RecoveryPolicy
from services.merchants.policy_fields import ALERT, GRACE, HIGH_VALUE, NEVER, REASONS, Value, value_of

QUIET_FROM, QUIET_UNTIL = "quiet_from_hour", "quiet_until_hour"
NUMBERS = (
    "cooldown_hours", "messages_per_ghost", "messages_per_customer_week", "window_days", QUIET_FROM, QUIET_UNTIL,
)  # fmt: skip
SWITCHES = ("quiet_first_message", "sms", "protection_mails", "polite_note", "unpaid_has_access")
RETRIES = "own_retries"
_WHOLE = re.compile(r"\d{1,6}", re.ASCII)
_WITHOUT = {HIGH_VALUE: "Leave it empty for the usual one.", ALERT: "Leave it empty for none."}


@dataclass
class Read:
    """What was typed: the decisions by name, and what is wrong with those that cannot be read."""

    values: dict[str, Value] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def names(groups: Iterable[str], currencies: Iterable[str]) -> tuple[str, ...]:
    """Every decision the form asks for, for these decline groups and currencies."""
    return (
        *(f"{GRACE}.{group}" for group in groups),
        *NUMBERS,
        *SWITCHES,
        RETRIES,
        *(f"{REASONS}.{reason}" for reason in BILLING_REASONS),
        *lines(currencies),
    )


def lines(currencies: Iterable[str]) -> tuple[str, ...]:
    """The amounts that are asked for in each currency."""
    return tuple(f"{line}.{currency}" for currency in currencies for line in (HIGH_VALUE, ALERT))


def typed(policy: RecoveryPolicy, asked: Iterable[str]) -> dict[str, str]:
    """What stands in the fields: figures as they are typed, `on` or nothing for a switch, `never` for a line."""
    return {name: as_text(name, value_of(policy, name)) for name in asked}


def as_text(name: str, value: Value) -> str:
    """One decision as it stands in its field."""
    if isinstance(value, bool):
        return "on" if value else ""
    place, _, currency = name.partition(".")
    if place in (HIGH_VALUE, ALERT) and isinstance(value, int):
        return plain_major(Money(value, currency))
    return "" if value is None else str(value)


def read(form: Mapping[str, object], asked: Iterable[str]) -> Read:
    """Every decision asked for. What a browser leaves out is a switch that is off, or a field without words."""
    found = Read()
    for name in asked:
        text = " ".join(str(form.get(name, ""))[:80].split())
        try:
            found.values[name] = _read(name, text)
        except ValueError as error:
            found.problems[name] = str(error)
    _together(found)
    return found


def _read(name: str, text: str) -> Value:
    """Raises `ValueError` with a sentence."""
    place, _, key = name.partition(".")
    if place in SWITCHES or place == REASONS:
        return text == "on"
    if place == RETRIES:
        if text not in tuple(OwnRetries):
            raise ValueError("Choose one of these.")
        return text
    if place in (HIGH_VALUE, ALERT):
        return _line(place, text, key)
    least, most = (0, LONGEST_GRACE) if place == GRACE else bounds(place)
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise ValueError(f"A whole number from {least} to {most}.")
    return int(text)


def _line(place: str, text: str, currency: str) -> Value:
    if not text or (text == NEVER and place == HIGH_VALUE):
        return text or None
    try:
        amount = parse_major(text, currency).amount
    except InvalidMoneyError as error:
        raise ValueError(error.detail) from None
    if amount == 0:
        raise ValueError(f"More than 0. {_WITHOUT[place]}")
    return amount


def _together(found: Read) -> None:
    """What only several fields together can be wrong about."""
    begins, ends = found.values.get(QUIET_UNTIL), found.values.get(QUIET_FROM)
    if isinstance(begins, int) and isinstance(ends, int) and begins >= ends:
        found.problems[QUIET_FROM] = "The last hour must come after the first."
    reasons = [name for name in found.values if name.startswith(f"{REASONS}.")]
    if reasons and not any(found.values[name] for name in reasons):
        found.problems[reasons[0]] = "Choose at least one, or nothing is ever found."


def bounds(name: str) -> tuple[int, int]:
    """The least and the most that a number of the policy may be."""
    rules = RecoveryPolicy.model_fields[name].metadata
    (least,) = (rule.ge for rule in rules if hasattr(rule, "ge"))
    (most,) = (rule.le for rule in rules if hasattr(rule, "le"))
    return int(least), int(most)
