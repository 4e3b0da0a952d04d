"""Paying an open invoice with one of the customer's cards: once, whatever dies in the middle.

Four steps, each safe to repeat: the attempt is committed as started (`intents`); the invoice is paid with the card
under the attempt's idempotency key; where that paid it, the card is put where Stripe looks first (`defaults`); the
outcome is settled. A crash in between repeats the calls with the same keys.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from models.ghost import FoundVia, GhostTarget, Mechanism
from models.money import UNSETTLED, AttemptState, PaymentAttempt
from services.audit import service as audit
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import (
    StripeAlreadyPaidError,
    StripeAuthenticationError,
    StripeCallError,
    StripeCardDeclinedError,
    StripeInvoiceClosedError,
    StripeNotFoundError,
    StripePaymentRefusedError,
    StripePermissionError,
)
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.invoices import read_invoice
from services.recovery import neighbours, repository
from services.recovery.credit.settle import credit_anew
from services.recovery.observe import observe
from services.recovery.work import Work, merchant_context

AUTHENTICATION_WANTED = "authentication_required"
UNKNOWN = "it is not known any more whether this charge was made"
KEY_MEMORY = timedelta(hours=23)  # Stripe keeps a key for 24; clocks differ
BANKS_TIME = timedelta(days=30)  # a debit takes days, the slowest some two weeks
NEXT_LOOK = timedelta(hours=6)
UNDER_WAY = "The payment is still under way at the bank."
_WITHOUT_MONEY = frozenset({"requires_payment_method", "requires_confirmation", "canceled"})
_REFUSALS = (
    StripeNotFoundError,
    StripeAuthenticationError,
    StripePermissionError,
    StripeInvoiceClosedError,
    StripePaymentRefusedError,
)


class NotChargedError(Exception):
    """Stripe refused the call that was to charge: certainly nothing was charged. `why` is a sentence to show."""

    def __init__(self, error: StripeCallError) -> None:
        super().__init__(error.code)
        self.code, self.stripe_code, self.why = error.code, error.stripe_code, f"{error.title}."


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt that is committed as started."""

    ghost_id: str
    invoice_id: str
    subscription_id: str | None
    payment_method_id: str
    idempotency_key: str
    declined_cards: frozenset[str] = frozenset()
    """What was declined for this ghost: a card that pays takes the place of these alone."""
    is_retry: bool = False
    """A card that was declined, again: where it is the only one, it stands where Stripe looks already."""
    is_repeat: bool = False
    """An earlier run has begun it, and may have made it."""
    is_made: bool = False
    """Stripe has taken it, and the bank takes days: what is left is to ask what came of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Stripe answered: the invoice after the call, read when the facts say, or the decline."""

    invoice: InvoiceFacts
    state: AttemptState = AttemptState.SUCCEEDED
    decline_code: str = ""


def is_at_the_bank(attempt: PaymentAttempt, now: datetime) -> bool:
    """Whether an attempt was taken by Stripe and the bank's word is still to come."""
    return attempt.state == AttemptState.PROCESSING and now - attempt.attempted_at < BANKS_TIME


def leave(attempt: PaymentAttempt, ghost: GhostTarget, now: datetime, *, is_paid: bool) -> None:
    """Nobody can ask any more what came of an attempt that was begun: by what the payment was credited to."""
    ours = is_paid and ghost.mechanism == Mechanism.OWN_ATTEMPT
    attempt.state = AttemptState.SUCCEEDED if ours else AttemptState.UNCERTAIN
    attempt.settled_at = now


def charge(stripe: ScopedStripe, planned: Charge) -> Outcome:
    """Pay the invoice with the card, and change nothing else. No transaction is open meanwhile.

    That Stripe takes a payment says only of a card that it is made: a debit is under way for days. Raises
    `NotChargedError` where Stripe refuses the call, and the client's typed errors where it is not known what it did:
    the call refused may be a repeat of one that went through, and what was charged may be refused to be read.
    """
    if planned.is_made:
        return _come_of(planned, read_invoice(stripe, planned.invoice_id))
    try:
        answered = stripe.pay_invoice(
            planned.invoice_id, payment_method=planned.payment_method_id, idempotency_key=planned.idempotency_key
        )
    except StripeCardDeclinedError as error:
        invoice = read_invoice(stripe, planned.invoice_id)
        code = AUTHENTICATION_WANTED if error.requires_action else error.decline_code
        return Outcome(invoice, AttemptState.DECLINED, code)
    except StripeAlreadyPaidError:
        return Outcome(read_invoice(stripe, planned.invoice_id), AttemptState.ALREADY_PAID)
    except _REFUSALS as error:
        if planned.is_repeat:
            raise
        raise NotChargedError(error) from error
    invoice = read_invoice(stripe, planned.invoice_id)
    return Outcome(invoice) if answered.get("status") == "paid" else _come_of(planned, invoice)


