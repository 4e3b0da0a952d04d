"""One way out a channel, with one interface: the merchant's key or the platform's, over the vendor's SDK."""

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from core.config import settings
from services.integrations.resend import OutgoingEmail, ResendSender
from services.integrations.twilio import OutgoingText, TwilioSender
from services.messaging.senders.schemas import OutgoingMessage

RESEND_PATH = "/api/webhooks/resend"
TWILIO_PATH = "/api/webhooks/twilio"


class Carrier(Protocol):
    """Whoever carries messages of one channel away.

    `repeats_safely` says that a second hand-over with the same idempotency key is no second message.
    """

    @property
    def name(self) -> str: ...

    @property
    def key_print(self) -> str: ...

    @property
    def rate(self) -> float: ...

    @property
    def own(self) -> bool: ...

    @property
    def paused(self) -> str: ...

    @property
    def repeats_safely(self) -> bool: ...

    def send(self, message: OutgoingMessage, *, idempotency_key: str) -> str:
        """Hand over; the provider's id. Raises what `services.integrations.carriers` lists."""
        ...


@dataclass(frozen=True, slots=True)
class MailCarrier:
    """Mail through Resend with one key."""

    resend: ResendSender
    key_print: str
    own: bool = False
    paused: str = ""
    name: str = "resend"
    repeats_safely: bool = True

    @property
    def rate(self) -> float:
        return settings().resend_rate

    def send(self, message: OutgoingMessage, *, idempotency_key: str) -> str:
        return self.resend.send(
            OutgoingEmail(
                sender=message.sender,
                recipient=message.recipient,
                subject=message.subject,
                html=message.html,
                plain=message.plain,
                reply_to=message.reply_to,
                headers=message.headers,
                tags=message.tags,
            ),
            idempotency_key=idempotency_key,
        )


@dataclass(frozen=True, slots=True)
class TextCarrier:
    """Texts through Twilio as one account. Callbacks say which message they are about in their own address."""

    twilio: TwilioSender
    key_print: str
    token: str = field(repr=False, default="")
    own: bool = False
    paused: str = ""
    name: str = "twilio"
    repeats_safely: bool = False

    @property
    def rate(self) -> float:
        return settings().twilio_rate

    def send(self, message: OutgoingMessage, *, idempotency_key: str) -> str:
        """There is nothing to make a text idempotent with: `idempotency_key` goes unused."""
        callback = callback_url(message.merchant_id, message.message_id, self.token)
        return self.twilio.send(OutgoingText(message.sender, message.recipient, message.plain, callback))


def callback_url(merchant_id: str, message_id: str, token: str) -> str:
    """Where Twilio tells what becomes of a text: signed with the address, so that nobody can name another message."""
    base = f"{settings().public_url}{TWILIO_PATH}"
    if token:
        return f"{base}/{token}?{urlencode({'message': message_id})}"
    return f"{base}?{urlencode({'merchant': merchant_id, 'message': message_id})}"
