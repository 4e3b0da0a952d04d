"""Text messages through Twilio's own SDK, one account a call, errors from a closed list.

The SDK knows no other address than Twilio's; our HTTP client puts TWILIO_API_BASE in its place. A text message has no
idempotency key: what was not answered is not known, and is never tried again.
"""

import functools
import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from core.config import settings
from services.integrations.carriers import (
    KeyRefusedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnknownError,
    OptedOutError,
    OutOfQuotaError,
    pause_of,
)

TIMEOUT = (5, 15)
MESSAGING_SERVICE = "MG"
UNSUBSCRIBED = 21610  # "Attempt to send to unsubscribed recipient"
DAILY_LIMIT = 63038  # "Account exceeded daily messages limit", as 429
QUEUE_FULL = 21611  # "This 'From' number has exceeded the maximum number of queued messages"
# The account, not the message: no such sender of ours, not allowed to this country's numbers, trial limits.
_SENDER_CODES = frozenset({20003, 20005, 21212, 21603, 21606, 21659, 21660, 21661, 21703, 21704})
# Of a short code these say that it does not reach this number's country, which is about the recipient.
_NOT_FROM_HERE = frozenset({21606, 21659})
_SHORT_CODE = re.compile(r"[0-9]{3,8}", re.ASCII)


class TextRefusedError(MessageRefusedError):
    """The provider will not send this text, now or later; nothing was sent."""

    code, title = "text_refused", "The text message provider refused the message"


class TextOptedOutError(OptedOutError):
    """The recipient has answered STOP to this sender."""


class TextKeyRefusedError(KeyRefusedError):
    """Twilio does not take the account, its token, or the number to send from."""

    code, title = "text_sender_refused", "The text message provider does not accept this sender"


class TextLaterError(MessageLaterError):
    """Not sent and safe to try again: a rate limit, or no connection came about."""

    code, title = "text_later", "The text message provider asks to try later"


class TextQuotaError(TextLaterError, OutOfQuotaError):
    """Not sent: the account's texts of this day are used up."""

    code, title = "text_quota", "The text message provider's allowance for this account is used up"


class TextUnknownError(MessageUnknownError):
    """It is not known whether the text was accepted, and nothing can tell but a callback."""

    code, title = "text_unknown", "The text message provider did not answer"


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """`sender` is a number in E.164 or a messaging service; `callback` is told what becomes of the message."""

    sender: str
    recipient: str
    body: str
    callback: str = ""


class _Wire(HttpClient):  # type: ignore[misc]  # twilio ships no types
    """The SDK's way out: our base address, one pooled session, nothing logged, Retry-After kept for the caller."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("twilio"), False, None)
        self._session = session()
        self.retry_after: str | None = None

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Any:
        answer = self._session.request(
            method,
            f"{settings().twilio_api_base}{urlsplit(url).path}",
            params=params,
            data=data,
            headers=headers,
            auth=auth,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        self.retry_after = answer.headers.get("retry-after")
        return Response(answer.status_code, answer.text, answer.headers)


@functools.cache
def session() -> requests.Session:
    """The process's pooled connections to Twilio; no tries of its own, because a second one may be a second text."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=0, pool_maxsize=16))
    return made


@dataclass(frozen=True, slots=True)
class TwilioSender:
    """Sends as one Twilio account."""

    account: str
    auth_token: str = field(repr=False)
    name: str = "twilio"

    def send(self, text: OutgoingText) -> str:
        """Hand a text over; the provider's id.

        Raises `TextRefusedError`, `TextOptedOutError`, `TextKeyRefusedError`, `TextLaterError`, `TextUnknownError`.
        """
        given: dict[str, Any] = {"to": text.recipient, "body": text.body}
        name = "messaging_service_sid" if text.sender.startswith(MESSAGING_SERVICE) else "from_"
        given[name] = text.sender
        if text.callback:
            given["status_callback"] = text.callback
        return str(self._asked(lambda client: client.messages.create(**given).sid, text.sender))

    def check(self) -> None:
        """Ask Twilio whether it knows the account, without sending anything. Raises as `send` does."""
        self._asked(lambda client: client.api.v2010.accounts(self.account).fetch().sid)

    def _asked(self, ask: Any, sender: str = "") -> Any:
        wire = _Wire()
        # Not the process's environment: a TWILIO_EDGE of somebody's shell is no setting of ours.
        client = Client(self.account, self.auth_token, http_client=wire, environment={"PHANTOM": "1"})
        try:
            return ask(client)
        except (TwilioRestException, TwilioServiceException) as error:
            raise _translated(error, pause_of(wire.retry_after), sender) from None
        except requests.RequestException as error:
            raise _unreached(error) from None
        except (TwilioException, ValueError) as error:  # an answer that is none: cut short, or a proxy's page
            raise TextUnknownError(type(error).__name__) from None


def _translated(
    error: TwilioRestException | TwilioServiceException, pause: timedelta | None, sender: str = ""
) -> Exception:
    """Twilio's error by status and code (twilio.com/docs/api/errors)."""
    status, code, said = int(error.status), int(error.code or 0), _said(error)
    if code == UNSUBSCRIBED:
        return TextOptedOutError(said)
    if status == 429 and code == DAILY_LIMIT:
        return TextQuotaError(said)
    if status == 429 or code == QUEUE_FULL:
        return TextLaterError(said, retry_after=pause)
    if status >= 500 or status < 400:
        return TextUnknownError(said)
    is_about_them = code in _NOT_FROM_HERE and _SHORT_CODE.fullmatch(sender) is not None
    if status in (401, 403) or (code in _SENDER_CODES and not is_about_them):
        return TextKeyRefusedError(said)
    return TextRefusedError(f"{code}: {said}")


def _said(error: TwilioRestException | TwilioServiceException) -> str:
    """Twilio's own words; the SDK puts its own before them."""
    words = error.msg if isinstance(error, TwilioRestException) else error.detail or error.title
    return str(words).rpartition("Unable to create record: ")[2].rpartition("Unable to fetch record: ")[2]


def _unreached(error: requests.RequestException) -> Exception:
    """A connection that never came about sent nothing; one that broke may have."""
    if isinstance(error, requests.ConnectTimeout):
        return TextLaterError(type(error).__name__)
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return TextLaterError(type(reason).__name__)
    return TextUnknownError(type(error).__name__)


def is_genuine(auth_token: str, url: str, form: Mapping[str, Sequence[str]], signature: str) -> bool:
    """Whether Twilio signed this form for `url`, the address it was told, query included.

    False for an empty token: it would verify what anybody signs with nothing.
    """
    if not auth_token or not signature.isascii() or len(signature) > 128:
        return False
    validator, fields = RequestValidator(auth_token), _Fields(form)
    # The address as it was told is what nearly all are signed for; the SDK then tries it with and without its port.
    told = validator.compute_signature(url, fields)
    return hmac.compare_digest(told, signature) or bool(validator.validate(url, fields, signature))


class _Fields(dict[str, Sequence[str]]):
    """A form for the SDK's check, which asks for all values of a name in this way."""

    def getall(self, name: str) -> Sequence[str]:
        return self[name]
