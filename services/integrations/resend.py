"""Email through Resend's own SDK, one key a call, errors from a closed list.

The SDK keeps its key in a module global. Workers send for many merchants, so the key travels in a context variable
and our HTTP client puts it on the request: two threads can never send with each other's key.
"""

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import resend
from resend.exceptions import ResendError

from core.config import settings
from services.integrations.carriers import (
    KeyRefusedError,
    MessageKeyUsedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnfitError,
    MessageUnknownError,
    OutOfQuotaError,
    pause_of,
)

TIMEOUT = (5, 15)
SENDING_ONLY = "restricted_api_key"
SENDER_UNFIT, SECURITY_STOP = "invalid_from_address", 451
"""These speak of one request: its From carries the merchant's name, and the other judges what is in the mail."""
_OF_THE_SENDER = frozenset({401, 403, 404, 405})
"""The key, the domain, what the account may do, or the address this installation asks: no customer's doing."""
QUOTAS = frozenset({"daily_quota_exceeded", "monthly_quota_exceeded"})
_key: contextvars.ContextVar[str] = contextvars.ContextVar("resend_key")


class EmailRefusedError(MessageRefusedError):
    """The provider will not send this message, now or later; nothing was sent."""

    code, title = "email_refused", "The mail provider refused the message"


class EmailKeyRefusedError(EmailRefusedError, KeyRefusedError):
    """The provider does not take the API key, or does not let it send from this domain."""

    code, title = "email_sender_refused", "The mail provider does not accept this sender"


class EmailUnfitError(EmailRefusedError, MessageUnfitError):
    """The provider does not take this From, or sees a danger in the mail: others may well pass with the same key."""

    code, title = "email_unfit", "The mail provider does not take this message as it is"


class EmailLaterError(MessageLaterError):
    """Not taken and safe to try again: a rate limit."""

    code, title = "email_later", "The mail provider asks to try later"


class EmailQuotaError(EmailLaterError, OutOfQuotaError):
    """Not taken: the account's mails of this day or month are used up."""

    code, title = "email_quota", "The mail provider's allowance for this account is used up"


class EmailUnknownError(MessageUnknownError):
    """It is not known whether the message was accepted; only a repeat with the same key can tell."""

    code, title = "email_unknown", "The mail provider did not answer"


class EmailKeyUsedError(MessageKeyUsedError):
    """The provider has accepted a message under this key before, with other contents: there is nothing to repeat."""

    code, title = "email_key_used", "The mail provider has this message in another form"


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    sender: str
    recipient: str
    subject: str
    html: str
    plain: str
    reply_to: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class _KeyedClient(resend.RequestsClient):
    """One pooled session; the Authorization header of the merchant in whose name this call goes."""

    def __init__(self) -> None:
        super().__init__()
        self._session = requests.Session()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: dict[str, object] | list[object] | None = None,
        files: dict[str, Any] | None = None,
        data: dict[str, str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        keyed = {**headers, "Authorization": f"Bearer {_key.get()}"}
        body: Any = json
        answer = self._session.request(method, url, headers=keyed, json=body, files=files, data=data, timeout=TIMEOUT)
        return answer.content, answer.status_code, answer.headers


resend.default_http_client = _KeyedClient()


@dataclass(frozen=True, slots=True)
class ResendSender:
    """Sends with one Resend key. The SDK's global key is never set."""

    api_key: str = field(repr=False)
    name: str = "resend"

    def send(self, email: OutgoingEmail, *, idempotency_key: str) -> str:
        """Hand a message over; the provider's id. A repeat within 24 hours with the same key sends nothing new.

        Raises `EmailRefusedError`, `EmailLaterError`, `EmailUnknownError`, `EmailKeyUsedError`; what is not known
        comes as it is.
        """
        resend.api_url = settings().resend_api_base
        params: resend.Emails.SendParams = {
            "from": email.sender,
            "to": [email.recipient],
            "subject": email.subject,
            "html": email.html,
            "text": email.plain,
            "headers": email.headers,
            "tags": [{"name": name, "value": value} for name, value in email.tags.items()],
        }
        if email.reply_to:
            params["reply_to"] = email.reply_to
        token = _key.set(self.api_key)
        try:
            return str(resend.Emails.send(params, {"idempotency_key": idempotency_key})["id"])
        except ResendError as error:
            raise _translated(error) from None
        finally:
            _key.reset(token)

    def check(self) -> None:
        """Ask the provider whether it knows the key, without sending anything.

        Raises `EmailKeyRefusedError` with its reason, `EmailLaterError` or `EmailUnknownError`. A key that may do
        nothing but send is refused the look, in words of its own, and is good.
        """
        resend.api_url = settings().resend_api_base
        token = _key.set(self.api_key)
        try:
            resend.Emails.list({"limit": 1})
        except ResendError as error:
            if error.error_type != SENDING_ONLY:
                raise _translated(error) from None
        finally:
            _key.reset(token)


def _translated(error: ResendError) -> Exception:
    """Resend's error by status (docs "Errors"). The SDK reports a cut connection or time-out as HttpClientError."""
    if error.error_type == "HttpClientError":
        return EmailUnknownError(str(error.message))
    status = int(error.code) if str(error.code).isdigit() else 500
    if status == 409 and error.error_type == "concurrent_idempotent_requests":
        return EmailUnknownError(str(error.message))  # another try is under way, and may be taken
    if status == 409 and error.error_type == "invalid_idempotent_request":
        return EmailKeyUsedError(str(error.message))
    if status == 429 and error.error_type in QUOTAS:
        return EmailQuotaError(str(error.message))
    if status == 429:
        return EmailLaterError(str(error.message), retry_after=pause_of(_header(error, "retry-after")))
    if status >= 500:
        return EmailUnknownError(str(error.message))
    if status == SECURITY_STOP or error.error_type == SENDER_UNFIT:
        return EmailUnfitError(str(error.message))
    if status in _OF_THE_SENDER:
        return EmailKeyRefusedError(str(error.message))
    if 400 <= status < 500:
        return EmailRefusedError(f"{error.error_type}: {error.message}")
    return error


def _header(error: ResendError, name: str) -> str | None:
    return next((str(value) for key, value in error.headers.items() if key.lower() == name), None)
