"""A merchant's own sender as somebody typed it: read strictly, then asked of the provider before it is kept."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Self

from models.messaging import Channel
from services.integrations.carriers import KeyRefusedError, MessageLaterError, MessageRefusedError, MessageUnknownError
from services.integrations.resend import ResendSender
from services.integrations.twilio import TwilioSender
from services.messaging.addresses import BadAddressError, normal, number
from services.messaging.brands import one_line
from services.messaging.senders.errors import BadSenderError, SenderRefusedError

_RESEND_KEY = re.compile(r"re_[A-Za-z0-9_]{8,200}", re.ASCII)
_ACCOUNT = re.compile(r"AC[0-9a-f]{32}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9]{16,64}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-f]{32}", re.ASCII)
_LINE = re.compile(r"(?P<name>[^<>\"\r\n\\]{0,80})<(?P<address>[^<>\r\n]{3,254})>")


@dataclass(frozen=True, slots=True)
class OwnMail:
    """A Resend key, the From, and what signs the webhooks (empty: none, or as before)."""

    api_key: str = field(repr=False)
    address: str
    webhook_secret: str = field(repr=False, default="")

    @classmethod
    def read(cls, api_key: str, address: str, webhook_secret: str = "") -> Self:
        """Raises `BadSenderError` in words for a person."""
        api_key, webhook_secret = api_key.strip(), webhook_secret.strip()
        if not _RESEND_KEY.fullmatch(api_key):
            raise BadSenderError("A Resend API key begins with re_.")
        if webhook_secret and not _is_svix(webhook_secret):
            raise BadSenderError("A webhook signing secret begins with whsec_ and is long.")
        return cls(api_key, _from_line(address), webhook_secret)

    def check(self) -> None:
        """Ask Resend whether it knows the key. Raises `SenderRefusedError` with its reason, or that it is away."""
        _checked(ResendSender(self.api_key))


@dataclass(frozen=True, slots=True)
class OwnText:
    """A Twilio account, its token, and the number or messaging service to send from."""

    account: str
    auth_token: str = field(repr=False)
    sender: str

    @classmethod
    def read(cls, account: str, auth_token: str, sender: str) -> Self:
        """Raises `BadSenderError` in words for a person."""
        account, auth_token, sender = account.strip(), auth_token.strip(), sender.strip()
        if not _ACCOUNT.fullmatch(account):
            raise BadSenderError("A Twilio account SID is AC and 32 hex digits.")
        if not _TOKEN.fullmatch(auth_token):
            raise BadSenderError("The Twilio auth token is not complete.")
        if not _SERVICE.fullmatch(sender):
            try:
                sender = number(sender)
            except BadAddressError as error:
                raise BadSenderError(
                    f"To send from: a number like +15005550006, or a messaging service (MG…); {error}."
                ) from None
        return cls(account, auth_token, sender)

    def check(self) -> None:
        """Ask Twilio whether it knows the account. Raises as `OwnMail.check` does."""
        _checked(TwilioSender(self.account, self.auth_token))


def _checked(sender: ResendSender | TwilioSender) -> None:
    try:
        sender.check()
    except (KeyRefusedError, MessageRefusedError) as error:
        raise SenderRefusedError(error.detail) from None
    except (MessageLaterError, MessageUnknownError):
        raise SenderRefusedError("The provider does not answer just now. Please try again in a moment.") from None


def _from_line(text: str) -> str:
    """`billing@acme.com`, or with a name before it, in one spelling."""
    text = text.strip()
    match = _LINE.fullmatch(text)
    try:
        address = normal(Channel.EMAIL, match["address"] if match else text)
    except BadAddressError:
        raise BadSenderError("The address to send from is no email address.") from None
    name = one_line(match["name"].encode(errors="ignore").decode(), 80) if match else ""  # half characters are none
    return f'"{name}" <{address}>' if name else address


def _is_svix(secret: str) -> bool:
    try:
        return secret.startswith("whsec_") and len(base64.b64decode(secret[6:], validate=True)) >= 16
    except (binascii.Error, ValueError):
        return False
