"""What goes into a sender and what Settings shows of it."""

from dataclasses import dataclass, field
from datetime import datetime

from models.messaging import Channel
from models.sending import SenderState


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A rendered message, ready to be handed over. `plain` is all of a text; the rest is for mail."""

    channel: Channel
    merchant_id: str
    message_id: str
    sender: str
    recipient: str = field(repr=False)
    plain: str = field(repr=False)
    subject: str = field(repr=False, default="")
    html: str = field(repr=False, default="")
    reply_to: str = field(repr=False, default="")
    headers: dict[str, str] = field(repr=False, default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a message is begun with: the From it carries, and which key that takes (empty: no sender, the outbox)."""

    line: str
    key_print: str


@dataclass(frozen=True, slots=True)
class SenderView:
    """A merchant's sender as Settings shows it; no secret, only the key's last characters."""

    channel: Channel
    provider: str
    account: str
    address: str
    key_hint: str
    has_webhook_secret: bool
    webhook_url: str
    state: SenderState
    paused_reason: str
    paused_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """Whose webhooks an address takes, and what signs them; several secrets while one is rolled."""

    merchant_id: str
    channel: Channel
    secrets: tuple[str, ...] = field(repr=False)
    account: str = ""
