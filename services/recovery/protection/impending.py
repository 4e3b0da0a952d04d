"""Charges that have not failed yet: found at risk, made safe, called off; or failed, and then the same ghost.

Hunts (over renewing subscriptions) and webhooks (about cards and coming invoices) meet here, as they do in `observe`
for what has failed. A subscription has one ghost at risk at most; its charge's date may move with it. While it is
impending it carries no leakage: its sums are those of what is impending.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session

from core import ids
from models.ghost import FoundVia, GhostKind, GhostState, GhostTarget, Mechanism, Strategy
from models.money import RecoveryKind
from services.analytics import shards
from services.audit import service as audit
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.renewals import RenewalFacts
from services.recovery import tombstones
from services.recovery.credit import evidence
from services.recovery.credit.attribution import Credit, credit_of
from services.recovery.credit.entries import enter
from services.recovery.lifecycle import Trigger, can
from services.recovery.protection import impending_repository
from services.recovery.protection.risk import Assessment, Outlook, RiskKind, assess
from services.recovery.work import MerchantContext, Work

SETTLING = timedelta(days=1)
"""How long after a period's end its charge may still be under way: Stripe drafts the invoice for an hour first."""
ABOUT = "The amount is about right: discounts, taxes or use may change it."
LATE = timedelta(days=5)
"""How long after a charge was due its failed invoice is still taken for it."""
_OVER = frozenset({"canceled", "incomplete_expired"})
_PERSONAL = ("customer_email", "customer_name", "customer_phone", "customer_language", "card_last4")


@dataclass(frozen=True, slots=True)
class Watched:
    """How many charges were found at risk, and how many changed what they are."""

    found: int = 0
    updated: int = 0


def watch(
    session: Session, merchant: MerchantContext, renewals: Sequence[RenewalFacts], via: FoundVia, now: datetime
) -> Watched:
    """Bring what is at risk of these subscriptions up to date, in the caller's transaction. `now` is aware UTC.

    Idempotent. Subscriptions that are safe and were never at risk cost one statement for all of them.
    """
    judged = [(renewal, assess(renewal, merchant.policy, now)) for renewal in renewals]
    known = impending_repository.watched(session, merchant.id, [renewal.subscription_id for renewal in renewals])
    wanted = [
        (renewal, seen)
        for renewal, seen in judged
        if seen.outlook is Outlook.AT_RISK or renewal.subscription_id in known
    ]
    if not wanted:
        return Watched()
    work = Work.begin(session, merchant, now, shards.of_customers(renewal.customer.id for renewal, _ in wanted))
    held = impending_repository.lock_impending(session, merchant.id, [each.subscription_id for each, _ in wanted])
    ended = {ghost.invoice_id for ghost in held if ghost.state != GhostState.IMPENDING}
    open_ones = {ghost.subscription_id: ghost for ghost in held if ghost.state == GhostState.IMPENDING}
    updated = sum(
        _update(work, open_ones[renewal.subscription_id], renewal, ended)
        for renewal, _ in wanted
        if renewal.subscription_id in open_ones
    )
    fresh = [
        (renewal, seen)
        for renewal, seen in wanted
        if seen.outlook is Outlook.AT_RISK and renewal.id not in ended and _is_free(open_ones, renewal)
    ]
    found = _create(work, _not_forgotten(work, fresh), via)
    work.finish()
    return Watched(found, updated)


def _is_free(open_ones: dict[str | None, GhostTarget], renewal: RenewalFacts) -> bool:
    ghost = open_ones.get(renewal.subscription_id)
    return ghost is None or ghost.state != GhostState.IMPENDING


def _not_forgotten(work: Work, fresh: list[tuple[RenewalFacts, Assessment]]) -> list[tuple[RenewalFacts, Assessment]]:
    """Without the customers who asked to be forgotten, and without what has none."""
    asked = [renewal for renewal, _ in fresh if renewal.customer.id]
    gone = tombstones.buried(work.session, work.merchant.id, asked) if asked else set()
    return [(renewal, seen) for renewal, seen in fresh if renewal in asked and renewal.id not in gone]


