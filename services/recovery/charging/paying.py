"""Paying an open invoice with one of the customer's cards: once, whatever dies in the middle.

Four steps, each safe to repeat: the attempt is committed as started (`new_cards` and `retrying` decide on it); the
invoice is paid with the card under the attempt's idempotency key; where that paid it, the card is put where Stripe
looks first (`defaults`); the outcome is settled. A crash in between repeats the calls with the same keys.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core import clock, ids
from core.config import settings
from models.ghost import COLLECTIBLE_STATES, FoundVia, GhostTarget, Mechanism
from models.money import UNSETTLED, AttemptSource, AttemptState, PaymentAttempt
from services.audit import service as audit
from services.integrations.stripe.cards import SavedCard
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
from services.integrations.stripe.parsing import INVOICE_EXPAND, parse_invoice
from services.recovery import neighbours, repository
from services.recovery.charging import attempts_repository, budget, card_turns, retries
from services.recovery.charging.charges import values_of
from services.recovery.credit.settle import credit_anew
from services.recovery.observe import observe
from services.recovery.work import Work, merchant_context

AUTHENTICATION_WANTED = "authentication_required"
LIMITS = "The card networks' limit for this card is reached."
DONE = "This card was declined for good."
SINCE = "This card was charged since it was renewed."
TOO_SOON = "This card was charged within the last day."
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
    """The card that failed, again: it stands where Stripe looks already."""
    is_repeat: bool = False
    """An earlier run has begun it, and may have made it."""
    is_made: bool = False
    """Stripe has taken it, and the bank takes days: what is left is to ask what came of it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What to charge, or why nothing is charged now and from when on (UTC) it is worth asking again."""

    charge: Charge | None
    reason: str = ""
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Stripe answered: the invoice after the call, or the decline."""

    invoice: dict[str, Any]
    state: AttemptState = AttemptState.SUCCEEDED
    decline_code: str = ""


def key_of(ghost_id: str, payment_method_id: str) -> str:
    """The idempotency key of charging a card that came as a new one: one charge a ghost and card."""
    return f"pay:{ghost_id}:{payment_method_id}"


def invoice_of(session: Session, merchant_id: str, ghost_id: str, key: str) -> str | None:
    """The invoice to read fresh before a charge under this key; None when there is nothing to charge for any more."""
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        return None
    open_still = ghost.state in COLLECTIBLE_STATES
    attempt = None if open_still else repository.get_attempt(session, merchant_id, key)
    begun = attempt is not None and attempt.state in UNSETTLED
    return ghost.invoice_id if open_still or begun else None


def intend(work: Work, ghost: GhostTarget, card: SavedCard, key: str, *, renewed_at: datetime | None = None) -> Begun:
    """Commit the intent to charge a card that is new to this ghost, or say why not.

    A customer may have many open invoices and the same card under many ids: one that was declined for good is not tried
    again, whatever for, and all its charges share the networks' limits. New data, which a network may send several
    times in a row (`renewed_at`), mend a decline before them, and wait a day after a charge of ours.
    """
    made = card_turns.take(work.session, ghost.merchant_id, card, work.now)
    if renewed_at is None and card_turns.is_done(ghost, card, made):
        return Begun(None, DONE)
    charged_at = card_turns.last_of_ours(ghost, made) if renewed_at else None
    if renewed_at and charged_at:
        if renewed_at <= charged_at:
            return Begun(None, SINCE)
        if work.now < charged_at + retries.APART:
            return Begun(None, TOO_SOON, charged_at + retries.APART)
    free = budget.free_from(card.brand, values_of(made), work.now, settings().card_limits)
    if free > work.now:
        return Begun(None, LIMITS, free)
    start(work, ghost, card, key)
    return Begun(_with_new_card(work, ghost, card.id, key))


def go_on(work: Work, ghost: GhostTarget, attempt: PaymentAttempt, *, is_paid: bool) -> Begun:
    """A crash left this charge of a new card as begun: the same call again, with the same key.

    Once Stripe has forgotten the key that would be another charge, and the card may have been declined before. And it
    may never have been made: then the call would be the first, which a word said since may forbid. Of an invoice that
    Stripe says `is_paid` (what was paid may be owed again) there is none: what is left is to ask whether by us.
    """
    if is_at_the_bank(attempt, work.now):
        made = _with_new_card(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key)
        return Begun(replace(made, is_made=True))
    forbidden = retries.why_untouchable(work.merchant.policy, retries.case_of(ghost))
    if work.now - attempt.attempted_at < KEY_MEMORY and (is_paid or not forbidden):
        planned = _with_new_card(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key)
        return Begun(replace(planned, is_repeat=True))
    leave(attempt, ghost, work.now, is_paid=is_paid)
    work.plan(ghost)
    return Begun(None, UNKNOWN)


