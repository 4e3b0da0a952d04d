"""Adding to the day's sums and the open totals, inside the transaction that changes a ghost or the ledger.

Only additions, each one multi-row upsert: two transactions can never read, add and overwrite one another.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from core import clock
from models.merchant import MerchantTotals
from models.money import DailyMetrics


@dataclass
class Changes:
    """What one unit of work adds: per (day, currency) to `daily_metrics`, per currency to `merchant_totals`."""

    days: dict[tuple[date, str], dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    totals: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def day(self, day: date, currency: str, **deltas: int) -> None:
        for column, delta in deltas.items():
            self.days[day, currency][column] += delta

    def total(self, currency: str, **deltas: int) -> None:
        for column, delta in deltas.items():
            self.totals[currency][column] += delta


def apply(session: Session, merchant_id: str, changes: Changes) -> None:
    """Write the changes of one unit of work. Keys are sorted, so that two writers lock rows in the same order."""
    days = [
        {"merchant_id": merchant_id, "day": day, "currency": currency, **deltas}
        for (day, currency), deltas in sorted(changes.days.items())
        if any(deltas.values())
    ]
    for row in days:
        _add(session, DailyMetrics.__table__, row, ("merchant_id", "day", "currency"))  # type: ignore[attr-defined]
    now = clock.now()
    for currency, deltas in sorted(changes.totals.items()):
        if any(deltas.values()):
            row = {"merchant_id": merchant_id, "currency": currency, **deltas}
            table = MerchantTotals.__table__  # type: ignore[attr-defined]
            _add(session, table, row, ("merchant_id", "currency"), updated_at=now)


def _add(session: Session, table: SqlTable, row: dict[str, object], key: tuple[str, ...], **stamps: object) -> None:
    statement = insert(table).values(**row, **stamps)
    added = {column: table.c[column] + statement.excluded[column] for column in row if column not in key}
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_={**added, **stamps}))
