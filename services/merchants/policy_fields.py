"""A policy's decisions one by one, by name: what each is now, what changes it, and how two policies differ. Pure.

What holds many decisions (hours by decline group, lines by currency, kinds of invoices) is one field in a policy and
many here, so that two people who change two of them at the same time do not undo each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.errors import ConflictError
from services.merchants.policies import RecoveryPolicy

Value = int | bool | str | None
NEVER = "never"
"""A high-value line that is switched off."""
GRACE, REASONS, HIGH_VALUE, ALERT = "grace_hours", "billing_reasons", "high_value_lines", "alert_lines"
_MANY = frozenset({GRACE, REASONS, HIGH_VALUE, ALERT})
_FOLLOWS = frozenset({"going_since"})  # from a decision, and is none itself


class PolicyMovedError(ConflictError):
    """`present` holds, by name, the decisions that somebody else has changed meanwhile, as they are now."""

    code, title = "policy_moved", "Somebody else has changed these rules meanwhile"

    def __init__(self, present: dict[str, Value]) -> None:
        super().__init__(f"{', '.join(sorted(present))}: changed meanwhile")
        self.present = present


@dataclass(frozen=True, slots=True)
class Edit:
    """One decision a person changes: what it was when they looked, and what they want."""

    name: str
    seen: Value
    wanted: Value


def value_of(policy: RecoveryPolicy, name: str) -> Value:
    """A decision as it is: `cooldown_hours`, `grace_hours.funds`, `alert_lines.usd`, `billing_reasons.…`.

    Lines are minor units; None where the merchant said nothing, `NEVER` where it switched a line off. Raises
    `AttributeError` for a name that is no decision.
    """
    field, _, key = name.partition(".")
    held = getattr(policy, field)
    if field == REASONS:
        return key in held
    if field == HIGH_VALUE and key in held and held[key] is None:
        return NEVER
    found: Value = held.get(key, 0 if field == GRACE else None) if field in _MANY else held
    return found.value if isinstance(found, StrEnum) else found


def moved(policy: RecoveryPolicy, edits: Iterable[Edit]) -> dict[str, Value]:
    """Those of the decisions that are neither as they were seen nor as they are wanted: as they are now."""
    now = {edit: value_of(policy, edit.name) for edit in edits}
    return {edit.name: value for edit, value in now.items() if value not in (edit.seen, edit.wanted)}


def changes_of(policy: RecoveryPolicy, wanted: Mapping[str, Value]) -> dict[str, Any]:
    """What `merchants.change_policy` has to set so that these decisions are as wanted and all others as they are."""
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        field, _, key = name.partition(".")
        if field not in _MANY:
            changes[field] = value
        elif field == REASONS:
            others = set(changes.get(field, policy.billing_reasons)) - {key}
            changes[field] = sorted(others | {key} if value else others)
        else:
            held = {each: kept for each, kept in changes.get(field, getattr(policy, field)).items() if each != key}
            if value is not None:
                held[key] = None if value == NEVER else value
            changes[field] = held
    return changes


def differences(before: RecoveryPolicy, after: RecoveryPolicy) -> dict[str, dict[str, Value]]:
    """Each decision that is another one now, `from` what `to` what."""
    names = sorted(_names(before) | _names(after))
    pairs = {name: (value_of(before, name), value_of(after, name)) for name in names}
    return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}


def _names(policy: RecoveryPolicy) -> set[str]:
    found: set[str] = set()
    for field in type(policy).model_fields.keys() - _FOLLOWS:
        found |= {f"{field}.{key}" for key in getattr(policy, field)} if field in _MANY else {field}
    return found
