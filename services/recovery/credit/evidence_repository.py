"""All SQL of what tells whose merit a payment is: clicks, returns from Stripe's pages, and messages that went out."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, String, bindparam, func, or_, text
from sqlmodel import Session, col, select

from core.rows import read
from models.messaging import Click, Message, MessageState

# Nobody read these: no merit. What rests in the outbox went to nobody, though it takes its place in the sequence.
_NEVER_ARRIVED = [
    state.value
    for state in (
        MessageState.PLANNED,
        MessageState.SKIPPED,
        MessageState.FAILED,
        MessageState.BOUNCED,
        MessageState.OUTBOX,
    )
]
_LAST_MESSAGE = text("""
select id, coalesce(sent_at, intent_at) as moment from messages
where merchant_id = :merchant_id and ghost_id = :ghost_id and state <> all(:never)
    and coalesce(sent_at, intent_at) <= :until
order by coalesce(sent_at, intent_at) desc, id desc limit 1
""")
_FROM_OUTBOX = (
    select(Message.id)
    .where(
        Message.merchant_id == Click.merchant_id,
        Message.id == Click.message_id,
        Message.state == MessageState.OUTBOX,
    )
    .exists()
)
_LAST_CLICK = (
    select(Click)
    .where(
        Click.merchant_id == bindparam("merchant_id", type_=String),
        Click.ghost_id == bindparam("ghost_id", type_=String),
        col(Click.confirmed_at) <= bindparam("until", type_=DateTime(timezone=True)),
        or_(bindparam("also_from_outbox", type_=Boolean), ~_FROM_OUTBOX),
    )
    .order_by(col(Click.confirmed_at).desc(), col(Click.id).desc())
    .limit(1)
)


def last_click(
    session: Session, merchant_id: str, ghost_id: str, until: datetime, *, also_from_outbox: bool
) -> Click | None:
    """The latest confirmed click on any of the ghost's links, at `until` or before.

    On a link of what rests in the outbox only if `also_from_outbox`: it went to nobody, so no customer clicked there.
    """
    asked = {"merchant_id": merchant_id, "ghost_id": ghost_id, "until": until, "also_from_outbox": also_from_outbox}
    return session.scalars(_LAST_CLICK, asked).first()


def click_of_message(session: Session, merchant_id: str, ghost_id: str, message_id: str) -> Click | None:
    """The latest confirmed click on the links of one message."""
    return session.exec(
        select(Click)
        .where(Click.merchant_id == merchant_id, Click.ghost_id == ghost_id, Click.message_id == message_id)
        .order_by(col(Click.confirmed_at).desc(), col(Click.id).desc())
        .limit(1)
    ).first()


def clicks_since(session: Session, like: Click, since: datetime) -> int:
    """How many clicks on the links of the same message were confirmed after `since`."""
    same = (
        Click.merchant_id == like.merchant_id,
        Click.ghost_id == like.ghost_id,
        Click.message_id == like.message_id,
    )
    return session.exec(select(func.count()).select_from(Click).where(*same, col(Click.confirmed_at) > since)).one()


def last_message(session: Session, merchant_id: str, ghost_id: str, until: datetime) -> tuple[str, datetime] | None:
    """Id and time of the latest message that may have been read, sent at `until` or before.

    One whose fate is not known counts from its intent, because the customer may have it.
    """
    asked = {"merchant_id": merchant_id, "ghost_id": ghost_id, "until": until, "never": _NEVER_ARRIVED}
    found = read(session, _LAST_MESSAGE, **asked).first()
    return (found.id, found.moment) if found else None
