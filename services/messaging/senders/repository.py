"""All SQL of merchants' senders, their webhook addresses, and whom the platform's number wrote to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core.rows import entity, is_one_of
from models.messaging import Channel
from models.sending import MerchantSender, SenderAddress, SenderState, TextedNumber

_SENDER = select(MerchantSender).where(
    MerchantSender.merchant_id == bindparam("merchant_id", type_=String),
    MerchantSender.channel == bindparam("channel", type_=String),
)


def get_sender(session: Session, merchant_id: str, channel: Channel) -> MerchantSender | None:
    return entity(session, _SENDER, merchant_id=merchant_id, channel=channel.value)


def list_senders(session: Session, merchant_id: str) -> Sequence[MerchantSender]:
    return session.exec(
        select(MerchantSender).where(MerchantSender.merchant_id == merchant_id).order_by(MerchantSender.channel)
    ).all()


def put_sender(session: Session, row: dict[str, Any]) -> None:
    """Insert or replace; the webhook address and the day it was made stay, so that nobody configures them anew."""
    changed = {name: value for name, value in row.items() if name not in _KEPT}
    statement = insert(MerchantSender).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "channel"], set_=changed))


_KEPT = ("merchant_id", "channel", "webhook_token", "created_at")


def pause_sender(
    session: Session, merchant_id: str, channel: Channel, key_print: str, reason: str, now: datetime
) -> bool:
    """Pause the sender while it still has that key; False when it was paused already or has another."""
    statement = (
        update(MerchantSender)
        .where(
            col(MerchantSender.merchant_id) == merchant_id,
            col(MerchantSender.channel) == channel,
            col(MerchantSender.key_print) == key_print,
            col(MerchantSender.state) == SenderState.READY,
        )
        .values(state=SenderState.PAUSED, paused_reason=reason, paused_at=now)
        .returning(col(MerchantSender.channel))
    )
    return session.execute(statement).first() is not None


def delete_sender(session: Session, merchant_id: str, channel: Channel) -> bool:
    own = (col(MerchantSender.merchant_id) == merchant_id, col(MerchantSender.channel) == channel)
    gone = session.execute(delete(MerchantSender).where(*own).returning(col(MerchantSender.channel)))
    theirs = (col(SenderAddress.merchant_id) == merchant_id, col(SenderAddress.channel) == channel)
    session.connection().execute(delete(SenderAddress).where(*theirs))
    return gone.first() is not None


def add_address(session: Session, token_hash: str, merchant_id: str, channel: Channel, now: datetime) -> None:
    values = {"token_hash": token_hash, "merchant_id": merchant_id, "channel": channel, "created_at": now}
    session.execute(insert(SenderAddress).values(values).on_conflict_do_nothing())


def get_address(session: Session, token_hash: str) -> SenderAddress | None:
    return session.get(SenderAddress, token_hash)


def list_addresses(session: Session, token_hashes: Sequence[str]) -> list[tuple[str, str]]:
    """(token's hash, channel) of those of these addresses that there are."""
    query = select(SenderAddress.token_hash, SenderAddress.channel)
    return list(session.exec(query.where(is_one_of(col(SenderAddress.token_hash), token_hashes))).all())


def add_texted(session: Session, number_hash: str, merchant_id: str, now: datetime) -> None:
    values = {"number_hash": number_hash, "merchant_id": merchant_id, "created_at": now}
    session.execute(insert(TextedNumber).values(values).on_conflict_do_nothing())


def list_texted(session: Session, number_hashes: Sequence[str]) -> list[tuple[str, str]]:
    """(number, merchant) of those that merchants wrote to."""
    if not number_hashes:
        return []
    query = select(TextedNumber.number_hash, TextedNumber.merchant_id)
    return list(session.exec(query.where(is_one_of(col(TextedNumber.number_hash), number_hashes))).all())
