"""All SQL of presence: who was seen when, and what that says of ghosts."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, literal, text, update
from sqlalchemy import select as sql_select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core.rows import is_one_of, read
from models.ghost import COLLECTIBLE_STATES, GhostTarget
from models.presence import Presence

# Who may still use the product though they owe: as the dashboard's partial index has them.
PRESENT_STATES = sorted(COLLECTIBLE_STATES)

_LAST_SEEN = text(
    "select customer_id, last_seen_at from presence where merchant_id = :merchant_id and customer_id = any(:customers)"
)


def put(session: Session, merchant_id: str, seen: Mapping[str, datetime], step: timedelta) -> None:
    """Keep when each customer was seen; who was seen less than `step` later than known is left alone."""
    statement = insert(Presence).values(
        [
            {"merchant_id": merchant_id, "customer_id": customer_id, "first_seen_at": at, "last_seen_at": at}
            for customer_id, at in sorted(seen.items())  # in order: two writers of the same customers wait in a row
        ]
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["merchant_id", "customer_id"],
            set_={"last_seen_at": statement.excluded.last_seen_at},
            where=statement.excluded.last_seen_at >= col(Presence.last_seen_at) + step,
        )
    )


def last_seen(session: Session, merchant_id: str, customer_ids: Sequence[str]) -> dict[str, datetime]:
    """When each of these customers was last seen; those never seen are left out."""
    return dict(read(session, _LAST_SEEN, merchant_id=merchant_id, customers=list(customer_ids)).all())


def owing(session: Session, merchant_id: str, customer_ids: Sequence[str]) -> set[str]:
    """Those of these customers who have an unpaid ghost."""
    rows = session.exec(
        select(GhostTarget.customer_id).where(
            GhostTarget.merchant_id == merchant_id,
            is_one_of(GhostTarget.customer_id, customer_ids),
            col(GhostTarget.state).in_(PRESENT_STATES),
        )
    )
    return {customer_id for customer_id in rows if customer_id}


def mark_ghosts(session: Session, merchant_id: str, customer_id: str, at: datetime, step: timedelta) -> None:
    """Carry a sighting over to the customer's unpaid ghosts."""
    known = col(GhostTarget.last_presence_at)
    session.connection().execute(
        update(GhostTarget)
        .where(
            col(GhostTarget.merchant_id) == merchant_id,
            col(GhostTarget.customer_id) == customer_id,
            col(GhostTarget.state).in_(PRESENT_STATES),
            known.is_(None) | (known + step <= at),
        )
        .values(last_presence_at=at)
    )


def has_any(session: Session, merchant_id: str) -> bool:
    """Whether anybody was ever seen (and not forgotten since)."""
    return (
        session.exec(select(Presence.customer_id).where(Presence.merchant_id == merchant_id).limit(1)).first()
        is not None
    )


def count_active(session: Session, merchant_id: str, currency: str, since: datetime) -> tuple[int, int]:
    """(customers, amount open) of unpaid ghosts in a currency whose customer was seen since. Reads theirs alone."""
    customers, amount = session.execute(active_statement(merchant_id, currency, since)).one()
    return int(customers), int(amount)


def active_statement(merchant_id: str, currency: str, since: datetime) -> Select[int, int]:
    # no parameters: the index is a partial one
    states = [literal(state.value, literal_execute=True) for state in PRESENT_STATES]
    customers = func.count(func.distinct(GhostTarget.customer_id))
    amount = func.coalesce(func.sum(GhostTarget.amount_cents), 0)
    return sql_select(customers, amount).where(
        col(GhostTarget.merchant_id) == merchant_id,
        col(GhostTarget.currency) == currency,
        col(GhostTarget.state).in_(states),
        col(GhostTarget.last_presence_at) >= since,
    )


def forget(session: Session, merchant_id: str, customer_ids: Sequence[str]) -> None:
    """Remove what is known of these customers' use."""
    session.connection().execute(
        delete(Presence).where(col(Presence.merchant_id) == merchant_id, is_one_of(Presence.customer_id, customer_ids))
    )


def prune(session: Session, merchant_id: str, before: datetime, limit: int) -> int:
    """Remove up to `limit` customers not seen since `before`; how many."""
    old = (
        select(Presence.customer_id)
        .where(Presence.merchant_id == merchant_id, col(Presence.last_seen_at) < before)
        .order_by(col(Presence.last_seen_at))
        .limit(limit)
    )
    gone = delete(Presence).where(
        col(Presence.merchant_id) == merchant_id, col(Presence.customer_id).in_(old.scalar_subquery())
    )
    return int(session.connection().execute(gone).rowcount)
