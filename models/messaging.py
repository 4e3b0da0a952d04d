"""Messages, the links in them, what people did with the links, and who must not be written to."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlmodel import Field

from models.base import Scope, Table, TenantTable, count, enum_text, long_text, optional_utc, utc_column


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"


class MessageState(StrEnum):
    """`sending` is a committed intent: whoever finds one replays it with the same idempotency key."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"  # for good: the address is suppressed
    COMPLAINED = "complained"
    OUTBOX = "outbox"  # no sender is configured: shown, not sent
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


WENT_OUT = (MessageState.SENT, MessageState.DELIVERED, MessageState.BOUNCED, MessageState.COMPLAINED)
"""A provider took it, and nothing worse is known than that it came back."""


class Message(TenantTable, table=True):
    """One slot of a ghost's sequence: (ghost, step) is unique, so nothing can fill it twice. Kept with its ghost."""

    __tablename__ = "messages"

    ghost_id: str = Field(max_length=40)
    customer_id: str = Field(default="", max_length=64)
    step: int = count()
    channel: Channel = enum_text(Channel.EMAIL)
    state: MessageState = enum_text(MessageState.PLANNED)
    reason: str = long_text()
    template: str = Field(default="", max_length=64)
    language: str = Field(default="en", max_length=8)
    recipient: str | None = Field(default=None, max_length=512)  # PII
    sender: str = Field(default="", max_length=512)
    subject: str = long_text()
    html: str = long_text()
    plain: str = long_text()
    unsubscribe_url: str = long_text()
    idempotency_key: str = Field(max_length=80)
    provider: str = Field(default="", max_length=16)
    provider_message_id: str = Field(default="", max_length=128)
    sender_key: str = Field(default="", max_length=16, sa_column_kwargs={"server_default": ""})  # begun with which key
    due_at: datetime = utc_column()
    intent_at: datetime | None = optional_utc()
    sent_at: datetime | None = optional_utc()
    created_at: datetime = utc_column()

    __table_args__ = (
        UniqueConstraint("merchant_id", "ghost_id", "step"),
        Index("ix_messages_recent", "merchant_id", text("created_at desc"), "id"),
        Index("ix_messages_customer", "merchant_id", "customer_id", "intent_at"),
        # Whom a STOP comes from.
        Index("ix_messages_texts", "merchant_id", "recipient", postgresql_where=text("channel = 'sms'")),
        # How the latest ones fared, out of the index alone.
        Index(
            "ix_messages_went_out",
            "merchant_id",
            "channel",
            text("sent_at desc"),
            postgresql_include=["state"],
            postgresql_where=text("state in ('sent', 'delivered', 'bounced', 'complained')"),
        ),
    )


class LinkPurpose(StrEnum):
    PAY = "pay"
    UNSUBSCRIBE = "unsubscribe"


class LinkToken(Table, table=True):
    """What a link's opaque id stands for; two rows a message. Pruned after 60 days once its ghost is forgotten."""

    __tablename__ = "link_tokens"
    scope = Scope.SHARED

    id: str = Field(primary_key=True, max_length=64)
    purpose: LinkPurpose = enum_text(LinkPurpose.PAY)
    merchant_id: str = Field(max_length=40)
    ghost_id: str = Field(max_length=40)
    message_id: str = Field(max_length=40)
    created_at: datetime = utc_column()

    __table_args__ = (Index("ix_link_tokens_message", "merchant_id", "message_id"),)


class ConfirmedBy(StrEnum):
    """How a person showed that they are one."""

    BUTTON = "button"
    PAGE = "page"  # which posts itself after a movement, a touch or a key


class Click(TenantTable, table=True):
    """A click that a person's browser confirmed. A few a message, kept with its ghost."""

    __tablename__ = "clicks"

    ghost_id: str = Field(max_length=40)
    message_id: str = Field(max_length=40)
    confirmed_at: datetime = utc_column()
    confirmed_by: ConfirmedBy = Field(
        default=ConfirmedBy.BUTTON, sa_type=String(16), nullable=False, sa_column_kwargs={"server_default": "button"}
    )
    returned_at: datetime | None = optional_utc()  # this browser came back from Stripe's page with our cookie

    __table_args__ = (Index("ix_clicks_ghost", "merchant_id", "ghost_id"),)


class Suppression(Table, table=True):
    """An address, or a person by any address, not to be written to on a channel; a keyed hash. Kept for good."""

    __tablename__ = "suppressions"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    channel: Channel = Field(primary_key=True, sa_type=String(16))
    address_hash: str = Field(primary_key=True, max_length=64)
    reason: str = Field(default="", max_length=64)
    created_at: datetime = utc_column()
