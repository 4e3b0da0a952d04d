"""What becomes of a charge at risk: made safe, called off, or failed; each with its entry and its sums.

A ghost ends as protected only if its charge could have failed and did not. What never needed saving ends without a
figure, and what failed after all begins anew as a failed ghost, the same one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from models.ghost import GhostKind, GhostState, GhostTarget, Mechanism
from models.money import RecoveryKind
from services.audit import service as audit
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.renewals import RenewalFacts
from services.recovery.credit import evidence
from services.recovery.credit.attribution import Credit, credit_of
from services.recovery.credit.entries import enter
from services.recovery.lifecycle import Trigger, after, can
from services.recovery.protection import impending_repository
from services.recovery.protection.risk import RiskKind
from services.recovery.work import Work

SETTLING = timedelta(days=1)
"""How long after a period's end its charge may still be under way: Stripe drafts the invoice for an hour first."""
LATE = timedelta(days=5)
"""How long after a charge was due its outcome is waited for."""
RENEWAL = "subscription_cycle"  # Stripe, Invoice: `billing_reason`
_OVER = frozenset({"canceled", "incomplete_expired"})


def is_past(ghost: GhostTarget, renewal: RenewalFacts, now: datetime) -> bool:
    """Whether the period that the charge was for is over: the subscription is in the next one."""
    return now >= _charge_at(ghost) and renewal.charge_at > _charge_at(ghost)


def settle_past(work: Work, ghost: GhostTarget, renewal: RenewalFacts) -> bool:
    """What became of a charge whose period is over, once that can be told; each ends within a few days.

    A subscription that is over says nothing of its last charge. Of one that owes, the invoice says it: it is this
    ghost from then on, or, after `LATE`, another one's.
    """
    if renewal.status in _OVER:
        return dismiss(work, ghost, "The subscription ended.")
    if renewal.status == "active" and work.now >= _charge_at(ghost) + SETTLING:
        return _went_through(work, ghost, by_customer=has_another_card(ghost, renewal))
    if work.now > _charge_at(ghost) + LATE:
        return dismiss(work, ghost, "The day of the charge is past, and no charge of that day failed.")
    return False


def _charge_at(ghost: GhostTarget) -> datetime:
    return ghost.charge_at or ghost.found_at


def has_another_card(ghost: GhostTarget, renewal: RenewalFacts) -> bool:
    """Whether somebody did something: what a network renews keeps its id, and what nobody touched does too."""
    return _is_another(renewal.method.card.payment_method_id if renewal.method else None, ghost)


def _is_another(card: str | None, ghost: GhostTarget) -> bool:
    return card is not None and card != ghost.payment_method_id


def protect(work: Work, ghost: GhostTarget, reason: str, *, by_customer: bool, at: datetime | None = None) -> bool:
    """Made safe before it failed: one row of the ledger, and the day's sums. False when it was not at risk any more.

    Only what the customer did can be a click's merit or a message's: a card that the network renewed, and a charge
    that went through from the same card, came by themselves, whoever was written to.
    """
    if not can(GhostState(ghost.state), Trigger.MADE_SAFE):
        return False
    at = at or work.now
    credit = credit_of(evidence.of_safety(work.session, ghost, at)) if by_customer else Credit(Mechanism.ORGANIC)
    ghost.mechanism = credit.mechanism
    proof = {"mechanism": credit.mechanism, "message_id": credit.message_id}
    work.move(ghost, Trigger.MADE_SAFE, reason, at=at, amount=ghost.amount_cents, **proof)
    ghost.closed_at = at
    _enter(work, ghost, ghost.amount_cents, ghost.invoice_id, at, credit.message_id)
    audit.log_event(work.session, work.merchant.id, "recovery.protected", reason, facts={"ghost_id": ghost.id})
    return True


def _went_through(work: Work, ghost: GhostTarget, *, by_customer: bool, at: datetime | None = None) -> bool:
    """The charge was made: a card at risk was safe after all, an amount that only stood out never needed saving."""
    if ghost.risk == RiskKind.ABOVE_LINE:
        return dismiss(work, ghost, "The charge went through.", "went_through")
    return protect(work, ghost, "The charge went through.", by_customer=by_customer, at=at)


