"""The platform at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queued:
    """Tasks of one kind that wait, `due` of them now."""

    kind: str
    lane: str
    waiting: int
    due: int


@dataclass(frozen=True, slots=True)
class Platform:
    """What PostgreSQL says. `hunt_lag_seconds` is None while no account is connected.

    `oldest_seconds` is how long the longest waiting due task of a lane waits; a lane without one is missing.
    """

    queued: tuple[Queued, ...]
    oldest_seconds: Mapping[str, float]
    running: Mapping[str, int]
    dead: Mapping[str, int]
    unhandled_events: int
    intake_lag_seconds: float
    connected_accounts: int
    hunt_lag_seconds: float | None
    leaders: int
