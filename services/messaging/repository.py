"""All SQL of messages, link tokens, clicks and suppressions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.messaging import Channel, Click, LinkToken, Message, MessageState, Suppression


def get_slot(session: Session, merchant_id: str, ghost_id: str, step: int, channel: Channel) -> Message | None:
    """The message in a ghost's slot, locked."""
    return session.exec(
        select(Message)
        .where(
            Message.merchant_id == merchant_id,
            Message.ghost_id == ghost_id,
            Message.step == step,
            Message.channel == channel,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def get_message(session: Session, merchant_id: str, message_id: str, *, lock: bool = False) -> Message | None:
    """A message; with `lock` as it stands once the lock is held, not as this session may have read it before."""
    statement = select(Message).where(Message.merchant_id == merchant_id, Message.id == message_id)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.exec(statement).first()


def count_sent_to_customer(session: Session, merchant_id: str, customer_id: str, since: datetime) -> int:
    """How many messages a customer got since, over all their ghosts; those under way and uncertain ones count."""
    never_went = (MessageState.PLANNED, MessageState.SKIPPED, MessageState.FAILED)
    return session.exec(
        select(func.count())
        .select_from(Message)
        .where(
            Message.merchant_id == merchant_id,
            Message.customer_id == customer_id,
            col(Message.state).not_in(never_went),
            col(Message.intent_at) >= since,
        )
    ).one()


def list_of_ghost(session: Session, merchant_id: str, ghost_id: str) -> Sequence[Message]:
    return session.exec(
        select(Message)
        .where(Message.merchant_id == merchant_id, Message.ghost_id == ghost_id)
        .order_by(col(Message.step), col(Message.id))
    ).all()


def list_recent(session: Session, merchant_id: str, limit: int) -> Sequence[Message]:
    return session.exec(
        select(Message)
        .where(Message.merchant_id == merchant_id)
        .order_by(col(Message.created_at).desc(), col(Message.id))
        .limit(limit)
    ).all()


def latest_text_to(session: Session, merchant_id: str, number: str) -> Message | None:
    """The last text message to a number, while it is known that it went there."""
    return session.exec(
        select(Message)
        .where(Message.merchant_id == merchant_id, Message.recipient == number, Message.channel == Channel.SMS)
        .order_by(col(Message.created_at).desc())
        .limit(1)
    ).first()


def delete_suppression(
    session: Session, merchant_id: str, channel: Channel, address_hashes: Sequence[str], reason: str
) -> bool:
    """Lift a suppression of this reason; False where there was none."""
    own = (col(Suppression.merchant_id) == merchant_id, col(Suppression.channel) == channel)
    wanted = (col(Suppression.address_hash).in_(address_hashes), col(Suppression.reason) == reason)
    gone = session.execute(delete(Suppression).where(*own, *wanted).returning(col(Suppression.address_hash)))
    return gone.first() is not None


def delete_message(session: Session, merchant_id: str, message_id: str) -> None:
    """Forget a message that never went anywhere, and its links."""
    links = (col(LinkToken.merchant_id) == merchant_id, col(LinkToken.message_id) == message_id)
    session.connection().execute(delete(LinkToken).where(*links))
    mine = (col(Message.merchant_id) == merchant_id, col(Message.id) == message_id)
    session.connection().execute(delete(Message).where(*mine))


def empty_of_ghosts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> None:
    """Forget to whom and what these ghosts' messages said, what came of them in words, and their links."""
    theirs = (col(Message.merchant_id) == merchant_id, col(Message.ghost_id).in_(ghost_ids))
    of_them = select(Message.id).where(*theirs)
    session.connection().execute(
        delete(LinkToken).where(col(LinkToken.merchant_id) == merchant_id, col(LinkToken.message_id).in_(of_them))
    )
    session.connection().execute(
        update(Message).where(*theirs).values(recipient=None, html="", plain="", unsubscribe_url="", reason="")
    )


def add_token(session: Session, row: dict[str, Any]) -> None:
    session.execute(insert(LinkToken).values(row))


def get_token(session: Session, token_id: str) -> LinkToken | None:
    return session.get(LinkToken, token_id)


def add_click(session: Session, click: Click) -> None:
    session.add(click)


def get_suppression(session: Session, merchant_id: str, channel: Channel, address_hashes: Sequence[str]) -> str | None:
    """Why one of these addresses is suppressed; None when none is."""
    return session.exec(
        select(Suppression.reason).where(
            Suppression.merchant_id == merchant_id,
            Suppression.channel == channel,
            col(Suppression.address_hash).in_(address_hashes),
        )
    ).first()


def add_suppression(session: Session, row: dict[str, Any]) -> bool:
    """Suppress an address; False when it already was."""
    table = Suppression.__table__  # type: ignore[attr-defined]
    statement = insert(Suppression).values(row).on_conflict_do_nothing().returning(table.c.merchant_id)
    return session.execute(statement).first() is not None
