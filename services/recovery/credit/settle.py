"""How a ghost ends: paid, lost, stopped, reversed; each with its ledger row and sums in the same transaction."""

from datetime import datetime, timedelta

from models.ghost import GIVEN_UP, GhostKind, GhostState, GhostTarget, Mechanism, Strategy
from models.money import Recovery, RecoveryKind
from services.audit import service as audit
from services.integrations.stripe.facts import InvoiceFacts
from services.recovery import manual, presence, repository
from services.recovery.credit import evidence, parts
from services.recovery.credit.attribution import STRIPE_GRANULARITY, Credit, credit_of
from services.recovery.credit.entries import enter
from services.recovery.lifecycle import Trigger, can
from services.recovery.work import Work

CLOCKS = timedelta(seconds=10)  # how far those of two hosts may be apart
REOPENED = "reopened"  # what such a row of the ledger stands for, with the moment
UNDONE_SINCE = "undone"  # follows the refund or dispute in the row that gives back what it had taken
UNDONE = "The payment was undone: the invoice is open again."
TAKEN_BACK = "The cancellation was taken back."

_MERIT = {
    "own_attempt": "PHANTOM charged the card",
    "click": "the customer paid after following our link",
    "message": "the customer paid after our message",
    "stripe_retry": "Stripe's own retry succeeded",
    "organic": "it was paid without our doing",
}
_SETTLED = "a credit note or the customer's balance settled it, and no money came in"  # which is nobody's merit


