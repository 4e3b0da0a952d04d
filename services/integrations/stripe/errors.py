"""Stripe's errors in our own types, from a closed list; what is not on it is raised again as it came.

Stripe's own messages can carry a piece of a key or another account's id, so they go to the log (redacted) and never
into `detail`.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import stripe
from stripe import oauth_error

from core.errors import ConflictError, NotFoundError, PhantomError

log = logging.getLogger(__name__)

_BUSY_CODES = frozenset({"rate_limit", "lock_timeout"})
_IN_FLIGHT_CODES = frozenset({"idempotency_key_in_use"})
_MISSING_CODES = frozenset({"resource_missing"})
_REVOKED_CODES = frozenset({"account_invalid", "platform_api_key_expired"})
_PAID_CODES = frozenset({"invoice_already_paid"})
_CLOSED_CODES = frozenset({"invoice_not_editable"})
_PAID_MESSAGES = frozenset({"Invoice is already paid"})  # the live API gives this one no code


class StripeCallError(PhantomError):
    """Base of what Stripe answers when it does not do what was asked. `request_id` is Stripe's."""

    status, code, title = 502, "stripe_error", "Stripe did not accept the request"

    def __init__(self, *, stripe_code: str = "", request_id: str = "") -> None:
        super().__init__()
        self.stripe_code = stripe_code
        self.request_id = request_id


class StripeRateLimitedError(StripeCallError):
    """Still too many requests after our own back-off. `retry_after` is in seconds, None when Stripe gives none."""

    status, code, title = 503, "stripe_rate_limited", "Stripe asks us to slow down"

    def __init__(self, *, retry_after: float | None = None, stripe_code: str = "", request_id: str = "") -> None:
        super().__init__(stripe_code=stripe_code, request_id=request_id)
        self.retry_after = retry_after


class StripeUnavailableError(StripeCallError):
    """Stripe cannot be reached, took too long, or answers 5xx. The request may or may not have taken effect."""

    status, code, title = 503, "stripe_unavailable", "Stripe is not answering"


class StripeAuthenticationError(StripeCallError):
    """The key itself is not accepted: ours in platform mode, the merchant's token or key in the other modes."""

    code, title = "stripe_authentication", "Stripe does not accept the key"


class StripePermissionError(StripeCallError):
    """The key is good but may not do this. `revoked` says that the account took its permission back."""

    code, title = "stripe_permission", "Stripe does not allow this for the account"

    def __init__(self, *, revoked: bool = False, stripe_code: str = "", request_id: str = "") -> None:
        super().__init__(stripe_code=stripe_code, request_id=request_id)
        self.revoked = revoked


class StripePortalError(StripeCallError):
    """No Customer Portal session: it was never set up, does not offer what was asked for, or Stripe says no more."""

    NOT_CONFIGURED, NO_CARD_UPDATE, REFUSED = "not_configured", "no_card_update", "refused"
    status, code, title = 409, "stripe_portal", "Stripe cannot open the Customer Portal"

    def __init__(self, *, reason: str, stripe_code: str = "", request_id: str = "") -> None:
        super().__init__(stripe_code=stripe_code, request_id=request_id)
        self.reason = reason


class StripeMeterError(StripeCallError):
    """A meter event that Stripe does not take; `KNOWN` says that it has one with this identifier already."""

    KNOWN, NO_METER, TOO_OLD, REFUSED = "known", "no_meter", "too_old", "refused"
    status, code, title = 409, "stripe_meter", "Stripe does not take this meter event"

    def __init__(self, *, reason: str, stripe_code: str = "", request_id: str = "") -> None:
        super().__init__(stripe_code=stripe_code, request_id=request_id)
        self.reason = reason


class StripeNotFoundError(StripeCallError, NotFoundError):
    status, code, title = 404, "stripe_not_found", "Stripe does not know this object"


class StripeIdempotencyConflictError(StripeCallError):
    """The same idempotency key was used with other parameters: a mistake of ours, never to be retried as it is."""

    status, code, title = 409, "stripe_idempotency_conflict", "This was already asked in another way"


class StripeAlreadyPaidError(StripeCallError, ConflictError):
    status, code, title = 409, "stripe_already_paid", "The invoice is paid already"


class StripeInvoiceClosedError(StripeCallError, ConflictError):
    """The invoice was voided, or is otherwise past being paid: nothing was charged."""

    status, code, title = 409, "stripe_invoice_closed", "The invoice can no longer be paid"


class StripePaymentRefusedError(StripeCallError):
    """Stripe did not try to charge at all: this way of paying, currency or invoice does not allow it, say."""

    status, code, title = 409, "stripe_payment_refused", "Stripe does not make this payment"


