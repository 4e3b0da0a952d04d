"""All SQL of messages, link tokens, clicks and suppressions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Integer, String, and_, bindparam, delete, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core.rows import entity, read
from models.messaging import Channel, Click, LinkToken, Message, MessageState, Suppression

PROVIDER_MEMORY = timedelta(hours=24)
"""For how long a provider of mail knows an idempotency key."""
STOP_HEARD = "stop_heard"
"""The reason of a suppression whose STOP is stored and not yet acted on: no ghost of theirs says so yet."""
UNREACHABLE, A_PERSONS_NO = ("bounced", "suppressed", "undelivered"), ("unsubscribed", "complained", "stopped")
"""Reasons of a suppression that say something of the address, and those that a person gave."""


class Unsettled(NamedTuple):
    """A slot that is on its way, or that nobody got. `taken`: the provider had accepted it before it failed."""

    ghost_id: str
    step: int
    state: str
    channel: str
    recipient: str | None
    taken: bool


NEVER_GOT = (MessageState.FAILED, MessageState.BOUNCED)
"""What a provider refused, could not deliver, or had back for good: it counts against nobody's limits."""
_NEVER_WENT = [state.value for state in (MessageState.PLANNED, MessageState.SKIPPED, *NEVER_GOT)]


# Thousands of hashes go as one text: quoting each as an array's element takes longer than to look them up.
_SUPPRESSED = text("""
select address_hash, reason from suppressions
where merchant_id = :merchant_id and channel = :channel and address_hash = any(string_to_array(:hashes, ','))
""")
_SAID = text("""
select address_hash, happened_at, state from consents
where merchant_id = :merchant_id and channel = :channel and address_hash = any(string_to_array(:hashes, ','))
order by address_hash, happened_at, state
""")
# Until a provider's answer is written down, a message may be accepted for as long as its key is known there.
_WRITTEN = text("""
select customer_id, moment from (
    select customer_id, coalesce(sent_at, least(:now, intent_at + cast(:memory as interval))) as moment from messages
    where merchant_id = :merchant_id and customer_id = any(:customers) and state <> all(:never)
        and intent_at >= :intended) written
where moment > :since order by moment
""")
_UNSETTLED = text("""
select ghost_id, step, state, channel, recipient, provider_message_id <> '' as taken from messages
where merchant_id = :merchant_id and ghost_id = any(:ghosts) and state in ('failed', 'bounced', 'sending')
""")
_MESSAGE = select(Message).where(Message.merchant_id == bindparam("merchant_id", type_=String))
_LOCKED = {"populate_existing": True}
_BY_ID = _MESSAGE.where(Message.id == bindparam("id", type_=String))
_BY_ID_LOCKED = _BY_ID.with_for_update().execution_options(**_LOCKED)
_SLOT = (
    _MESSAGE.where(
        Message.ghost_id == bindparam("ghost_id", type_=String), Message.step == bindparam("step", type_=Integer)
    )
    .with_for_update()
    .execution_options(**_LOCKED)
)
_TOKEN = select(LinkToken).where(LinkToken.id == bindparam("id", type_=String))
_ADD_TOKEN = text("""
insert into link_tokens (id, purpose, merchant_id, ghost_id, message_id, created_at)
values (:id, :purpose, :merchant_id, :ghost_id, :message_id, :created_at)
""")


def get_slot(session: Session, merchant_id: str, ghost_id: str, step: int) -> Message | None:
    """The message in a ghost's slot, whatever its channel, locked."""
    return entity(session, _SLOT, merchant_id=merchant_id, ghost_id=ghost_id, step=step)


def get_message(session: Session, merchant_id: str, message_id: str, *, lock: bool = False) -> Message | None:
    """A message; with `lock` as it stands once the lock is held, not as this session may have read it before."""
    statement = _BY_ID_LOCKED if lock else _BY_ID
    return entity(session, statement, merchant_id=merchant_id, id=message_id)


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


def customers_texted(session: Session, merchant_id: str, number: str) -> list[str]:
    """Whose ghosts text messages to a number were about, while it is known that they went there."""
    statement = (
        select(Message.customer_id)
        .where(Message.merchant_id == merchant_id, Message.recipient == number, Message.channel == Channel.SMS)
        .distinct()
    )
    return sorted(customer_id for customer_id in session.exec(statement) if customer_id)


def delete_suppression(
    session: Session,
    merchant_id: str,
    channel: Channel,
    address_hashes: Sequence[str],
    reasons: Sequence[str],
    until: datetime,
) -> bool:
    """Lift a suppression of one of these reasons that is not younger than `until`; False where there was none."""
    own = (col(Suppression.merchant_id) == merchant_id, col(Suppression.channel) == channel)
    wanted = (col(Suppression.address_hash).in_(address_hashes), col(Suppression.reason).in_(reasons))
    former = col(Suppression.created_at) <= until
    gone = session.execute(delete(Suppression).where(*own, *wanted, former).returning(col(Suppression.address_hash)))
    return gone.first() is not None


