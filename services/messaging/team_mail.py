"""Mail to a merchant's own people (alerts, the weekly digest): with the platform's key, else into the outbox.

One in the outbox belongs to no ghost, counts for nothing, names no customer (nothing would erase it with them), and is
there for whoever may read messages. At most fifty of a merchant are kept.
"""

import hashlib
from dataclasses import dataclass, field

from sqlmodel import Session

from core import clock, ids
from core.config import settings
from models.messaging import Channel, Message, MessageState
from services.messaging import repository, trials_repository
from services.messaging.senders.schemas import OutgoingMessage

OF_NO_GHOST, KEPT = "team", 50
KIND_TAG = "phantom_kind"


@dataclass(frozen=True, slots=True)
class TeamMail:
    """A rendered mail to one person. `name` makes it one mail, however often it is handed over or kept."""

    name: str
    kind: str
    recipient: str = field(repr=False)
    subject: str
    html: str = field(repr=False)
    plain: str = field(repr=False)


def outgoing(merchant_id: str, mail: TeamMail) -> OutgoingMessage:
    """As a carrier takes it. No tag names a merchant or a message: what its provider tells of it moves nothing."""
    return OutgoingMessage(
        channel=Channel.EMAIL,
        merchant_id=merchant_id,
        message_id=mail.name,
        sender=settings().email_from,
        recipient=mail.recipient,
        plain=mail.plain,
        subject=mail.subject,
        html=mail.html,
        tags={KIND_TAG: mail.kind},
    )


def keep_in_outbox(session: Session, merchant_id: str, mail: TeamMail) -> bool:
    """There is no key: keep it where it can be read. False when it is there already."""
    now, place = clock.now(), f"{OF_NO_GHOST}_{hashlib.sha256(mail.name.encode()).hexdigest()[:32]}"
    if repository.get_slot(session, merchant_id, place, 0) is not None:
        return False
    session.add(
        Message(
            merchant_id=merchant_id,
            id=ids.new_id("msg"),
            ghost_id=place,
            step=0,
            channel=Channel.EMAIL,
            state=MessageState.OUTBOX,
            template=mail.kind,
            recipient=mail.recipient,
            sender=settings().email_from,
            subject=mail.subject,
            html=mail.html,
            plain=mail.plain,
            idempotency_key="",
            due_at=now,
            sent_at=now,
            created_at=now,
        )
    )
    session.flush()
    trials_repository.keep_latest(session, merchant_id, OF_NO_GHOST, KEPT)
    return True
