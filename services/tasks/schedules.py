"""What every merchant gets how often: facts that the scheduler, the screens and the metrics share."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.clock import from_timestamp
from core.config import settings


@dataclass(frozen=True, slots=True)
class Schedule:
    """A kind of task that every active merchant gets once a period.

    `done_by_connecting`: who connected within the period waits for the next one: connecting did it already, with more
    in it, or there is nothing to do yet. `spread`: each merchant's periods begin at a moment of its own, so that not
    all of them start at once. `after`: how long after the epoch's own periods these begin. `setting`: without which
    nobody gets it.
    """

    kind: str
    every: timedelta
    priority: int = 0
    done_by_connecting: bool = False
    spread: bool = False
    after: timedelta = timedelta()
    setting: str = ""

    @property
    def is_on(self) -> bool:
        """Whether this installation wants it at all."""
        return not self.setting or getattr(settings(), self.setting) is not None

    def slot(self, merchant_id: str, now: datetime) -> int:
        """Which of the merchant's periods `now` is in: the number of the common one, or the one before it."""
        return slot_of(now - self._offset(merchant_id), self.every)

    def begins(self, merchant_id: str, slot: int) -> datetime:
        """When this period of the merchant begins."""
        return from_timestamp(slot * self.every.total_seconds()) + self._offset(merchant_id)

    def _offset(self, merchant_id: str) -> timedelta:
        return self.after + (offset_of(merchant_id, self.every) if self.spread else timedelta())


def offset_of(merchant_id: str, every: timedelta) -> timedelta:
    """How long after the common beginning of a period this merchant's begins: whole seconds, less than `every`.

    A stable hash of the id, which spreads merchants evenly and moves none when others come or go.
    """
    number = int.from_bytes(hashlib.sha256(merchant_id.encode()).digest()[:8])
    return timedelta(seconds=number % int(every.total_seconds()))


HUNT = Schedule("hunt", timedelta(hours=12), priority=-10, done_by_connecting=True, spread=True)
PULSE = Schedule("pulse", timedelta(hours=1))
PURGE = Schedule("purge_pii", timedelta(days=1), priority=-10, spread=True)
DIGEST = Schedule(
    "send_weekly_digest", timedelta(days=7), priority=-10, done_by_connecting=True, after=timedelta(days=3, hours=18)
)
"""Its weeks begin on Sunday, 18:00 UTC (the epoch was a Thursday): where Monday's 8 o'clock comes first, at UTC+14."""
USAGE = Schedule("report_usage", timedelta(days=1), priority=-10, spread=True, setting="usage_meter")
SCHEDULES = (HUNT, PULSE, PURGE, DIGEST, USAGE)
SENTINEL_LOCK = "phantom.sentinel"
"""The advisory lock that the leading Sentinel holds."""


def slot_of(now: datetime, every: timedelta) -> int:
    """Which period since the epoch `now` is in."""
    return int(now.timestamp() // every.total_seconds())


def gathered(now: datetime, every: timedelta, committed: timedelta) -> tuple[int, datetime]:
    """The period `now` is in, and when what gathers in it may be worked on.

    That is once it is over, and as long after as a transaction may take that began in it (`committed`).
    """
    share = slot_of(now, every)
    return share, from_timestamp((share + 1) * every.total_seconds()) + committed


def slot_key(kind: str, merchant_id: str, slot: int) -> str:
    """The idempotency key of a merchant's task of one slot."""
    return f"{kind}:{merchant_id}:{slot}"
