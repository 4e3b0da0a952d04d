"""All SQL of what tells whose merit a payment is: clicks, returns from Stripe's pages, and messages that went out."""

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from models.messaging import Click, Message, MessageState

# Nobody read these: no merit. What rests in the outbox went to nobody, though it takes its place in the sequence.
_NEVER_ARRIVED = (
    MessageState.PLANNED,
    MessageState.SKIPPED,
    MessageState.FAILED,
    MessageState.BOUNCED,
    MessageState.OUTBOX,
)


def last_click(session: Session, merchant_id: str, ghost_id: str, until: datetime) -> Click | None:
    """The latest confirmed click on any of the ghost's links, at `until` or before."""
    return session.exec(
        select(Click)
        .where(Click.merchant_id == merchant_id, Click.ghost_id == ghost_id, col(Click.confirmed_at) <= until)
        .order_by(col(Click.confirmed_at).desc(), col(Click.id).desc())
        .limit(1)
    ).first()


def click_of_message(session: Session, merchant_id: str, ghost_id: str, message_id: str) -> Click | None:
    """The latest confirmed click on the links of one message."""
    return session.exec(
        select(Click)
        .where(Click.merchant_id == merchant_id, Click.ghost_id == ghost_id, Click.message_id == message_id)
        .order_by(col(Click.confirmed_at).desc(), col(Click.id).desc())
        .limit(1)
    ).first()


def last_message(session: Session, merchant_id: str, ghost_id: str, until: datetime) -> tuple[str, datetime] | None:
    """Id and time of the latest message that may have been read, sent at `until` or before.

    One whose fate is not known counts from its intent, because the customer may have it.
    """
    at = func.coalesce(Message.sent_at, Message.intent_at)
    found = session.exec(
        select(Message.id, at)
        .where(
            Message.merchant_id == merchant_id,
            Message.ghost_id == ghost_id,
            col(Message.state).not_in(_NEVER_ARRIVED),
            at <= until,
        )
        .order_by(at.desc(), col(Message.id).desc())
        .limit(1)
    ).first()
    return (found[0], found[1]) if found else None