def _create(work: Work, fresh: Iterable[tuple[RenewalFacts, Assessment]], via: FoundVia) -> int:
    found = 0
    for renewal, seen in fresh:
        ghost = GhostTarget.fresh(
            merchant_id=work.merchant.id,
            id=ids.new_id("gh"),
            kind=GhostKind.IMPENDING,
            state=GhostState.IMPENDING,
            found_via=via,
            invoice_id=renewal.id,
            subscription_id=renewal.subscription_id,
            customer_id=renewal.customer.id,
            billing_reason="subscription_cycle",
            currency=renewal.currency,
            strategy=Strategy.NONE,
            original_invoice_date=renewal.charge_at,
            found_at=work.now,
            found_on=work.now.date(),
            updated_at=work.now,
        )
        _take(ghost, renewal, seen)
        ghost.found_cents = ghost.amount_cents
        work.add(ghost)
        _count(work, ghost, 1)
        work.event(ghost, "at_risk", seen.reason, via=via, risk=ghost.risk)
        work.plan(ghost)
        found += 1
    return found


def _count(work: Work, ghost: GhostTarget, times: int) -> None:
    work.changes.total(ghost.currency, impending_leakage_cents=times * ghost.amount_cents, impending_ghosts=times)


def _take(ghost: GhostTarget, renewal: RenewalFacts, seen: Assessment) -> bool:
    """Copy what the subscription says now; True when anything differs."""
    card = renewal.method.card if renewal.method else None
    values: dict[str, object] = {
        "charge_at": renewal.charge_at,
        "original_invoice_date": renewal.charge_at,
        "amount_cents": renewal.due,
        "amount_is_about": renewal.is_about,
        "priced_cents": renewal.amount,
        "monthly_value_cents": renewal.monthly_value,
        "subscription_status": renewal.status,
        "risk": seen.kind or "",
        "strategy_reason": f"{seen.reason} {ABOUT}" if renewal.is_about else seen.reason,
        "customer_email": renewal.customer.email or ghost.customer_email,
        "customer_name": renewal.customer.name or ghost.customer_name,
        "customer_phone": renewal.customer.phone or ghost.customer_phone,
        "customer_language": renewal.customer.language or ghost.customer_language,
        "customer_country": renewal.customer.country or ghost.customer_country,
        "payment_method_id": card.payment_method_id if card else None,
        "card_brand": card.brand if card else "",
        "card_funding": card.funding if card else "",
        "card_last4": card.last4 if card else "",
        "country_code": card.country if card else "",
    }
    if ghost.purged_at:
        values = {name: value for name, value in values.items() if name not in _PERSONAL}
    changed = {name: value for name, value in values.items() if getattr(ghost, name) != value}
    for name, value in changed.items():
        setattr(ghost, name, value)
    return bool(changed)


def as_announced(ghost: GhostTarget, renewal: RenewalFacts) -> RenewalFacts:
    """With what Stripe announced of this charge before: that holds while the subscription costs what it did then."""
    is_same = ghost.charge_at == renewal.charge_at and ghost.priced_cents == renewal.amount
    if renewal.announced is not None or not is_same or ghost.amount_is_about:
        return renewal
    return replace(renewal, announced=ghost.amount_cents)


def _update(work: Work, ghost: GhostTarget, told: RenewalFacts, ended: set[str]) -> bool:
    """What became of a charge at risk. Changes nothing while that is not certain."""
    renewal = as_announced(ghost, told)
    seen = assess(renewal, work.merchant.policy, work.now)
    if _is_past(ghost, renewal, work.now):
        return _is_settled(work, ghost, renewal)
    if seen.outlook is Outlook.NO_CHARGE:
        return dismiss(work, ghost, seen.reason)
    if seen.outlook is Outlook.SAFE:
        if ghost.risk == RiskKind.ABOVE_LINE:
            return dismiss(work, ghost, "The next charge is not above your alert line any more.")
        by_customer = _has_another_card(ghost, renewal)
        reason = (
            "There is another card for the next charge." if by_customer else "The card was renewed before the charge."
        )
        return protect(work, ghost, reason, by_customer=by_customer)
    if seen.outlook is Outlook.NOT_IN_SIGHT:
        return False
    former = ghost.amount_cents
    if renewal.id not in ended:
        ghost.invoice_id = renewal.id
    changed = _take(ghost, renewal, seen)
    if ghost.amount_cents != former:
        work.changes.total(ghost.currency, impending_leakage_cents=ghost.amount_cents - former)
    if changed:
        ghost.updated_at = work.now
        work.event(ghost, "risk_changed", seen.reason, risk=ghost.risk, amount=ghost.amount_cents)
        work.plan(ghost)
    return changed