def delete_message(session: Session, merchant_id: str, message_id: str) -> None:
    """Forget a message that never went anywhere, and its links."""
    links = (col(LinkToken.merchant_id) == merchant_id, col(LinkToken.message_id) == message_id)
    session.connection().execute(delete(LinkToken).where(*links))
    mine = (col(Message.merchant_id) == merchant_id, col(Message.id) == message_id)
    session.connection().execute(delete(Message).where(*mine))


def empty_of_ghosts(
    session: Session, merchant_id: str, ghost_ids: Sequence[str], *, links_since: datetime | None = None
) -> None:
    """Forget to whom and what these ghosts' messages said, what came of them in words, and their links.

    Links made from `links_since` on go on working; they name nobody.
    """
    theirs = (col(Message.merchant_id) == merchant_id, col(Message.ghost_id).in_(ghost_ids))
    of_them = select(Message.id).where(*theirs)
    links = [col(LinkToken.merchant_id) == merchant_id, col(LinkToken.message_id).in_(of_them)]
    if links_since is not None:
        links.append(col(LinkToken.created_at) < links_since)
    session.connection().execute(delete(LinkToken).where(*links))
    session.connection().execute(
        update(Message)
        .where(*theirs)
        .values(recipient=None, subject="", html="", plain="", unsubscribe_url="", reason="")
    )


def add_token(session: Session, row: dict[str, Any]) -> None:
    read(session, _ADD_TOKEN, **row)


def get_token(session: Session, token_id: str) -> LinkToken | None:
    return entity(session, _TOKEN, id=token_id)


def add_click(session: Session, click: Click) -> None:
    session.add(click)


def list_suppressed(
    session: Session, merchant_id: str, channel: Channel, address_hashes: Sequence[str]
) -> dict[str, str]:
    """Those of these addresses that are suppressed, each with the reason."""
    if not address_hashes:
        return {}
    rows = read(session, _SUPPRESSED, merchant_id=merchant_id, channel=channel.value, hashes=",".join(address_hashes))
    return dict(rows.all())


def list_last_words(
    session: Session, merchant_id: str, channel: Channel, address_hashes: Sequence[str]
) -> dict[str, tuple[datetime, str]]:
    """When each of these addresses last had a say on the channel, and what; at one moment a no outranks a yes."""
    if not address_hashes:
        return {}
    rows = read(session, _SAID, merchant_id=merchant_id, channel=channel.value, hashes=",".join(address_hashes))
    return {address: (at, state) for address, at, state in rows}


def list_written(
    session: Session, merchant_id: str, customer_ids: Sequence[str], now: datetime, since: datetime
) -> list[tuple[str, datetime]]:
    """(customer, when) of each message these customers may have got since, over all their ghosts, oldest first."""
    if not customer_ids:
        return []
    rows = read(
        session,
        _WRITTEN,
        merchant_id=merchant_id,
        customers=list(customer_ids),
        never=_NEVER_WENT,
        memory=PROVIDER_MEMORY,
        intended=since - PROVIDER_MEMORY,
        now=now,
        since=since,
    )
    return [(customer_id, at) for customer_id, at in rows]


def list_unsettled(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> Sequence[Unsettled]:
    """These ghosts' messages that are on their way, or that nobody got."""
    if not ghost_ids:
        return []
    rows = read(session, _UNSETTLED, merchant_id=merchant_id, ghosts=list(ghost_ids))
    return list(map(Unsettled._make, rows))


def add_suppression(session: Session, row: dict[str, Any]) -> bool:
    """Suppress an address; False when it already was. A STOP that was only heard so far is new to who acts on it.

    So is a person's no to an address that nothing reaches: it closes more than the address, and so is kept instead.
    """
    table = Suppression.__table__  # type: ignore[attr-defined]
    statement = insert(Suppression).values(row)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.merchant_id, table.c.channel, table.c.address_hash],
        set_={"reason": statement.excluded.reason, "created_at": _later(statement)},
        where=or_(
            col(Suppression.reason) == STOP_HEARD,
            and_(col(Suppression.reason).in_(UNREACHABLE), statement.excluded.reason.in_(A_PERSONS_NO)),
        ),
    )
    return session.execute(statement.returning(table.c.merchant_id)).first() is not None


def _later(statement: Any) -> Any:
    return func.greatest(col(Suppression.created_at), statement.excluded.created_at)


def add_heard_stops(session: Session, merchant_id: str, address_hashes: Sequence[str], at: datetime) -> None:
    """Suppress these numbers where they are not yet, and keep when they last said STOP where they are.

    Sorted, because others may add the same.
    """
    table = Suppression.__table__  # type: ignore[attr-defined]
    values = {"merchant_id": merchant_id, "channel": Channel.SMS, "reason": STOP_HEARD, "created_at": at}
    statement = insert(Suppression).values([{**values, "address_hash": each} for each in sorted(set(address_hashes))])
    session.execute(statement.on_conflict_do_update(
        index_elements=[table.c.merchant_id, table.c.channel, table.c.address_hash],
        set_={"created_at": _later(statement)},
    ))  # fmt: skip
