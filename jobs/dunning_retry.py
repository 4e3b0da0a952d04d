"""Pay a ghost's invoice: with a card the customer has just added (services/recovery/charging/new_cards.py), or with
the one that failed, when its time has come (services/recovery/charging/retrying.py). A fresh look, intent, charge,
outcome.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core import clock, db
from core.crash_points import crash_point
from models.money import AttemptState
from services.integrations.stripe.cards import CARDS_EXPAND, SavedCard, attached, cards_on_file
from services.integrations.stripe.client import PAGE, MerchantNotConnectedError, ScopedStripe, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeInvoiceClosedError,
    StripeNotFoundError,
    StripePaymentRefusedError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.invoices import invoice_and_facts
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.recovery.charging import defaults, intents, new_cards, paying, retrying, unsettled
from services.recovery.charging.intents import Begun
from services.recovery.charging.paying import Charge, Outcome
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

log = logging.getLogger(__name__)

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
    """The task of kind `dunning_retry`: `{"ghost_id", "payment_method_id", "renewal", "came"}` for a new card.

    With the ghost alone it is an own retry. Which card is charged, and whether at all, a fresh look decides.
    """
    ghost_id = str(task.payload["ghost_id"])
    news = new_cards.News.of(task.payload) if "payment_method_id" in task.payload else None
    try:
        look = _look(task.tenant, ghost_id, news)
    except _BUSY as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except (*_OUT_OF_REACH, UnreadableInvoiceError) as error:
        return {"attempt": "held", "reason": error.code}
    begun = _begin(task.tenant, ghost_id, news, look)
    if begun.charge is not None:
        return _carry_out(task.tenant, begun.charge, look)
    if news is not None and begun.again_at is not None:  # an own retry keeps its next moment with the ghost
        raise Retry(at=begun.again_at, reason=begun.reason)
    return {"attempt": "held", "reason": begun.reason}


@dataclass(frozen=True, slots=True)
class _Look:
    """What Stripe says right now."""

    stripe: ScopedStripe
    facts: InvoiceFacts
    cards: retrying.Cards


def _look(merchant_id: str, ghost_id: str, news: new_cards.News | None) -> _Look:
    """The invoice and the customer's cards; no transaction is open meanwhile."""
    with db.tenant_session(merchant_id) as session:
        if news is None:
            invoice_id = retrying.invoice_of(session, merchant_id, ghost_id)
        else:
            invoice_id = intents.invoice_of(session, merchant_id, ghost_id, news.key(ghost_id))
        stripe = client_for(session, merchant_id) if invoice_id else None
    if invoice_id is None or stripe is None:
        raise Discard("there is nothing to charge for any more")
    fresh, facts = invoice_and_facts(stripe, invoice_id, CARDS_EXPAND)
    return _Look(stripe, facts, retrying.Cards(cards_on_file(fresh), _attached(stripe, facts.customer.id)))


def _attached(stripe: ScopedStripe, customer_id: str | None) -> tuple[SavedCard, ...]:
    if customer_id is None:
        return ()
    return attached(stripe.raw_get("/v1/payment_methods", {"customer": customer_id, "limit": PAGE}))


def _begin(merchant_id: str, ghost_id: str, news: new_cards.News | None, look: _Look) -> Begun:
    with db.tenant_session(merchant_id) as session:
        if news is None:
            return retrying.begin(session, merchant_id, ghost_id, look.facts, look.cards)
        return new_cards.begin(session, merchant_id, ghost_id, news, look.facts, look.cards.attached)


def _carry_out(merchant_id: str, planned: Charge, look: _Look) -> dict[str, Any]:
    crash_point("charge.intended")
    try:
        outcome = paying.charge(look.stripe, planned)
    except paying.NotChargedError as error:
        with db.tenant_session(merchant_id) as session:
            if unsettled.give_up(session, merchant_id, planned, error):
                new_cards.settled(session, merchant_id, planned, look.facts, look.cards.attached)
        return {"attempt": "given_up", "reason": error.code}
    except (*_OUT_OF_REACH, StripePaymentRefusedError, UnreadableInvoiceError) as error:
        return {"attempt": "held", "reason": error.code}  # it may have been made: it stays begun
    except _BUSY as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    crash_point("charge.made")
    _follow(look.stripe, planned, outcome)
    with db.tenant_session(merchant_id) as session:
        attempt = paying.settle(session, merchant_id, planned, outcome)
        if attempt == AttemptState.DECLINED:
            new_cards.settled(session, merchant_id, planned, look.facts, look.cards.attached)
    crash_point("charge.settled")
    if attempt == AttemptState.PROCESSING:
        raise Retry(at=clock.now() + paying.NEXT_LOOK, reason=paying.UNDER_WAY)
    return {"attempt": attempt}


def _follow(stripe: ScopedStripe, planned: Charge, outcome: Outcome) -> None:
    """The card that paid is charged the next time too; where Stripe does not allow that, it has paid all the same."""
    try:
        defaults.follow(stripe, planned, outcome)
    except _OUT_OF_REACH as error:
        log.warning("charge.default_stays", extra={"facts": {"ghost": planned.ghost_id, "reason": error.code}})
    except _BUSY as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
