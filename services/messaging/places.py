"""Where a message finds its place: inside the allowed hours, at the preferred one, and within the week's limit. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.merchants.policies import RecoveryPolicy
from services.messaging.advice import Hour
from services.messaging.hours import at_hour, within_hours, zones_for

WEEK = timedelta(days=7)


def free(at: datetime, taken: Sequence[datetime], most: int) -> datetime:
    """The first moment from `at` on at whose end of seven days fewer than `most` of `taken` (ascending) lie."""
    while True:
        inside = [each for each in taken if at - WEEK < each <= at]
        if len(inside) < most:
            return at
        at = inside[-most] + WEEK


def settled(
    at: datetime,
    country: str,
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


def in_words(at: datetime, country: str, default_zone: str, hour: Hour | None) -> str:
    """What is special about the moment: the preferred hour, where it could be had."""
    zones = zones_for(country, default_zone)
    if hour is not None and at.astimezone(zones[0]).hour == hour.hour:
        return hour.why
    return "when it is daytime in the whole country" if len(zones) > 1 else "in the customer's daytime"