class StripeCardDeclinedError(StripeCallError):
    """A charge was refused. Codes are Stripe's, lower-case, empty when not given."""

    status, code, title = 402, "stripe_card_declined", "The card was declined"

    def __init__(
        self,
        *,
        stripe_code: str = "",
        decline_code: str = "",
        advice_code: str = "",
        payment_intent_id: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(stripe_code=stripe_code, request_id=request_id)
        self.decline_code = decline_code
        self.advice_code = advice_code
        self.payment_intent_id = payment_intent_id

    @property
    def requires_action(self) -> bool:
        """Whether the customer has to confirm with their bank (3-D Secure)."""
        return self.stripe_code in ("authentication_required", "invoice_payment_intent_requires_action")


class StripeGrantError(StripeCallError):
    """An OAuth code that does not exist, was used before, has expired, or belongs to somebody else."""

    status, code, title = 400, "stripe_grant", "Stripe no longer accepts this authorisation"


class StripeClientIdError(StripeCallError):
    """Our STRIPE_CLIENT_ID and STRIPE_SECRET_KEY do not belong together."""

    status, code, title = 500, "stripe_client_id", "The connection to Stripe is not set up correctly"


def translate(error: stripe.StripeError) -> StripeCallError | None:
    """Our type for one of Stripe's errors, or None when it is not on the list."""
    code, request_id = error.code or "", error.request_id or ""
    if isinstance(error, oauth_error.InvalidGrantError):
        return StripeGrantError(stripe_code=code, request_id=request_id)
    if isinstance(error, oauth_error.InvalidClientError):
        return StripeClientIdError(stripe_code=code, request_id=request_id)
    code = code or str(_body(error).get("code") or "")  # the SDK fills `code` for some classes only
    if isinstance(error, stripe.RateLimitError) or code in _BUSY_CODES:
        return StripeRateLimitedError(retry_after=retry_after(error.headers), stripe_code=code, request_id=request_id)
    if isinstance(error, stripe.APIConnectionError) or (error.http_status or 0) >= 500 or code in _IN_FLIGHT_CODES:
        return StripeUnavailableError(stripe_code=code, request_id=request_id)
    if isinstance(error, stripe.AuthenticationError):
        return StripeAuthenticationError(stripe_code=code, request_id=request_id)
    if isinstance(error, stripe.PermissionError):
        return StripePermissionError(revoked=code in _REVOKED_CODES, stripe_code=code, request_id=request_id)
    if isinstance(error, stripe.IdempotencyError):
        return StripeIdempotencyConflictError(stripe_code=code, request_id=request_id)
    if isinstance(error, stripe.CardError):
        return _declined(error, code, request_id)
    if isinstance(error, stripe.InvalidRequestError):
        return _refused(error, code, request_id)
    return None


def _refused(error: stripe.InvalidRequestError, code: str, request_id: str) -> StripeCallError | None:
    if error.http_status == 404 or code in _MISSING_CODES:
        return StripeNotFoundError(stripe_code=code, request_id=request_id)
    if code in _PAID_CODES or error.user_message in _PAID_MESSAGES:
        return StripeAlreadyPaidError(stripe_code=code, request_id=request_id)
    if code in _CLOSED_CODES:
        return StripeInvoiceClosedError(stripe_code=code, request_id=request_id)
    return None


def _declined(error: stripe.CardError, code: str, request_id: str) -> StripeCardDeclinedError:
    body = _body(error)
    intent = body.get("payment_intent")
    return StripeCardDeclinedError(
        stripe_code=code,
        decline_code=str(body.get("decline_code") or ""),
        advice_code=str(body.get("advice_code") or ""),
        payment_intent_id=str(intent.get("id") or "") if isinstance(intent, dict) else "",
        request_id=request_id,
    )


def _body(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    return body if isinstance(body, dict) else {}


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds of a Retry-After header; None without one, or for the date form, which Stripe does not use."""
    given = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        return None
    return min(max(seconds, 0.0), 600.0)


@contextlib.contextmanager
def translated(uncoded: Callable[[stripe.InvalidRequestError], StripeCallError] | None = None) -> Iterator[None]:
    """Raise Stripe's errors of this block in our types; unknown ones pass unchanged.

    `uncoded` says what a refusal of this endpoint means that Stripe gives no code of its own.
    """
    try:
        yield
    except stripe.StripeError as error:
        facts = {"kind": type(error).__name__, "status": error.http_status, "request": error.request_id or ""}
        found = translate(error)
        if found is None and uncoded is not None and isinstance(error, stripe.InvalidRequestError):
            found = uncoded(error)
        log.warning("stripe.call_failed", extra={"facts": {**facts, "code": found.stripe_code if found else ""}})
        if found is None:
            raise
        raise found from error
