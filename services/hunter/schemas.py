"""What a hunt is asked for, and what it tells."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HuntRequest:
    """A window of invoice creation times (UTC; None is unbounded) and what started the hunt.

    `audit` also lists uncollectible invoices, `backfill_billing` the last 30 days' paid ones.
    """

    trigger: str = "schedule"
    since: datetime | None = None
    until: datetime | None = None
    audit: bool = False
    backfill_billing: bool = False


@dataclass(frozen=True, slots=True)
class LookBack:
    """Since when (UTC) a hunt lists what gave payments back; None: there is no recovery that could have gone back."""

    refunds: datetime | None = None
    disputes: datetime | None = None


@dataclass(frozen=True, slots=True)
class HuntProgress:
    """A hunt as the screens show it; `seconds` is wall time of the machine, counts are objects and requests."""

    id: str
    state: str
    trigger: str
    sweep: str
    listed: int
    found: int
    updated: int
    unreadable: int
    requests: int
    seconds: float
    error: str
    started_at: datetime
    finished_at: datetime | None
