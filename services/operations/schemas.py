"""The platform at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queued:
    """Tasks of one kind that wait: `due` of them now, the oldest for `oldest_seconds` (0 when none is due)."""

    kind: str
    lane: str
    waiting: int
    due: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Platform:
    """What PostgreSQL says. `hunt_lag_seconds` is None while no account is connected."""

    queued: tuple[Queued, ...]
    running: Mapping[str, int]
    dead: Mapping[str, int]
    unhandled_events: int
    intake_lag_seconds: float
    connected_accounts: int
    hunt_lag_seconds: float | None
    leaders: int
