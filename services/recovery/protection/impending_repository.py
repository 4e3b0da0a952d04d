"""SQL about ghosts whose charge has not failed yet; every statement names the merchant."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, String, bindparam, func, text
from sqlmodel import Session, col, select

from core.rows import entities, read
from models.ghost import GhostKind, GhostState, GhostTarget
from models.money import Recovery, RecoveryKind

_WATCHED = text("""
select subscription_id from ghost_targets
where merchant_id = :merchant_id and subscription_id = any(:ids) and state = 'impending'
""")
_WATCHED_OF_CUSTOMER = text("""
select subscription_id from ghost_targets
where merchant_id = :merchant_id and customer_id = :customer_id and state = 'impending' order by id
""")
_OVERDUE = text("""
select subscription_id from ghost_targets
where merchant_id = :merchant_id and state = 'impending' and charge_at < :before order by id limit :limit
""")
_EXPECTED = text("""
select id, subscription_id from ghost_targets
where merchant_id = :merchant_id and id > :after and state = 'impending' and charge_at > :now and found_at < :now
order by id limit :limit
""")
_IMPENDING = (
    select(GhostTarget)
    .where(
        GhostTarget.merchant_id == bindparam("merchant_id", type_=String),
        col(GhostTarget.subscription_id) == func.any(bindparam("ids", type_=ARRAY(String))),
        GhostTarget.kind == GhostKind.IMPENDING,
    )
    .order_by(col(GhostTarget.id))
    .with_for_update()
    .execution_options(populate_existing=True)
)


def watched(session: Session, merchant_id: str, subscription_ids: Sequence[str]) -> set[str]:
    """Those of the subscriptions whose next charge stands at risk; nothing is locked."""
    found = read(session, _WATCHED, merchant_id=merchant_id, ids=list(subscription_ids)).scalars()
    return {subscription_id for subscription_id in found if subscription_id}


def watched_of_customer(session: Session, merchant_id: str, customer_id: str) -> list[str]:
    """The subscriptions of a customer whose next charge stands at risk."""
    found = read(session, _WATCHED_OF_CUSTOMER, merchant_id=merchant_id, customer_id=customer_id).scalars()
    return [subscription_id for subscription_id in found if subscription_id]


def followed_of_customer(session: Session, merchant_id: str, customer_id: str, since: datetime) -> list[str]:
    """Those of a customer's subscriptions at risk of whose coming charge the link was followed since."""
    found = session.exec(
        select(GhostTarget.subscription_id)
        .where(
            GhostTarget.merchant_id == merchant_id,
            GhostTarget.customer_id == customer_id,
            GhostTarget.state == GhostState.IMPENDING,
            col(GhostTarget.last_clicked_at) >= since,
        )
        .order_by(col(GhostTarget.id))
    )
    return [subscription_id for subscription_id in found if subscription_id]


def list_of_customer(session: Session, merchant_id: str, customer_id: str) -> list[GhostTarget]:
    """The ghosts of a customer whose charge stands at risk."""
    statement = select(GhostTarget).where(
        GhostTarget.merchant_id == merchant_id,
        GhostTarget.customer_id == customer_id,
        GhostTarget.state == GhostState.IMPENDING,
    )
    return list(session.exec(statement.order_by(col(GhostTarget.id))))


def lock_impending(session: Session, merchant_id: str, subscription_ids: Sequence[str]) -> list[GhostTarget]:
    """What never failed of these subscriptions, at risk and made safe, the latest charge first; locked."""
    found = entities(session, _IMPENDING, merchant_id=merchant_id, ids=list(subscription_ids))
    return sorted(found, key=lambda ghost: ghost.charge_at or ghost.found_at, reverse=True)


def list_overdue(session: Session, merchant_id: str, charged_before: datetime, limit: int) -> list[str]:
    """Subscriptions whose charge was due before and of whose outcome nobody told, the oldest ghost first."""
    found = read(session, _OVERDUE, merchant_id=merchant_id, before=charged_before, limit=limit).scalars()
    return [subscription_id for subscription_id in found if subscription_id]


def expected(session: Session, merchant_id: str, now: datetime, limit: int) -> Iterator[list[str]]:
    """Subscriptions whose charge was known at `now` to be at risk and to come; `limit` at a time."""
    after: str | None = ""
    while after is not None:
        rows = read(session, _EXPECTED, merchant_id=merchant_id, now=now, limit=limit, after=after).all()
        after = rows[-1].id if len(rows) == limit else None
        yield [row.subscription_id for row in rows if row.subscription_id]


def protected_amount(session: Session, ghost: GhostTarget) -> int:
    """What the ledger says was protected of a ghost, minor units."""
    statement = select(func.coalesce(func.sum(Recovery.amount_cents), 0)).where(
        Recovery.merchant_id == ghost.merchant_id,
        Recovery.ghost_id == ghost.id,
        Recovery.kind == RecoveryKind.PROTECTED,
    )
    return int(session.exec(statement).one())