def _come_of(planned: Charge, invoice: InvoiceFacts) -> Outcome:
    """What came of a payment that Stripe took without saying that it is made, by the invoice as it is now."""
    with_this = invoice.card.payment_method_id == planned.payment_method_id
    if invoice.status == "paid":
        ours = with_this and not invoice.paid_out_of_band
        return Outcome(invoice, AttemptState.SUCCEEDED if ours else AttemptState.ALREADY_PAID)
    if invoice.status == "open" and invoice.payment_status not in _WITHOUT_MONEY:
        return Outcome(invoice, AttemptState.PROCESSING)
    return Outcome(invoice, AttemptState.DECLINED, invoice.decline.decline_code if with_this else "")


def settle(session: Session, merchant_id: str, planned: Charge, outcome: Outcome) -> str:
    """Write down what came of the attempt and bring the ghost up to date. Returns the attempt's state.

    The first outcome stays: a worker that was stopped in mid-call and wakes when another has settled adds nothing. Nor
    does what Stripe said back then take back what came in since: the facts say when they were asked for.
    """
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [planned.ghost_id]))
    attempt = repository.get_attempt(session, merchant_id, planned.idempotency_key)
    assert attempt is not None  # noqa: S101  # `begin` committed it
    if attempt.state not in UNSETTLED:
        return attempt.state
    attempt.state = outcome.state
    attempt.decline_code = outcome.decline_code
    attempt.settled_at = None if outcome.state is AttemptState.PROCESSING else now
    facts = outcome.invoice
    _note_card(attempt, facts)
    ghost = repository.get_ghost(session, merchant_id, planned.ghost_id, lock=True)
    assert ghost is not None  # noqa: S101  # ghosts are never deleted
    if outcome.state is AttemptState.DECLINED:
        ghost.charge_id = attempt.charge_id or ghost.charge_id
        which = "PHANTOM's own attempt" if planned.is_retry else "The new card"
        work.event(ghost, "own_attempt_declined", f"{which} was declined{'' if planned.is_retry else ' too'}.",
                   code=outcome.decline_code)  # fmt: skip
        audit.log_event(session, merchant_id, "recovery.attempt_declined", f"{which} was declined.")
    credit_anew(work, ghost, facts, attempt.id)  # the payment's word may have come while the attempt was under way
    _count(work, ghost, attempt, planned)
    work.finish()
    observe(session, merchant, [facts], FoundVia.WEBHOOK, now)
    return attempt.state


def _note_card(attempt: PaymentAttempt, facts: InvoiceFacts) -> None:
    """A decline names the card and the charge; by them copies of the card and our own charges are known again."""
    if attempt.state != AttemptState.DECLINED or facts.card.payment_method_id != attempt.payment_method_id:
        return
    attempt.charge_id = facts.decline.charge_id
    attempt.card_brand = attempt.card_brand or facts.card.brand
    attempt.card_fingerprint = attempt.card_fingerprint or facts.card.fingerprint


def _count(work: Work, ghost: GhostTarget, attempt: PaymentAttempt, planned: Charge) -> None:
    if planned.is_retry and attempt.state != AttemptState.PROCESSING:
        count_retry(work, ghost, attempt)
        return
    if attempt.state == AttemptState.DECLINED:
        ghost.last_charge_at = attempt.attempted_at
    work.plan(ghost)


def count_retry(work: Work, ghost: GhostTarget, attempt: PaymentAttempt) -> None:
    """One own retry is over: the next one has another number, and its moment counts from this one."""
    ghost.own_retries += 1
    ghost.last_charge_at = attempt.attempted_at
    work.plan(ghost)