def _is_settled(work: Work, ghost: GhostTarget, renewal: RenewalFacts) -> bool:
    """What became of a charge whose period is over, once that can be told; each ends within a few days.

    A subscription that is over says nothing of its last charge. Of one that owes, the invoice says it: it is this
    ghost from then on, or, after `LATE`, another one's.
    """
    if renewal.status in _OVER:
        return dismiss(work, ghost, "The subscription ended.")
    if renewal.status == "active" and work.now >= _charge_at(ghost) + SETTLING:
        return _went_through(work, ghost, by_customer=_has_another_card(ghost, renewal))
    if work.now > _charge_at(ghost) + LATE:
        return dismiss(work, ghost, "The day of the charge is past, and no charge of that day failed.")
    return False


def _charge_at(ghost: GhostTarget) -> datetime:
    return ghost.charge_at or ghost.found_at


def _is_past(ghost: GhostTarget, renewal: RenewalFacts, now: datetime) -> bool:
    """Whether the period that the charge was for is over: the subscription is in the next one."""
    return now >= _charge_at(ghost) and renewal.charge_at > _charge_at(ghost)


def _has_another_card(ghost: GhostTarget, renewal: RenewalFacts) -> bool:
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


def end(session: Session, merchant: MerchantContext, subscription_ids: Sequence[str], now: datetime) -> int:
    """Subscriptions that are gone at Stripe: no charge of theirs will come. How many were thought to."""
    work = Work.begin(session, merchant, now, shards.ALL)
    ghosts = impending_repository.lock_impending(session, merchant.id, subscription_ids)
    done = sum(dismiss(work, ghost, "The subscription was deleted at Stripe.") for ghost in ghosts)
    work.finish()
    return done


def paid(session: Session, merchant: MerchantContext, facts: InvoiceFacts, now: datetime) -> bool:
    """The charge of an invoice went through: whatever stood at risk for it is over. Whether anything did."""
    if facts.subscription_id is None or facts.status != "paid":
        return False
    if not impending_repository.watched(session, merchant.id, [facts.subscription_id]):
        return False
    work = Work.begin(session, merchant, now, shards.of_customer(facts.customer.id))
    ghosts = impending_repository.lock_impending(session, merchant.id, [facts.subscription_id])
    done = [_paid(work, ghost, facts) for ghost in ghosts if _is_of(ghost, facts)]
    work.finish()
    return any(done)


def _paid(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """What was protected is what was paid, whatever was expected: a credit may have left less, or nothing, to pay."""
    if ghost.state != GhostState.IMPENDING:
        return False
    amount = facts.amount_due if facts.paid_out_of_band else facts.amount_paid
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
        ghost = next((each for each in left if _is_of(each, facts)), None)
        if ghost is not None:
            found[facts.id] = ghost
            left.remove(ghost)
    return found


def _is_of(ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """Whether an invoice is the charge that stood at risk: of the subscription, made when it was due."""
    due = _charge_at(ghost)
    return (
        ghost.subscription_id == facts.subscription_id
        and ghost.currency == facts.currency
        and due - timedelta(hours=1) <= facts.created <= due + LATE
    )


def charge_failed(work: Work, ghost: GhostTarget, reason: str) -> None:
    """The charge failed after all: what it counted as impending or protected is taken back, and it begins anew.

    The caller fills in what the invoice says, and counts it as found now.
    """
    former = GhostState(ghost.state)
    if former is GhostState.IMPENDING:
        _count(work, ghost, -1)
    elif former is GhostState.PROTECTED:
        protected = impending_repository.protected_amount(work.session, ghost)
        _enter(work, ghost, -protected, f"failed:{ghost.invoice_id}"[:64], work.now)
    ghost.kind, ghost.state = GhostKind.FAILED, GhostState.OPEN
    ghost.closed_at, ghost.close_reason, ghost.mechanism = None, "", ""
    ghost.amount_is_about, ghost.priced_cents = False, None
    # What was said before the failure, and clicked, is no part of the failed one's funnel.
    ghost.contacted_at = ghost.clicked_at = ghost.last_clicked_at = None
    ghost.messages_sent = ghost.click_count = 0
    work.event(ghost, Trigger.CHARGE_FAILED.value, reason, former=former)
