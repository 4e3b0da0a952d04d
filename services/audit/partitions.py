"""Keeps the partitions of the append-only logs: made two months ahead, dropped once all in them is past its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import true_time
from services.audit import repository

TABLES = ("system_logs", "usage_logs", "audit_log")
_YEARLY = frozenset({"audit_log"})
AHEAD = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round did to one table; `busy` when others held it and the rest waits for the next round."""

    made: int = 0
    dropped: int = 0
    busy: bool = False


def keep(session: Session, table: str, now: datetime) -> Kept:
    """Make and drop what is due at `now` for one of `TABLES`; idempotent, and harmless from two Sentinels at once.

    Rows that found no partition and fell into the default one are moved to where they belong. The caller commits
    each table by itself, so that no lock is held while another is waited for. System login only. The rules (what is
    kept for how long) stand in the migrations' function `keep_partitions`, which acts for the owner. Raises
    `ClockAheadError` when `now` cannot be true.
    """
    true_time.require(session, now)
    return Kept(*repository.keep_partitions(session, table, now))


def missing(session: Session, now: datetime) -> list[str]:
    """Partitions that ought to exist already, for now and a month ahead, and do not. Any login."""
    absent = []
    for table in TABLES:
        there = set(repository.list_partitions(session, table))
        wanted = {_name(table, now), _name(table, now + AHEAD)}
        absent += sorted(wanted - there)
    return absent


def _name(table: str, moment: datetime) -> str:
    return f"{table}_{moment:%Y}_01" if table in _YEARLY else f"{table}_{moment:%Y_%m}"
