"""All SQL of the dashboard: one row a day, one a currency, never one a ghost."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Table as SqlTable
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.ghost import GhostTarget
from models.merchant import Merchant, MerchantTotals
from models.money import DailyMetrics
from models.work import Hunt, HuntState


def get_merchant(session: Session, merchant_id: str) -> Merchant | None:
    return session.get(Merchant, merchant_id)


def list_totals(session: Session, merchant_id: str) -> Sequence[MerchantTotals]:
    return session.exec(
        select(MerchantTotals).where(MerchantTotals.merchant_id == merchant_id).order_by(col(MerchantTotals.currency))
    ).all()


def list_days(session: Session, merchant_id: str, currency: str, since: date, until: date) -> Sequence[DailyMetrics]:
    """The days from `since` to `until`, both included, that have a row."""
    return session.exec(
        select(DailyMetrics)
        .where(
            DailyMetrics.merchant_id == merchant_id,
            DailyMetrics.currency == currency,
            col(DailyMetrics.day).between(since, until),
        )
        .order_by(col(DailyMetrics.day))
    ).all()


def list_open_by_group(
    session: Session, merchant_id: str, currency: str, states: Sequence[str]
) -> Sequence[tuple[str, int, int]]:
    """(decline group, amount, count) of the ghosts open now, largest amount first."""
    amount = func.sum(GhostTarget.amount_cents)
    statement = (
        select(GhostTarget.decline_group, amount, func.count())
        .where(
            GhostTarget.merchant_id == merchant_id,
            GhostTarget.currency == currency,
            col(GhostTarget.state).in_(states),
        )
        .group_by(col(GhostTarget.decline_group))
        .order_by(amount.desc())
    )
    return [(group, int(total), int(number)) for group, total, number in session.exec(statement)]


def last_hunt_at(session: Session, merchant_id: str) -> datetime | None:
    return session.exec(
        select(Hunt.finished_at)
        .where(Hunt.merchant_id == merchant_id, Hunt.state == HuntState.DONE)
        .order_by(col(Hunt.started_at).desc())
        .limit(1)
    ).first()


def add_to_day(session: Session, key: Mapping[str, object], deltas: Mapping[str, int]) -> None:
    """Add to one day's sums, making the row where there is none."""
    _add(session, DailyMetrics.__table__, key, deltas, {})  # type: ignore[attr-defined]


def add_to_totals(session: Session, key: Mapping[str, object], deltas: Mapping[str, int], now: datetime) -> None:
    """Add to one currency's open totals, making the row where there is none."""
    _add(session, MerchantTotals.__table__, key, deltas, {"updated_at": now})  # type: ignore[attr-defined]


def _add(
    session: Session,
    table: SqlTable,
    key: Mapping[str, object],
    deltas: Mapping[str, int],
    stamps: Mapping[str, object],
) -> None:
    statement = insert(table).values(**key, **deltas, **stamps)
    added = {column: table.c[column] + statement.excluded[column] for column in deltas}
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_={**added, **stamps}))
