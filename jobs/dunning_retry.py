"""Pay a ghost's invoice: with a card the customer has just added (services/recovery/paying.py), or with the one that
failed, when its time has come and a fresh look agrees (services/recovery/retrying.py). Intent, charge, outcome.
"""

from datetime import timedelta
from typing import Any

from core import db
from core.crash_points import crash_point
from services.integrations.stripe.cards import CARDS_EXPAND, cards_on_file
from services.integrations.stripe.client import MerchantNotConnectedError, ScopedStripe, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeInvoiceClosedError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.parsing import UnreadableInvoiceError, parse_invoice
from services.recovery import paying, retrying
from services.recovery.paying import Charge
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(seconds=30)
_OUT_OF_REACH = (
    MerchantNotConnectedError,
    StripeNotFoundError,
    StripeAuthenticationError,
    StripePermissionError,
    StripeInvoiceClosedError,
)
_BUSY = (StripeRateLimitedError, StripeUnavailableError)


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task of kind `dunning_retry`: `{"ghost_id", "payment_method_id", "renewal"}` for a new card.

    With the ghost alone it is an own retry: which card is charged, and whether at all, a fresh look decides.
    """
    if "payment_method_id" in task.payload:
        return _carry_out(task.tenant, _with_new_card(task))
    return _retry(task.tenant, str(task.payload["ghost_id"]))


def _with_new_card(task: ClaimedTask) -> Charge:
    with db.tenant_session(task.tenant) as session:
        planned = paying.begin(
            session,
            task.tenant,
            str(task.payload["ghost_id"]),
            str(task.payload["payment_method_id"]),
            str(task.payload.get("renewal", "")),
        )
    if isinstance(planned, paying.Later):
        raise Retry(at=planned.at, reason="card_limits")
    if planned is None:
        raise Discard("there is nothing to pay with this card any more")
    return planned


def _retry(merchant_id: str, ghost_id: str) -> dict[str, Any]:
    try:
        with db.tenant_session(merchant_id) as session:
            invoice_id = retrying.invoice_of(session, merchant_id, ghost_id)
            stripe = client_for(session, merchant_id) if invoice_id else None
        if invoice_id is None or stripe is None:
            raise Discard("there is nothing to charge for any more")
        fresh = stripe.retrieve_invoice(invoice_id, CARDS_EXPAND)
        facts = parse_invoice(fresh)
    except _BUSY as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except (*_OUT_OF_REACH, UnreadableInvoiceError) as error:
        return {"attempt": "held", "reason": error.code}
    with db.tenant_session(merchant_id) as session:
        begun = retrying.begin(session, merchant_id, ghost_id, facts, cards_on_file(fresh))
    if begun.charge is None:
        return {"attempt": "held", "reason": begun.reason}
    return _carry_out(merchant_id, begun.charge, stripe)


def _carry_out(merchant_id: str, planned: Charge, stripe: ScopedStripe | None = None) -> dict[str, Any]:
    crash_point("charge.intended")
    try:
        if stripe is None:
            with db.tenant_session(merchant_id) as session:
                stripe = client_for(session, merchant_id)
        outcome = paying.charge(stripe, planned)
    except _OUT_OF_REACH as error:
        with db.tenant_session(merchant_id) as session:
            paying.give_up(session, merchant_id, planned)
        return {"attempt": "given_up", "reason": error.code}
    except _BUSY as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    crash_point("charge.made")
    with db.tenant_session(merchant_id) as session:
        attempt = paying.settle(session, merchant_id, planned, outcome)
    crash_point("charge.settled")
    return {"attempt": attempt}
