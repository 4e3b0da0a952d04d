"""SQL about charges on cards: who made which, and which of ours are due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import DateTime, Integer, String, and_, bindparam, literal, or_, tuple_
from sqlmodel import Session, col, select

from core.rows import read
from models.ghost import GhostTarget
from models.money import UNSETTLED, AttemptSource, AttemptState, PaymentAttempt

_DUE = (
    select(GhostTarget.id, GhostTarget.customer_id, GhostTarget.next_retry_at)
    .where(
        GhostTarget.merchant_id == bindparam("merchant_id", type_=String),
        col(GhostTarget.next_retry_at) <= bindparam("now", type_=DateTime(timezone=True)),
    )
    .order_by(col(GhostTarget.next_retry_at), col(GhostTarget.id))
    .limit(bindparam("most", type_=Integer))
)
_DUE_AFTER = _DUE.where(
    tuple_(col(GhostTarget.next_retry_at), col(GhostTarget.id))
    > tuple_(bindparam("after", type_=DateTime(timezone=True)), bindparam("after_id", type_=String))
)
_IN_VAIN = (AttemptState.DECLINED, AttemptState.GIVEN_UP, AttemptState.UNCERTAIN)


class Near(NamedTuple):
    """A ghost whose next own charge is to be looked at."""

    id: str
    customer_id: str | None
    at: datetime


def list_of_card(
    session: Session, merchant_id: str, card_id: str | None, fingerprint: str, since: datetime
) -> Sequence[PaymentAttempt]:
    """The charges on one card since then, for whichever ghost, oldest first; copies of the card are the same card.

    None of a card of which nothing is known.
    """
    same = [col(PaymentAttempt.payment_method_id) == card_id] if card_id else []
    if fingerprint:
        same.append(
            and_(col(PaymentAttempt.card_fingerprint) == fingerprint, col(PaymentAttempt.card_fingerprint) != "")
        )
    if not same:
        return ()
    statement = select(PaymentAttempt).where(
        PaymentAttempt.merchant_id == merchant_id, or_(*same), col(PaymentAttempt.attempted_at) > since
    )
    return session.exec(statement.order_by(col(PaymentAttempt.attempted_at), col(PaymentAttempt.id))).all()


def is_known_or_ours(session: Session, ghost: GhostTarget) -> bool:
    """Whether the ghost's latest charge stands written down, or is the one of ours that is under way."""
    statement = select(PaymentAttempt.id).where(
        PaymentAttempt.merchant_id == ghost.merchant_id,
        PaymentAttempt.ghost_id == ghost.id,
        or_(
            col(PaymentAttempt.charge_id) == ghost.charge_id,
            and_(col(PaymentAttempt.source) == AttemptSource.PHANTOM, col(PaymentAttempt.state).in_(UNSETTLED)),
        ),
    )
    return session.exec(statement.limit(1)).first() is not None


def begun(session: Session, ghost: GhostTarget) -> PaymentAttempt | None:
    """The latest charge of ours for a ghost of which nobody has written down what came of it."""
    statement = select(PaymentAttempt).where(
        PaymentAttempt.merchant_id == ghost.merchant_id,
        PaymentAttempt.ghost_id == ghost.id,
        PaymentAttempt.source == AttemptSource.PHANTOM,
        col(PaymentAttempt.state).in_(UNSETTLED),
    )
    latest = (col(PaymentAttempt.attempted_at).desc(), col(PaymentAttempt.id).desc())
    return session.exec(statement.order_by(*latest).limit(1)).first()


def declined_cards(session: Session, ghost: GhostTarget) -> frozenset[str]:
    """The cards (Stripe's ids) that were declined for a ghost, whoever charged them."""
    statement = select(PaymentAttempt.payment_method_id).where(
        PaymentAttempt.merchant_id == ghost.merchant_id,
        PaymentAttempt.ghost_id == ghost.id,
        PaymentAttempt.state == AttemptState.DECLINED,
    )
    return frozenset(card for card in (*session.exec(statement), ghost.payment_method_id) if card)


def tried_new_cards(session: Session, merchant_id: str, ghost_id: str) -> frozenset[str]:
    """The cards that came as new ones and had their turn by us, in vain as far as anybody knows."""
    statement = select(PaymentAttempt.payment_method_id).where(
        PaymentAttempt.merchant_id == merchant_id,
        PaymentAttempt.ghost_id == ghost_id,
        PaymentAttempt.source == AttemptSource.PHANTOM,
        col(PaymentAttempt.state).in_(_IN_VAIN),
        col(PaymentAttempt.idempotency_key).startswith(f"pay:{ghost_id}:", autoescape=True),
    )
    return frozenset(card for card in session.exec(statement) if card)


def list_unsettled(
    session: Session, merchant_id: str, begun_before: datetime, taken_before: datetime, limit: int
) -> Sequence[tuple[str, str]]:
    """Ghost and key of charges of ours that were begun, or taken by Stripe, so long ago; nothing is locked."""
    # no parameters: the index is a partial one
    started, processing = (
        literal(state.value, literal_execute=True) for state in (AttemptState.STARTED, AttemptState.PROCESSING)
    )
    begun = and_(col(PaymentAttempt.state) == started, col(PaymentAttempt.attempted_at) < begun_before)
    taken = and_(col(PaymentAttempt.state) == processing, col(PaymentAttempt.attempted_at) < taken_before)
    statement = select(PaymentAttempt.ghost_id, PaymentAttempt.idempotency_key).where(
        PaymentAttempt.merchant_id == merchant_id, PaymentAttempt.source == AttemptSource.PHANTOM, or_(begun, taken)
    )
    return session.exec(statement.order_by(col(PaymentAttempt.attempted_at)).limit(limit)).all()


def list_due(
    session: Session, merchant_id: str, now: datetime, limit: int, after: tuple[datetime, str] | None
) -> list[Near]:
    """Ghosts whose next own charge is to be looked at, oldest first; nothing is locked."""
    asked: dict[str, Any] = {"merchant_id": merchant_id, "now": now, "most": limit}
    if after is not None:
        asked |= {"after": after[0], "after_id": after[1]}
    return [Near(*row) for row in read(session, _DUE if after is None else _DUE_AFTER, **asked)]
