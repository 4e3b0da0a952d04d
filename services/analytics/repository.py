"""All SQL of the sums: a few rows a day and currency, never one a ghost; readers add up the shards.

What the dashboard reads stands in indexes alone (the keys include the sums); a test asks PostgreSQL for its plans.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, literal, text
from sqlalchemy import Table as SqlTable
from sqlmodel import Session, col, select

from core.rows import insert_rows, read
from models.merchant import Merchant, MerchantTotals, OpenLeakage
from models.merits import DailyMerits
from models.money import DailyMetrics
from models.work import Hunt, HuntState
from services.analytics.schemas import DaySums, OpenTotals

_MERITS = text("""
select kind, mechanism, sum(amount_cents)::bigint, sum(times) from daily_merits
where merchant_id = :merchant_id and currency = :currency and day between :since and :until
group by kind, mechanism having sum(times) <> 0
""")
Row = tuple[Mapping[str, object], Mapping[str, int]]  # key and what to add


def get_merchant(session: Session, merchant_id: str) -> Merchant | None:
    return session.get(Merchant, merchant_id)


def list_totals(session: Session, merchant_id: str) -> list[OpenTotals]:
    """What stands open, per currency."""
    statement = (
        select(  # type: ignore[call-overload]  # sqlmodel types four columns at most
            MerchantTotals.currency,
            _sum(MerchantTotals.leakage_cents),
            _sum(MerchantTotals.shadow_leakage_cents),
            _sum(MerchantTotals.impending_leakage_cents),
            _sum(MerchantTotals.recovered_cents),
            _sum(MerchantTotals.protected_cents),
            _sum(MerchantTotals.open_ghosts),
            _sum(MerchantTotals.impending_ghosts),
        )
        .where(MerchantTotals.merchant_id == merchant_id)
        .group_by(col(MerchantTotals.currency))
        .order_by(col(MerchantTotals.currency))
    )
    return [OpenTotals(*row) for row in session.execute(statement)]


def list_days(session: Session, merchant_id: str, currency: str, since: date, until: date) -> list[DaySums]:
    """The days from `since` to `until`, both included, on which something was added."""
    statement = (
        select(  # type: ignore[call-overload]  # as above
            DailyMetrics.day,
            _sum(DailyMetrics.billed_cents),
            _sum(DailyMetrics.found_count),
            _sum(DailyMetrics.found_cents),
            _sum(DailyMetrics.recovered_count),
            _sum(DailyMetrics.recovered_cents),
            _sum(DailyMetrics.reversed_count),
            _sum(DailyMetrics.reversed_cents),
            _sum(DailyMetrics.protected_cents),
            _sum(DailyMetrics.cohort_messaged_count),
            _sum(DailyMetrics.cohort_clicked_count),
            _sum(DailyMetrics.cohort_clicked_recovered_count),
            _sum(DailyMetrics.cohort_recovered_cents),
            _sum(DailyMetrics.cohort_reversed_cents),
        )
        .where(
            DailyMetrics.merchant_id == merchant_id,
            DailyMetrics.currency == currency,
            col(DailyMetrics.day).between(since, until),
        )
        .group_by(col(DailyMetrics.day))
        .order_by(col(DailyMetrics.day))
    )
    return [DaySums(*row) for row in session.execute(statement)]


def list_open_by_group(session: Session, merchant_id: str, currency: str) -> list[tuple[str, int, int]]:
    """(decline group, amount, count) of the ghosts chased now, largest amount first."""
    amount, number = _sum(OpenLeakage.amount_cents), _sum(OpenLeakage.ghosts)
    statement = (
        select(OpenLeakage.decline_group, amount, number)
        .where(OpenLeakage.merchant_id == merchant_id, OpenLeakage.currency == currency)
        .group_by(col(OpenLeakage.decline_group))
        .having(number > 0)
        .order_by(amount.desc(), col(OpenLeakage.decline_group))
    )
    return [(group, total, ghosts) for group, total, ghosts in session.exec(statement)]


def list_merits(
    session: Session, merchant_id: str, currency: str, since: date, until: date
) -> list[tuple[str, str, int, int]]:
    """(kind, mechanism, amount, count) of what these days, both included, came to by mechanism."""
    asked = {"merchant_id": merchant_id, "currency": currency, "since": since, "until": until}
    return list(map(tuple, read(session, _MERITS, **asked)))


def last_hunt_at(session: Session, merchant_id: str) -> datetime | None:
    done = literal(HuntState.DONE.value, literal_execute=True)  # the index is a partial one: no parameter
    return session.exec(
        select(Hunt.finished_at)
        .where(Hunt.merchant_id == merchant_id, col(Hunt.state) == done)
        .order_by(col(Hunt.started_at).desc())
        .limit(1)
    ).first()


def add_to_days(session: Session, rows: Sequence[Row]) -> None:
    """Add to days' sums, making rows where there are none."""
    _add(session, DailyMetrics.__table__, rows)  # type: ignore[attr-defined]


def add_to_totals(session: Session, rows: Sequence[Row], now: datetime) -> None:
    """Add to currencies' open totals, making rows where there are none."""
    _add(session, MerchantTotals.__table__, rows, updated_at=now)  # type: ignore[attr-defined]


def add_to_groups(session: Session, rows: Sequence[Row]) -> None:
    """Add to what is open by decline group, making rows where there are none."""
    _add(session, OpenLeakage.__table__, rows)  # type: ignore[attr-defined]


def add_to_merits(session: Session, rows: Sequence[Row]) -> None:
    """Add to days' sums by mechanism, making rows where there are none."""
    _add(session, DailyMerits.__table__, rows)  # type: ignore[attr-defined]


def _sum(column: Any) -> ColumnElement[int]:
    """PostgreSQL adds 64 bits up to a numeric, which would come as a slow Decimal."""
    return cast(func.sum(column), BigInteger)


def _add(session: Session, table: SqlTable, rows: Sequence[Row], **stamps: object) -> None:
    """One statement for all rows: what a row does not name is added as nothing."""
    columns = sorted({column for _, deltas in rows for column in deltas})
    values = [{**key, **stamps, **{column: deltas.get(column, 0) for column in columns}} for key, deltas in rows]
    key = ", ".join(column.name for column in table.primary_key.columns)
    added = [f"{column} = {table.name}.{column} + excluded.{column}" for column in columns]
    latest = [f"{column} = excluded.{column}" for column in stamps]
    insert_rows(session, table.name, values, conflict=f"({key}) do update set {', '.join(added + latest)}")
