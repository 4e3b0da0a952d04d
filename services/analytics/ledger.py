"""Adding to the day's sums and to what stands open, inside the transaction that changes a ghost or the ledger.

Only additions, to the rows of a shard that the transaction holds (`services/analytics/shards.py` says why): two
transactions never read, add and overwrite one another, nor wait for each other's rows.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session

from core import clock
from models.merits import MeritKind
from models.money import RecoveryKind
from services.analytics import repository, shards

_Sums = dict[str, int]


def _sums() -> _Sums:
    return defaultdict(int)


@dataclass
class Changes:
    """What one unit of work adds: per (day, currency), per currency, per (currency, decline group), by mechanism."""

    days: dict[tuple[date, str], _Sums] = field(default_factory=lambda: defaultdict(_sums))
    totals: dict[str, _Sums] = field(default_factory=lambda: defaultdict(_sums))
    groups: dict[tuple[str, str], _Sums] = field(default_factory=lambda: defaultdict(_sums))
    merits: dict[tuple[date, str, MeritKind, str], _Sums] = field(default_factory=lambda: defaultdict(_sums))

    def day(self, day: date, currency: str, **deltas: int) -> None:
        _add(self.days[day, currency], deltas)

    def total(self, currency: str, **deltas: int) -> None:
        _add(self.totals[currency], deltas)

    def group(self, currency: str, decline_group: str, **deltas: int) -> None:
        _add(self.groups[currency, decline_group], deltas)

    def entry(self, day: date, currency: str, kind: RecoveryKind, mechanism: str, amount: int) -> None:
        """Count an entry of the ledger, of `amount` in minor units, for the mechanism it names."""
        if kind == RecoveryKind.REVERSED:
            return  # what went back is nobody's merit
        merit, times = MeritKind.RECOVERED, 1
        if kind == RecoveryKind.PROTECTED:
            merit = MeritKind.PROTECTED if amount >= 0 else MeritKind.FAILED
        elif kind == RecoveryKind.CREDITED and amount < 0:  # it is another mechanism's, whose entry comes with this
            times = -1
        _add(self.merits[day, currency, merit, mechanism], {"amount_cents": amount, "times": times})


def _add(sums: _Sums, deltas: _Sums) -> None:
    for column, delta in deltas.items():
        sums[column] += delta


def apply(session: Session, merchant_id: str, changes: Changes) -> None:
    """Write the changes of one unit of work: one statement a table.

    Raises `shards.ShardNotHeldError` when there is something to write and the transaction holds no shard.
    """
    days = {key: sums for key, sums in changes.days.items() if any(sums.values())}
    totals = {key: sums for key, sums in changes.totals.items() if any(sums.values())}
    groups = {key: sums for key, sums in changes.groups.items() if any(sums.values())}
    merits = {key: sums for key, sums in changes.merits.items() if any(sums.values())}
    if not (days or totals or groups or merits):
        return
    mine = {"merchant_id": merchant_id, "shard": shards.written(session, merchant_id)}
    repository.add_to_days(
        session, [({**mine, "day": day, "currency": code}, sums) for (day, code), sums in days.items()]
    )
    repository.add_to_totals(
        session, [({**mine, "currency": code}, sums) for code, sums in totals.items()], clock.now()
    )
    repository.add_to_groups(
        session, [({**mine, "currency": code, "decline_group": group}, sums) for (code, group), sums in groups.items()]
    )
    repository.add_to_merits(
        session,
        [
            ({**mine, "currency": code, "kind": kind, "day": day, "mechanism": mechanism}, sums)
            for (day, code, kind, mechanism), sums in merits.items()
        ],
    )
