"""Paying an open invoice with a card the customer has just added: at once, once.

Stripe alone waits for its next retry, or never pays. Three steps, each safe to repeat: the attempt is
committed as started; the card is put where Stripe looks first and the invoice is paid, both under the attempt's
idempotency key; the outcome is settled. A crash in between repeats the call with the same key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core import clock, ids
from core.config import settings
from core.locks import wait_transaction_lock
from models.ghost import UNPAID_STATES, FoundVia, GhostState, GhostTarget
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.audit import service as audit
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeAlreadyPaidError, StripeCardDeclinedError
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.integrations.stripe.parsing import INVOICE_EXPAND, parse_invoice
from services.recovery import attempts_repository, budget, neighbours, repository
from services.recovery.charges import values_of
from services.recovery.observe import observe
from services.recovery.retries import why_card_is_done
from services.recovery.strategy import group_of
from services.recovery.work import Work, merchant_context
from services.tasks import service as tasks

AUTHENTICATION_WANTED = "authentication_required"


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt that is committed as started."""

    ghost_id: str
    invoice_id: str
    subscription_id: str | None
    customer_id: str | None
    payment_method_id: str
    idempotency_key: str
    is_repeat_after_paying: bool = False
    """A crash left it as started, and the invoice is paid by now: what is left is to ask whether by us."""
    is_retry: bool = False
    """The card that failed, again: it stands where Stripe looks already."""


@dataclass(frozen=True, slots=True)
class Later:
    """A charge that the card networks' limits allow from `at` (UTC) on."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Stripe answered: the invoice after the call, or the decline."""

    invoice: dict[str, Any]
    state: AttemptState = AttemptState.SUCCEEDED
    decline_code: str = ""


def schedule_for_new_card(
    session: Session, merchant_id: str, customer_id: str, payment_method_id: str, *, renewal: str = ""
) -> int:
    """Have all open invoices of a customer paid with a new card. Returns how many tasks were made.

    `renewal` names the event by which a card that failed before got new data: it is worth a charge of its own. A
    customer who told the bank to stop is left alone, and so is what was written off.
    """
    scheduled = 0
    for ghost in repository.list_unpaid_of_customer(session, merchant_id, customer_id):
        if ghost.state in (GhostState.STOPPED, GhostState.LOST):
            continue
        if ghost.payment_method_id == payment_method_id and not renewal:
            continue
        task = tasks.schedule(
            session,
            kind="dunning_retry",
            merchant_id=merchant_id,
            key=_key(ghost.id, payment_method_id, renewal),
            payload={"ghost_id": ghost.id, "payment_method_id": payment_method_id, "renewal": renewal},
            priority=10,
        )
        scheduled += task is not None
    return scheduled


def _key(ghost_id: str, payment_method_id: str, renewal: str) -> str:
    """One charge a ghost and card, and one more for each renewal of that card."""
    return f"pay:{ghost_id}:{payment_method_id}" + (f":{renewal}" if renewal else "")


def begin(
    session: Session, merchant_id: str, ghost_id: str, payment_method_id: str, renewal: str = ""
) -> Charge | Later | None:
    """Commit the intent to charge; None when there is nothing to pay or this card was tried and settled.

    A customer may have many open invoices: a card that was declined for one of them for good is not tried on the
    next, and `Later` says when the networks' limits allow another try.
    An attempt that a crash left as started is gone on with even if the webhook of its success was faster and the
    ghost is recovered: else nobody would ever write down what came of it.
    """
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return None
    key = _key(ghost.id, payment_method_id, renewal)
    attempt = repository.get_attempt(session, merchant_id, key)
    unpaid = ghost.state in UNPAID_STATES
    if attempt is not None and attempt.state != AttemptState.STARTED:
        return None
    if attempt is None:
        if not unpaid:
            return None
        made = _charges_on(session, merchant_id, payment_method_id)
        if not renewal and _is_done(made):
            return None
        if later := _later(made):
            return later
        session.add(_started(ghost, payment_method_id, key))
    return Charge(
        ghost.id, ghost.invoice_id, ghost.subscription_id, ghost.customer_id, payment_method_id, key, not unpaid
    )


def _charges_on(session: Session, merchant_id: str, payment_method_id: str) -> Sequence[PaymentAttempt]:
    """What was charged to this card of late; until the transaction ends nobody else begins to charge it."""
    wait_transaction_lock(session, f"card:{merchant_id}:{payment_method_id}")
    since = clock.now() - timedelta(days=max(limit.days for limit in settings().card_limits))
    return attempts_repository.list_of_card(session, merchant_id, payment_method_id, "", since)


