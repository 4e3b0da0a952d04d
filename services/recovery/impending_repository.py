"""SQL about ghosts whose charge has not failed yet; every statement names the merchant."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from core.rows import is_one_of
from models.ghost import GhostKind, GhostState, GhostTarget
from models.money import Recovery, RecoveryKind


def watched(session: Session, merchant_id: str, subscription_ids: Sequence[str]) -> set[str]:
    """Those of the subscriptions whose next charge stands at risk; nothing is locked."""
    found = session.exec(
        select(GhostTarget.subscription_id).where(
            GhostTarget.merchant_id == merchant_id,
            is_one_of(GhostTarget.subscription_id, subscription_ids),
            GhostTarget.state == GhostState.IMPENDING,
        )
    )
    return {subscription_id for subscription_id in found if subscription_id}


def watched_of_customer(session: Session, merchant_id: str, customer_id: str) -> list[str]:
    """The subscriptions of a customer whose next charge stands at risk."""
    found = session.exec(
        select(GhostTarget.subscription_id)
        .where(
            GhostTarget.merchant_id == merchant_id,
            GhostTarget.customer_id == customer_id,
            GhostTarget.state == GhostState.IMPENDING,
        )
        .order_by(col(GhostTarget.id))
    )
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
    statement = (
        select(GhostTarget)
        .where(
            GhostTarget.merchant_id == merchant_id,
            is_one_of(GhostTarget.subscription_id, subscription_ids),
            GhostTarget.kind == GhostKind.IMPENDING,
        )
        .order_by(col(GhostTarget.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = session.exec(statement).all()
    return sorted(found, key=lambda ghost: ghost.charge_at or ghost.found_at, reverse=True)


def list_overdue(session: Session, merchant_id: str, charged_before: datetime, limit: int) -> list[str]:
    """Subscriptions whose charge was due before and of whose outcome nobody told, the oldest ghost first."""
    found = session.exec(
        select(GhostTarget.subscription_id)
        .where(
            GhostTarget.merchant_id == merchant_id,
            GhostTarget.state == GhostState.IMPENDING,
            col(GhostTarget.charge_at) < charged_before,
        )
        .order_by(col(GhostTarget.id))
        .limit(limit)
    )
    return [subscription_id for subscription_id in found if subscription_id]


def protected_amount(session: Session, ghost: GhostTarget) -> int:
    """What the ledger says was protected of a ghost, minor units."""
    statement = select(func.coalesce(func.sum(Recovery.amount_cents), 0)).where(
        Recovery.merchant_id == ghost.merchant_id,
        Recovery.ghost_id == ghost.id,
        Recovery.kind == RecoveryKind.PROTECTED,
    )
    return int(session.exec(statement).one())
