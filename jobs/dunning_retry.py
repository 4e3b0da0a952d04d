"""Pay a ghost's invoice with a card: intent, charge, outcome (services/recovery/paying.py)."""

from datetime import timedelta
from typing import Any

from core import db
from core.crash_points import crash_point
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.recovery import paying
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(seconds=30)


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task of kind `dunning_retry`: `{"ghost_id", "payment_method_id", "renewal"}`."""
    merchant_id = task.tenant
    with db.tenant_session(merchant_id) as session:
        planned = paying.begin(
            session,
            merchant_id,
            str(task.payload["ghost_id"]),
            str(task.payload["payment_method_id"]),
            str(task.payload.get("renewal", "")),
        )
    if planned is None:
        raise Discard("there is nothing to pay with this card any more")
    crash_point("charge.intended")
    try:
        with db.tenant_session(merchant_id) as session:
            stripe = client_for(session, merchant_id)
        outcome = paying.charge(stripe, planned)
    except (
        MerchantNotConnectedError,
        StripeNotFoundError,
        StripeAuthenticationError,
        StripePermissionError,
    ) as error:
        with db.tenant_session(merchant_id) as session:
            paying.give_up(session, merchant_id, planned)
        return {"attempt": "given_up", "reason": error.code}
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    crash_point("charge.made")
    with db.tenant_session(merchant_id) as session:
        attempt = paying.settle(session, merchant_id, planned, outcome)
    crash_point("charge.settled")
    return {"attempt": attempt}