def _is_done(made: Sequence[PaymentAttempt]) -> bool:
    """Whether the card was declined in a way that holds for every invoice."""
    declines = [
        DeclineFacts(decline_code=one.decline_code)
        for one in made
        if one.source == AttemptSource.PHANTOM and one.state == AttemptState.DECLINED
    ]
    return any(why_card_is_done(decline, group_of(decline), "") for decline in declines)


def _later(made: Sequence[PaymentAttempt]) -> Later | None:
    now, brand = clock.now(), next((one.card_brand for one in reversed(made) if one.card_brand), "")
    free = budget.free_from(brand, values_of(made), now, settings().card_limits)
    return Later(free) if free > now else None


def _started(ghost: GhostTarget, payment_method_id: str, key: str) -> PaymentAttempt:
    return PaymentAttempt(
        merchant_id=ghost.merchant_id,
        id=ids.new_id("pa"),
        ghost_id=ghost.id,
        invoice_id=ghost.invoice_id,
        source=AttemptSource.PHANTOM,
        state=AttemptState.STARTED,
        idempotency_key=key,
        payment_method_id=payment_method_id,
        attempted_at=clock.now(),
    )


def charge(stripe: ScopedStripe, planned: Charge) -> Outcome:
    """Put the card where Stripe looks first, then pay the invoice. No transaction is open meanwhile.

    A subscription with a default of its own is charged there first; a card put into the customer's default would
    change nothing. Raises the client's typed errors for anything but a decline.
    """
    if not planned.is_repeat_after_paying and not planned.is_retry:
        _prefer_card(stripe, planned)
    try:
        stripe.pay_invoice(
            planned.invoice_id, payment_method=planned.payment_method_id, idempotency_key=planned.idempotency_key
        )
    except StripeCardDeclinedError as error:
        invoice = stripe.retrieve_invoice(planned.invoice_id, INVOICE_EXPAND)
        code = AUTHENTICATION_WANTED if error.requires_action else error.decline_code
        return Outcome(invoice, AttemptState.DECLINED, code)
    except StripeAlreadyPaidError:
        return Outcome(stripe.retrieve_invoice(planned.invoice_id, INVOICE_EXPAND), AttemptState.ALREADY_PAID)
    return Outcome(stripe.retrieve_invoice(planned.invoice_id, INVOICE_EXPAND))


def _prefer_card(stripe: ScopedStripe, planned: Charge) -> None:
    if planned.subscription_id:
        subscription = stripe.retrieve_subscription(planned.subscription_id)
        if subscription.get("default_payment_method"):
            stripe.set_subscription_default_payment_method(
                planned.subscription_id,
                planned.payment_method_id,
                idempotency_key=f"{planned.idempotency_key}:subscription",
            )
    if planned.customer_id:
        stripe.set_customer_default_payment_method(
            planned.customer_id, planned.payment_method_id, idempotency_key=f"{planned.idempotency_key}:customer"
        )


def settle(session: Session, merchant_id: str, planned: Charge, outcome: Outcome) -> str:
    """Write down what came of the attempt and bring the ghost up to date. Returns the attempt's state.

    The first outcome stays: a worker that was stopped in mid-call and wakes when another has settled adds nothing.
    """
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [planned.ghost_id]))
    attempt = repository.get_attempt(session, merchant_id, planned.idempotency_key)
    assert attempt is not None  # noqa: S101  # `begin` committed it
    if attempt.state != AttemptState.STARTED:
        return attempt.state
    attempt.state = outcome.state
    attempt.decline_code, attempt.settled_at = outcome.decline_code, now
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
    if planned.is_retry:
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


def give_up(session: Session, merchant_id: str, planned: Charge) -> None:
    """Stripe does not know the card, the invoice or the account any more: nothing was charged, nothing is claimed."""
    now = clock.now()
    needed = neighbours.of_ghosts(session, merchant_id, [planned.ghost_id])
    work = Work.begin(session, merchant_context(session, merchant_id), now, needed)
    attempt = repository.get_attempt(session, merchant_id, planned.idempotency_key)
    ghost = repository.get_ghost(session, merchant_id, planned.ghost_id, lock=True)
    if ghost is not None and attempt is not None and attempt.state == AttemptState.STARTED:
        attempt.state, attempt.settled_at = AttemptState.GIVEN_UP, now
        if planned.is_retry:
            count_retry(work, ghost, attempt)
    work.finish()
