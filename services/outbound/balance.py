"""How much of a merchant's usage each day's report carries. Pure."""

from collections.abc import Collection, Mapping
from datetime import date


def reports_due(
    counted: Mapping[date, int], spent: int, closed: Collection[date], days: Collection[date]
) -> dict[date, int]:
    """What to send for which of `days`, the earliest first; never a negative amount, never more than is owed.

    `counted` is each day's net usage in minor units, `spent` all that was ever sent, `closed` the days that have had
    their report. A meter takes nothing negative, so what is known to have gone back is taken from the days before it
    that are still to be sent, and from the days after it. What became known of a day after its report goes into the
    next one.
    """
    up_to = _least_from(counted, days)
    due: dict[date, int] = {}
    for day in sorted(set(days) - set(closed)):
        owed = up_to[day] - spent - sum(due.values())
        if owed > 0:
            due[day] = owed
    return due


def _least_from(counted: Mapping[date, int], days: Collection[date]) -> dict[date, int]:
    """For each day the least that all usage up to it, or up to any later day, sums up to."""
    every = sorted({*counted, *days})
    total, sums = 0, {}
    for day in every:
        total += counted.get(day, 0)
        sums[day] = total
    for day, later in zip(reversed(every[:-1]), reversed(every[1:]), strict=True):
        sums[day] = min(sums[day], sums[later])
    return sums
