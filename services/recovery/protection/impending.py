"""Charges that have not failed yet: found at risk and kept up to date, until something becomes of them (`outcomes`).

Hunts (over renewing subscriptions) and webhooks (about cards and coming invoices) meet here, as they do in `observe`
for what has failed. A subscription has one ghost at risk at most; its charge's date may move with it. While it is
impending it carries no leakage: its sums are those of what is impending.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from core import ids
from models.ghost import FoundVia, GhostKind, GhostState, GhostTarget, Strategy
from services.analytics import shards
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.renewals import RenewalFacts
from services.recovery import tombstones
from services.recovery.protection import impending_repository, outcomes
from services.recovery.protection.risk import Assessment, Outlook, RiskKind, assess
from services.recovery.work import MerchantContext, Work

ABOUT = "The amount is about right: discounts, taxes or use may change it."
_PERSONAL = ("customer_email", "customer_name", "customer_phone", "customer_language", "card_last4")


@dataclass(frozen=True, slots=True)
class Watched:
    """How many charges were found at risk, how many changed what they are, and whose they were or are."""

    found: int = 0
    updated: int = 0
    subscription_ids: tuple[str, ...] = ()


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
    return Watched(found, updated, tuple(renewal.subscription_id for renewal, _ in wanted))


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
        outcomes.count_at_risk(work, ghost, 1)
        work.event(ghost, "at_risk", seen.reason, via=via, risk=ghost.risk)
        work.plan(ghost)
        found += 1
    return found


def _take(ghost: GhostTarget, renewal: RenewalFacts, seen: Assessment) -> bool:
    """Copy what the subscription says now; True when anything differs."""
    card = renewal.method.card if renewal.method else None
    is_read = renewal.customer.is_read  # then what is missing was taken off them
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
        "customer_email": renewal.customer.email or (None if is_read else ghost.customer_email),
        "customer_name": renewal.customer.name or ghost.customer_name,
        "customer_phone": renewal.customer.phone or (None if is_read else ghost.customer_phone),
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
    if outcomes.is_past(ghost, renewal, work.now):
        return outcomes.settle_past(work, ghost, renewal)
    if seen.outlook is Outlook.NO_CHARGE:
        return outcomes.dismiss(work, ghost, seen.reason)
    if seen.outlook is Outlook.SAFE:
        if ghost.risk == RiskKind.ABOVE_LINE:
            return outcomes.dismiss(work, ghost, "The next charge is not above your alert line any more.")
        by_customer = outcomes.has_another_card(ghost, renewal)
        reason = (
            "There is another card for the next charge." if by_customer else "The card was renewed before the charge."
        )
        return outcomes.protect(work, ghost, reason, by_customer=by_customer)
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


def end(session: Session, merchant: MerchantContext, subscription_ids: Sequence[str], now: datetime) -> int:
    """Subscriptions that are gone at Stripe: no charge of theirs will come. How many were thought to."""
    work = Work.begin(session, merchant, now, shards.ALL)
    ghosts = impending_repository.lock_impending(session, merchant.id, subscription_ids)
    done = sum(outcomes.dismiss(work, ghost, "The subscription was deleted at Stripe.") for ghost in ghosts)
    work.finish()
    return done


def is_watched(session: Session, merchant_id: str, facts: InvoiceFacts) -> bool:
    """Whether a charge of this invoice's subscription stands at risk."""
    return facts.subscription_id is not None and bool(
        impending_repository.watched(session, merchant_id, [facts.subscription_id])
    )


def paid(session: Session, merchant: MerchantContext, facts: InvoiceFacts, now: datetime) -> bool:
    """The charge of an invoice went through: whatever stood at risk for it is over. Whether anything did."""
    if facts.subscription_id is None or facts.status != "paid" or not is_watched(session, merchant.id, facts):
        return False
    work = Work.begin(session, merchant, now, shards.of_customer(facts.customer.id))
    ghosts = impending_repository.lock_impending(session, merchant.id, [facts.subscription_id])
    done = [outcomes.take_payment(work, ghost, facts) for ghost in ghosts if outcomes.is_of(ghost, facts)]
    work.finish()
    return any(done)
