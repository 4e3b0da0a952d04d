"""Billing periods: calendar arithmetic from an anchor, as Stripe does it (31 January + 1 month = 28 February)."""

import calendar
from datetime import UTC, datetime, timedelta


def shift(anchor: int, count: int, interval: str) -> int:
    """`anchor` plus `count` intervals, in Unix seconds."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval == "day":
        return int((start + timedelta(days=count)).timestamp())
    if interval == "week":
        return int((start + timedelta(weeks=count)).timestamp())
    months = count * (12 if interval == "year" else 1)
    month_index = start.year * 12 + start.month - 1 + months
    year, month = divmod(month_index, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def next_end(anchor: int, after: int, interval: str, interval_count: int) -> int:
    """The first period boundary counted from `anchor` that lies strictly after `after`."""
    if anchor > after:
        return anchor
    seconds = {"day": 86_400, "week": 604_800, "month": 2_678_400, "year": 31_622_400}[interval] * interval_count
    cycles = max(0, (after - anchor) // seconds)
    while (end := shift(anchor, cycles * interval_count, interval)) <= after:
        cycles += 1
    return end
