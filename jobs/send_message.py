"""Send one message of a ghost: look fresh, commit the intent, hand over, settle (services/recovery/outreach.py)."""

from datetime import timedelta
from typing import Any

from core import db, metrics
from core.config import settings
from core.crash_points import crash_point
from services.integrations.resend import (
    EmailKeyUsedError,
    EmailLaterError,
    EmailRefusedError,
    EmailUnknownError,
    sender_for,
)
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.parsing import INVOICE_EXPAND, UnreadableInvoiceError, parse_invoice
from services.recovery import outreach
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(seconds=30)


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task of kind `send_message`: `{"ghost_id", "step"}`."""
    merchant_id, ghost_id, step = task.tenant, str(task.payload["ghost_id"]), int(task.payload["step"])
    try:
        with db.tenant_session(merchant_id) as session:
            invoice_id = outreach.invoice_of(session, merchant_id, ghost_id)
            stripe = client_for(session, merchant_id) if invoice_id else None
        if invoice_id is None or stripe is None:
            return _held(merchant_id, ghost_id, step, "the ghost takes no message any more")
        fresh = parse_invoice(stripe.retrieve_invoice(invoice_id, INVOICE_EXPAND))
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except (
        MerchantNotConnectedError,
        StripeNotFoundError,
        StripeAuthenticationError,
        StripePermissionError,
        UnreadableInvoiceError,
    ) as error:
        return _held(merchant_id, ghost_id, step, error.title.lower())
    with db.tenant_session(merchant_id) as session:
        prepared = outreach.prepare(session, merchant_id, ghost_id, step, fresh)
    if prepared.not_before is not None:
        raise Retry(at=prepared.not_before, reason="quiet_hours")
    if prepared.email is None:
        metrics.MESSAGES.add("held")
        return {"sent": False, "reason": prepared.reason}
    crash_point("message.intended")
    try:
        return _hand_over(merchant_id, prepared)
    except EmailKeyUsedError:
        # A crash after the provider's accept, and since then the merchant has changed what every message carries.
        return _held(merchant_id, ghost_id, step, "it was handed over before, with another reply address")


def _held(merchant_id: str, ghost_id: str, step: int, reason: str) -> dict[str, Any]:
    """Nothing is sent now; the pulse comes back to this ghost by itself."""
    with db.tenant_session(merchant_id) as session:
        outreach.hold(session, merchant_id, ghost_id, step, reason)
    metrics.MESSAGES.add("held")
    return {"sent": False, "reason": reason}


def _hand_over(merchant_id: str, prepared: outreach.Prepared) -> dict[str, Any]:
    assert prepared.email is not None  # noqa: S101  # the caller has looked
    key = settings().resend_api_key
    sender = sender_for(key.get_secret_value() if key else None)
    name, provider_id = "", ""
    if sender is not None:
        try:
            provider_id = sender.send(prepared.email, idempotency_key=prepared.idempotency_key)
        except EmailRefusedError as error:
            metrics.MESSAGES.add("refused")
            with db.tenant_session(merchant_id) as session:
                outreach.settle_failed(session, merchant_id, prepared.message_id, error.detail)
            return {"sent": False, "reason": error.code}
        except (EmailLaterError, EmailUnknownError) as error:
            # The intent stays; the repeat carries the same key, so an accepted message is not sent again.
            metrics.MESSAGES.add("uncertain" if isinstance(error, EmailUnknownError) else "later")
            raise Retry(after=BUSY_PAUSE, reason=error.code) from error
        name = sender.name
        crash_point("message.handed_over")
    with db.tenant_session(merchant_id) as session:
        outreach.settle_sent(session, merchant_id, prepared.message_id, name, provider_id)
    crash_point("message.settled")
    metrics.MESSAGES.add("accepted" if name else "outbox")
    return {"sent": True, "message_id": prepared.message_id}
