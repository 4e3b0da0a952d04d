"""What every merchant gets how often: facts that the scheduler, the screens and the metrics share."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """A kind of task that every active merchant gets once a period.

    `done_by_connecting`: who connected within the period has had one already, with more in it.
    """

    kind: str
    every: timedelta
    priority: int = 0
    done_by_connecting: bool = False


HUNT = Schedule("hunt", timedelta(hours=12), priority=-10, done_by_connecting=True)
PULSE = Schedule("pulse", timedelta(hours=1))
SCHEDULES = (HUNT, PULSE)
SENTINEL_LOCK = "phantom.sentinel"
"""The advisory lock that the leading Sentinel holds."""


def slot_of(now: datetime, every: timedelta) -> int:
    """Which period since the epoch `now` is in."""
    return int(now.timestamp() // every.total_seconds())


def slot_key(kind: str, merchant_id: str, slot: int) -> str:
    """The idempotency key of a merchant's task of one slot."""
    return f"{kind}:{merchant_id}:{slot}"