def dismiss(work: Work, ghost: GhostTarget, reason: str, close_reason: str = "no_charge") -> bool:
    """Nothing is at risk any more, nothing was made safe and nothing lost: no failure, no figure."""
    if not work.move(ghost, Trigger.LOST, reason):
        return False
    ghost.close_reason = close_reason
    return True


def take_payment(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """What was protected is what was paid, whatever was expected: a credit may have left less, or nothing, to pay."""
    if ghost.state != GhostState.IMPENDING:
        return False
    amount = facts.amount_paid
    if amount <= 0:
        return dismiss(work, ghost, "The invoice cost nothing.")
    work.changes.total(ghost.currency, impending_leakage_cents=amount - ghost.amount_cents)
    ghost.amount_cents, ghost.amount_is_about = amount, False
    by_customer = _is_another(facts.card.payment_method_id, ghost)
    return _went_through(work, ghost, by_customer=by_customer, at=facts.paid_at)


def lock_at_risk(session: Session, merchant_id: str, batch: Sequence[InvoiceFacts]) -> dict[str, GhostTarget]:
    """The impending ghosts that these failed invoices are the charges of, by invoice id; locked."""
    wanted = {facts.subscription_id for facts in batch if facts.subscription_id}
    if not wanted:
        return {}
    left = impending_repository.lock_impending(session, merchant_id, sorted(wanted))
    found: dict[str, GhostTarget] = {}
    for facts in sorted(batch, key=lambda each: each.created):
        ghost = next((each for each in left if is_of(each, facts)), None)
        if ghost is not None:
            found[facts.id] = ghost
            left.remove(ghost)
    return found


def is_of(ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """Whether an invoice is the charge that stood at risk: a renewal of the subscription, made when it was due.

    Stripe makes a renewal's invoice as its period ends; a plan's next one is a day later at the earliest. A change of
    plan in between has an invoice of its own, which was never at risk.
    """
    due = _charge_at(ghost)
    return (
        ghost.subscription_id == facts.subscription_id
        and ghost.currency == facts.currency
        and facts.billing_reason == RENEWAL
        and due - timedelta(hours=1) <= facts.created < due + SETTLING
    )


def charge_failed(work: Work, ghost: GhostTarget, reason: str) -> None:
    """The charge failed after all: what it counted as impending or protected is taken back, and it begins anew.

    The caller fills in what the invoice says, and counts it as found now. Raises `TransitionNotAllowedError` for what
    is no charge at risk, made safe or called off.
    """
    former = GhostState(ghost.state)
    state = after(former, Trigger.CHARGE_FAILED)
    if former is GhostState.IMPENDING:
        count_at_risk(work, ghost, -1)
    elif former is GhostState.PROTECTED:
        protected = impending_repository.protected_amount(work.session, ghost)
        _enter(work, ghost, -protected, f"failed:{ghost.invoice_id}"[:64], work.now)
    ghost.kind, ghost.state = GhostKind.FAILED, state
    ghost.closed_at, ghost.close_reason, ghost.mechanism = None, "", ""
    ghost.amount_is_about, ghost.priced_cents = False, None
    # What was said before the failure, and clicked, is no part of the failed one's funnel.
    ghost.contacted_at = ghost.clicked_at = ghost.last_clicked_at = None
    ghost.messages_sent = ghost.click_count = 0
    work.event(ghost, Trigger.CHARGE_FAILED.value, reason, former=former)


def _enter(
    work: Work, ghost: GhostTarget, amount: int, source_id: str, at: datetime, message_id: str | None = None
) -> None:
    """An entry of the ledger with its sums; a negative one when what was thought safe failed after all."""
    if not enter(work, ghost, RecoveryKind.PROTECTED, source_id, amount, at, message_id):
        return
    times = 1 if amount >= 0 else -1
    work.changes.day(at.date(), ghost.currency, protected_count=times, protected_cents=amount)
    work.changes.total(ghost.currency, protected_cents=amount)
    if amount > 0:
        work.money("protected", ghost.currency, amount, ghost.mechanism)


def count_at_risk(work: Work, ghost: GhostTarget, times: int) -> None:
    """Add a charge at risk to what is impending (1), or take it off as it stands now (-1)."""
    work.changes.total(ghost.currency, impending_leakage_cents=times * ghost.amount_cents, impending_ghosts=times)
