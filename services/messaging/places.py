"""Where a message finds its place: inside allowed hours, at the preferred one, within the week's limit. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.merchants.policies import RecoveryPolicy
from services.messaging.advice import Hour
from services.messaging.history import HOLD, History
from services.messaging.hours import Country, at_hour, within_hours, zones_for

WEEK = timedelta(days=7)
LIMIT = "This customer gets at most "
"""How the reason of a plan begins that had to wait for a place."""


def free(at: datetime, taken: Sequence[datetime], most: int) -> datetime:
    """The first moment from `at` on at whose end of seven days fewer than `most` of `taken` (ascending) lie."""
    while True:
        inside = [each for each in taken if at - WEEK < each <= at]
        if len(inside) < most:
            return at
        at = inside[-most] + WEEK


def settled(
    at: datetime,
    country: Country,
    taken: Sequence[datetime],
    policy: RecoveryPolicy,
    due: datetime | None,
    default_zone: str,
    hour: int | None,
) -> datetime:
    """`at` moved into the allowed hours, to the preferred one, and to where the week has a place still.

    A message whose planned moment has come (`due`) was at its hour, whatever made its task late.
    """
    while True:
        legal = within_hours(at, country, policy, default_zone)
        if hour is not None and (due is None or legal > due):
            legal = at_hour(legal, hour, country, policy, default_zone)
        at = free(legal, taken, policy.messages_per_customer_week)
        if at == legal:
            return at


def in_words(at: datetime, country: Country, default_zone: str, hour: Hour | None) -> str:
    """What is special about the moment: the preferred hour, where it could be had."""
    zones = zones_for(country, default_zone)
    if hour is not None and at.astimezone(zones[0]).hour == hour.hour:
        return hour.why
    if isinstance(country, tuple) and len(country) > 1:
        return "when it is daytime where the number is from and at the address"
    return "when it is daytime in the whole country" if len(zones) > 1 else "in the customer's daytime"


def within_limits(
    at: datetime, why: str, history: History, policy: RecoveryPolicy, now: datetime
) -> tuple[datetime, str, bool]:
    """`at` put off while a fresh look holds it, and until the week has a place; why, and whether it had none.

    What is held already stands planned for its next look.
    """
    if history.held:
        planned = history.planned_at
        again = planned if planned is not None and planned > now else now + HOLD
        at, why = max(at, again), f"Held: {history.held}."
    place = free(at, history.week, policy.messages_per_customer_week)
    limited = place > at
    if limited and not history.held:
        why = f"{limit_of(policy)}: it waits for a place."
    return place, why, limited


def limit_of(policy: RecoveryPolicy) -> str:
    """The week's limit in words."""
    most = policy.messages_per_customer_week
    return f"{LIMIT}{most} {'message' if most == 1 else 'messages'} a week"


def waited(history: History, now: datetime) -> bool:
    """Whether the next message was last planned for when it would have a place, and that is still to come, or never."""
    planned = history.planned_at
    return (planned is None or planned > now) and history.planned_why.startswith(LIMIT)


def by_day(
    at: datetime,
    why: str,
    history: History,
    country: Country,
    policy: RecoveryPolicy,
    now: datetime,
    default_zone: str,
    hour: Hour | None,
) -> tuple[datetime, str]:
    """`at` moved to where a message may be read in `country`, and why in a sentence."""
    due = now if history.planned_at is not None and history.planned_at <= now else None
    at = settled(at, country, history.week, policy, due, default_zone, hour.hour if hour else None)
    words = in_words(at, country, default_zone, hour)
    ending = f" Then {words}." if why.endswith(".") else f", {words}."
    return at, why + ending
