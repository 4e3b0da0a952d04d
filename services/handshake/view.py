"""One merchant's webhooks as the System page shows them."""

import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from services.handshake import view_repository as repository

WINDOW = timedelta(hours=24)
MOST = 1000
"""The latest events that are looked at: a page must not cost more the busier the merchant is."""


@dataclass(frozen=True, slots=True)
class EventView:
    """A stored event; `outcome` is empty while it waits."""

    id: str
    type: str
    received_at: datetime
    handled_at: datetime | None
    outcome: str


@dataclass(frozen=True, slots=True)
class TypeCount:
    type: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class IntakeView:
    """The last 24 hours' events that mean something to recovery, at most the latest 1,000 (`is_cut` says so).

    Delays are seconds from receipt to handled, None where nothing was handled.
    """

    received: int
    handled: int
    is_cut: bool
    oldest_waiting_at: datetime | None
    usual_delay: float | None
    longest_delay: float | None
    by_type: tuple[TypeCount, ...]
    recent: tuple[EventView, ...]

    @property
    def waiting(self) -> int:
        return self.received - self.handled


def intake_view(session: Session, merchant_id: str, *, recent: int = 50) -> IntakeView:
    """What came for a merchant and what became of it. System login; events belong to nobody else's merchant."""
    rows = repository.list_recent(session, merchant_id, clock.now() - WINDOW, MOST)
    events = [EventView(row.id, row.type, row.received_at, row.handled_at, row.outcome) for row in rows]
    delays = [(each.handled_at - each.received_at).total_seconds() for each in events if each.handled_at is not None]
    counted = Counter((each.type, each.outcome) for each in events)
    return IntakeView(
        received=len(events),
        handled=len(delays),
        is_cut=len(events) >= MOST,
        oldest_waiting_at=min((each.received_at for each in events if each.handled_at is None), default=None),
        usual_delay=statistics.median(delays) if delays else None,
        longest_delay=max(delays, default=None),
        by_type=tuple(
            TypeCount(kind, outcome, number)
            for (kind, outcome), number in sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
        ),
        recent=tuple(events[:recent]),
    )