def is_at_the_bank(attempt: PaymentAttempt, now: datetime) -> bool:
    """Whether an attempt was taken by Stripe and the bank's word is still to come."""
    return attempt.state == AttemptState.PROCESSING and now - attempt.attempted_at < BANKS_TIME


def leave(attempt: PaymentAttempt, ghost: GhostTarget, now: datetime, *, is_paid: bool) -> None:
    """Nobody can ask any more what came of an attempt that was begun: by what the payment was credited to."""
    ours = is_paid and ghost.mechanism == Mechanism.OWN_ATTEMPT
    attempt.state = AttemptState.SUCCEEDED if ours else AttemptState.UNCERTAIN
    attempt.settled_at = now


def start(work: Work, ghost: GhostTarget, card: SavedCard, key: str) -> None:
    """Write down that a charge is about to be made; the caller commits before it is."""
    work.session.add(
        PaymentAttempt(
            merchant_id=ghost.merchant_id,
            id=ids.new_id("pa"),
            ghost_id=ghost.id,
            invoice_id=ghost.invoice_id,
            source=AttemptSource.PHANTOM,
            state=AttemptState.STARTED,
            idempotency_key=key,
            payment_method_id=card.id,
            card_brand=card.brand,
            card_fingerprint=card.fingerprint,
            attempted_at=work.now,
        )
    )


def _with_new_card(work: Work, ghost: GhostTarget, card_id: str, key: str) -> Charge:
    declined = attempts_repository.declined_cards(work.session, ghost)
    return replace(charge_of(ghost, card_id, key), declined_cards=declined - {card_id})


def charge_of(ghost: GhostTarget, card_id: str, key: str, *, is_retry: bool = False) -> Charge:
    """A committed attempt as what is to be called."""
    return Charge(
        ghost_id=ghost.id,
        invoice_id=ghost.invoice_id,
        subscription_id=ghost.subscription_id,
        payment_method_id=card_id,
        idempotency_key=key,
        is_retry=is_retry,
    )


def charge(stripe: ScopedStripe, planned: Charge) -> Outcome:
    """Pay the invoice with the card, and change nothing else. No transaction is open meanwhile.

    That Stripe takes a payment says only of a card that it is made: a debit is under way for days. Raises
    `NotChargedError` where Stripe refuses the call, and the client's typed errors where it is not known what it did:
    the call refused may be a repeat of one that went through, and what was charged may be refused to be read.
    """
    if planned.is_made:
        return _come_of(planned, _read(stripe, planned))
    try:
        answered = stripe.pay_invoice(
            planned.invoice_id, payment_method=planned.payment_method_id, idempotency_key=planned.idempotency_key
        )
    except StripeCardDeclinedError as error:
        invoice = _read(stripe, planned)
        code = AUTHENTICATION_WANTED if error.requires_action else error.decline_code
        return Outcome(invoice, AttemptState.DECLINED, code)
    except StripeAlreadyPaidError:
        return Outcome(_read(stripe, planned), AttemptState.ALREADY_PAID)
    except _REFUSALS as error:
        if planned.is_repeat:
            raise
        raise NotChargedError(error) from error
    invoice = _read(stripe, planned)
    return Outcome(invoice) if answered.get("status") == "paid" else _come_of(planned, invoice)


def _come_of(planned: Charge, invoice: dict[str, Any]) -> Outcome:
    """What came of a payment that Stripe took without saying that it is made, by the invoice as it is now."""
    facts = parse_invoice(invoice)
    with_this = facts.card.payment_method_id == planned.payment_method_id
    if facts.status == "paid":
        ours = with_this and not facts.paid_out_of_band
        return Outcome(invoice, AttemptState.SUCCEEDED if ours else AttemptState.ALREADY_PAID)
    if facts.status == "open" and facts.payment_status not in _WITHOUT_MONEY:
        return Outcome(invoice, AttemptState.PROCESSING)
    return Outcome(invoice, AttemptState.DECLINED, facts.decline.decline_code if with_this else "")


def _read(stripe: ScopedStripe, planned: Charge) -> dict[str, Any]:
    """The invoice as it is now, which `settle` can read."""
    invoice = stripe.retrieve_invoice(planned.invoice_id, INVOICE_EXPAND)
    parse_invoice(invoice)
    return invoice


def settle(session: Session, merchant_id: str, planned: Charge, outcome: Outcome) -> str:
    """Write down what came of the attempt and bring the ghost up to date. Returns the attempt's state.

    The first outcome stays: a worker that was stopped in mid-call and wakes when another has settled adds nothing.
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
    facts = parse_invoice(outcome.invoice)
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
