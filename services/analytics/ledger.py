"""Adding to the day's sums and the open totals, inside the transaction that changes a ghost or the ledger.

Only additions, each one multi-row upsert: two transactions can never read, add and overwrite one another.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session

from core import clock
from services.analytics import repository


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
    for (day, currency), deltas in sorted(changes.days.items()):
        if any(deltas.values()):
            repository.add_to_day(session, {"merchant_id": merchant_id, "day": day, "currency": currency}, deltas)
    now = clock.now()
    for currency, deltas in sorted(changes.totals.items()):
        if any(deltas.values()):
            repository.add_to_totals(session, {"merchant_id": merchant_id, "currency": currency}, deltas, now)