def recover(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """Record a payment, however late, once. False when the ghost cannot be recovered (any more)."""
    if not can(GhostState(ghost.state), Trigger.PAID):
        return False
    paid_at = facts.paid_at or work.now
    found = evidence.of_payment(work.session, ghost, facts, paid_at)
    amount = _came_back(ghost, facts)
    credit = credit_of(found.context) if amount else Credit(Mechanism.ORGANIC)
    mechanism = credit.mechanism
    merit = _MERIT[mechanism] if amount else _SETTLED
    ghost.mechanism, ghost.recovered_cents = mechanism, amount
    ghost.next_payment_attempt = ghost.last_presence_at = None  # nobody to look for any more
    # A refund or dispute later names the payment that succeeded, not the one that failed.
    ghost.payment_intent_id = facts.payment_intent_id or ghost.payment_intent_id
    shown_at = paid_at
    if ghost.last_clicked_at is not None and timedelta() < ghost.last_clicked_at - paid_at <= STRIPE_GRANULARITY:
        shown_at = ghost.last_clicked_at  # Stripe cut its time to the second: the timeline keeps the real order
    proof = {"mechanism": mechanism, "message_id": credit.message_id, "came_back": found.came_back}
    ghost.closed_at, ghost.close_reason = None, ""  # it may have been given up before: it ends with this payment
    work.move(ghost, Trigger.PAID, f"Paid: {merit}.", at=shown_at, amount=amount, **proof)
    parts.record(work, ghost, facts, amount)
    if _enter_payment(work, ghost, facts.id, paid_at, credit.message_id):
        work.changes.day(paid_at.date(), ghost.currency, recovered_count=1, recovered_cents=amount)
        work.changes.day(ghost.found_on, ghost.currency, cohort_recovered_count=1, cohort_recovered_cents=amount)
        work.changes.total(ghost.currency, recovered_cents=amount)
        work.money("recovered", ghost.currency, amount, mechanism)
        audit.record_usage(
            work.session, work.merchant.id, "recovery.recovered", amount, currency=ghost.currency, reference=ghost.id
        )
        audit.log_event(
            work.session,
            work.merchant.id,
            "recovery.recovered",
            f"An invoice was recovered: {merit}.",
            facts={"ghost_id": ghost.id, "amount": amount, "currency": ghost.currency, "mechanism": mechanism},
        )
    return True


def credit_anew(work: Work, ghost: GhostTarget, facts: InvoiceFacts, attempt_id: str) -> None:
    """Give a payment's merit to whose it is, once it is known whether the attempt of ours that was under way made it.

    Who heard of the payment before had to guess, and a hunt may have read the card that paid before it paid. What was
    recovered stays as it is: two rows of the ledger move it from one mechanism to another.
    """
    if ghost.state != GhostState.RECOVERED:
        return
    paid_at = facts.paid_at or ghost.closed_at or work.now
    credit = credit_of(evidence.of_payment(work.session, ghost, facts, paid_at).context)
    if credit.mechanism == ghost.mechanism or Mechanism.OWN_ATTEMPT not in (credit.mechanism, ghost.mechanism):
        return
    amount = ghost.recovered_cents
    if amount:
        enter(work, ghost, RecoveryKind.CREDITED, f"{attempt_id}:from", -amount, paid_at)
    ghost.mechanism, ghost.updated_at = credit.mechanism, work.now
    if amount:
        enter(work, ghost, RecoveryKind.CREDITED, f"{attempt_id}:to", amount, paid_at, credit.message_id)
    reason = "Not by PHANTOM's charge, which found it paid or was declined"
    if credit.mechanism == Mechanism.OWN_ATTEMPT:
        reason = "What became of PHANTOM's charge is known now"
    reason = f"{reason}: {_MERIT[credit.mechanism]}."
    work.event(ghost, "merit_moved", reason, mechanism=credit.mechanism, message_id=credit.message_id)


def _came_back(ghost: GhostTarget, facts: InvoiceFacts) -> int:
    """The money that came in since the ghost was found, minor units.

    An invoice settled by a credit note or balance is paid with nothing paid since.
    """
    paid_since = max(facts.amount_paid - ghost.paid_before_cents, 0)
    return min(ghost.found_cents or ghost.amount_cents, paid_since)


def returned_before(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> None:
    """What had been paid before a ghost was found came back, as a debit may: that much more was found, and is owed.

    Only what was read after the ghost was found can say so: a page of a hunt may be older than the payment.
    """
    later = facts.read_at is not None and facts.read_at > ghost.found_at + CLOCKS
    if not later or facts.amount_paid >= ghost.paid_before_cents:
        return
    more = max(min(ghost.found_cents + ghost.paid_before_cents - facts.amount_paid, facts.amount_remaining), 0)
    more = max(more - ghost.found_cents, 0)
    ghost.paid_before_cents = facts.amount_paid
    ghost.found_cents += more
    ghost.updated_at = work.now
    work.changes.day(ghost.found_on, ghost.currency, found_cents=more)


def lose(work: Work, ghost: GhostTarget, reason: str, trigger: Trigger, *, still_open: bool = False) -> bool:
    """Close a ghost to messages as lost or stopped; a later payment still recovers it.

    `still_open`: its invoice may still be open, so hunts go on looking whether it was paid without a word.
    """
    given_up = trigger is Trigger.LOST and still_open
    if not work.move(ghost, trigger, reason):
        if ghost.close_reason == GIVEN_UP and trigger is Trigger.LOST and not still_open:
            ghost.close_reason = trigger.value
        return False
    ghost.close_reason = GIVEN_UP if given_up else trigger.value
    ghost.last_presence_at = None
    if trigger is Trigger.LOST and ghost.kind == GhostKind.FAILED:
        work.changes.day(work.now.date(), ghost.currency, lost_count=1, lost_cents=ghost.amount_cents)
    audit.log_event(work.session, work.merchant.id, f"recovery.{trigger.value}", reason, facts={"ghost_id": ghost.id})
    return True


def reverse(
    work: Work,
    ghost: GhostTarget,
    source_id: str,
    amount: int,
    reason: str,
    at: datetime,
    payment_intent_id: str | None = None,
) -> bool:
    """A refund or a lost dispute takes a recovery back, or a part of it: a new, negative ledger row. Once per source.

    Never more than is left of it; the ghost is reversed when nothing is. The row names the payment, where it is given.
    """
    taken = min(amount, ghost.recovered_cents)
    if taken <= 0 or not can(GhostState(ghost.state), Trigger.REVERSED):
        return False
    if not _take(work, ghost, source_id, taken, at, payment_intent_id):
        return False
    work.changes.day(ghost.found_on, ghost.currency, cohort_reversed_cents=taken)
    if ghost.recovered_cents == 0:
        work.move(ghost, Trigger.REVERSED, reason, at=at, amount=taken)
    else:
        work.event(ghost, "partly_reversed", f"{reason[:-1]} in part.", at=at, amount=taken)
        ghost.updated_at = work.now
    audit.log_event(work.session, work.merchant.id, "recovery.reversed", reason, facts={"ghost_id": ghost.id})
    return True


def _take(
    work: Work, ghost: GhostTarget, source_id: str, taken: int, at: datetime, payment_intent_id: str | None = None
) -> bool:
    """The negative row and the day's sums; False when the source has its row."""
    if not enter(work, ghost, RecoveryKind.REVERSED, source_id, -taken, at, payment_intent_id=payment_intent_id):
        return False
    ghost.recovered_cents -= taken
    work.changes.day(at.date(), ghost.currency, reversed_count=1, reversed_cents=taken)
    work.changes.total(ghost.currency, recovered_cents=-taken)
    work.money("reversed", ghost.currency, taken, ghost.mechanism)
    audit.record_usage(
        work.session, work.merchant.id, "recovery.reversed", -taken, currency=ghost.currency, reference=ghost.id
    )
    return True


def give_back(work: Work, ghost: GhostTarget, source_id: str, amount: int, reason: str, at: datetime) -> bool:
    """What a refund or dispute had taken is back: the opposite row, with the sums. Once per source."""
    if not enter(work, ghost, RecoveryKind.REVERSED, f"{source_id}:{UNDONE_SINCE}"[-64:], amount, at):
        return False
    ghost.recovered_cents += amount
    work.changes.day(at.date(), ghost.currency, reversed_count=-1, reversed_cents=-amount)
    work.changes.day(ghost.found_on, ghost.currency, cohort_reversed_cents=-amount)
    work.changes.total(ghost.currency, recovered_cents=amount)
    work.money("given_back", ghost.currency, amount, ghost.mechanism)
    audit.record_usage(
        work.session, work.merchant.id, "recovery.reversed", amount, currency=ghost.currency, reference=ghost.id
    )
    if not work.move(ghost, Trigger.GIVEN_BACK, reason, at=at, amount=amount):
        work.event(ghost, Trigger.GIVEN_BACK.value, reason, at=at, amount=amount)
        ghost.updated_at = work.now
    audit.log_event(work.session, work.merchant.id, "recovery.given_back", reason, facts={"ghost_id": ghost.id})
    return True


def reopen(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """An ended ghost's invoice is owed again: a cancellation was taken back, or a payment undone that had counted.

    What was recovered is taken back with it: it counts as found and not recovered, until it is paid again. The caller
    has made sure that `facts` are newer than the end.
    """
    was_paid = ghost.state == GhostState.RECOVERED
    if not can(GhostState(ghost.state), Trigger.REOPENED):
        return False
    if was_paid:
        work.changes.total(ghost.currency, leakage_cents=ghost.amount_cents)
        _unpay(work, ghost)
    ghost.closed_at, ghost.close_reason, ghost.mechanism = None, "", ""
    ghost.reopened_at = work.now
    presence.take_over(work.session, work.merchant.id, [ghost])  # its end had emptied it
    why = UNDONE if was_paid else TAKEN_BACK
    work.move(ghost, Trigger.REOPENED, why)
    wanted = [ghost.subscription_id] if ghost.subscription_id else []
    if wanted and not repository.shadow_carriers(work.session, work.merchant.id, wanted):
        ghost.shadow_cents = facts.monthly_value
        work.changes.total(ghost.currency, shadow_leakage_cents=ghost.shadow_cents)
    if ghost.strategy == Strategy.HIGH_VALUE_MANUAL:
        manual.open_task(work.session, ghost, work.now)
    audit.log_event(work.session, work.merchant.id, "recovery.reopened", why, facts={"ghost_id": ghost.id})
    return True


def is_reopening(row: Recovery) -> bool:
    """Whether a row of the ledger took back what was left of a payment that was undone."""
    return row.source_id.startswith(f"{REOPENED}:")


def source_of(row: Recovery) -> str:
    """The refund or dispute that a row of money gone back, or given back, is about."""
    return row.source_id.partition(":")[0]


def _unpay(work: Work, ghost: GhostTarget) -> None:
    taken = ghost.recovered_cents
    if taken:
        _take(work, ghost, f"{REOPENED}:{int(work.now.timestamp())}", taken, work.now)
    work.changes.day(ghost.found_on, ghost.currency, cohort_recovered_count=-1, cohort_recovered_cents=-taken)


def _enter_payment(work: Work, ghost: GhostTarget, invoice_id: str, paid_at: datetime, message_id: str | None) -> bool:
    """Enter a recovery. An invoice that was paid, undone and paid again has an entry for each time."""
    again = f"{invoice_id}:{int(paid_at.timestamp())}"[-64:]
    amount = ghost.recovered_cents
    return any(
        enter(work, ghost, RecoveryKind.RECOVERED, source_id, amount, paid_at, message_id)
        for source_id in (invoice_id, again)
    )
