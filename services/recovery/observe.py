"""The one upsert where hunt and webhook meet: what an invoice's own state says becomes the ghost's state.

Idempotent: seeing the same object again changes nothing, seeing an older hint changes nothing, in whatever order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from core import ids
from models.ghost import (
    COLLECTIBLE_STATES,
    OPEN_STATES,
    UNPAID_STATES,
    FoundVia,
    GhostKind,
    GhostState,
    GhostTarget,
    Strategy,
)
from services.audit import service as audit
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.recovery import manual, neighbours, presence, purge, repository, tombstones
from services.recovery.charging import attempts, attempts_repository
from services.recovery.classify import Classification, Verdict, classify
from services.recovery.credit import parts, settle
from services.recovery.credit.settle import CLOCKS
from services.recovery.lifecycle import Trigger
from services.recovery.plans import plan_repository
from services.recovery.protection.outcomes import charge_failed, lock_at_risk
from services.recovery.strategy import Decision, DeclineGroup, decide
from services.recovery.work import MerchantContext, Work

COUNTED_ALONE = "Stripe counted another attempt and made none: it does not charge a card again after this decline."
# What a purge empties, and no later look at Stripe fills again.
_PERSONAL = frozenset({"customer_email", "customer_name", "customer_phone", "customer_language", "card_last4"})


@dataclass(frozen=True, slots=True)
class Observed:
    """How many ghosts a batch made, changed, and left as they were."""

    found: int = 0
    updated: int = 0
    unchanged: int = 0


def observe(
    session: Session, merchant: MerchantContext, batch: Sequence[InvoiceFacts], via: FoundVia, now: datetime
) -> Observed:
    """Bring the ghosts of these invoices up to date, in one transaction of the caller's.

    Invoices that are no ghosts and have none are passed over, and those whose customer was removed. `now` is aware UTC.
    """
    work = Work.begin(session, merchant, now, neighbours.needed(session, merchant.id, batch))
    existing = repository.lock_by_invoices(session, merchant.id, [facts.id for facts in batch])
    verdicts = [(facts, classify(facts, merchant.policy)) for facts in batch]
    fresh = [
        (facts, verdict)
        for facts, verdict in verdicts
        if facts.id not in existing and _starts_a_ghost(facts, verdict, via)
    ]
    nameless = [facts for facts in batch if _gets_a_name(existing.get(facts.id), facts)]
    asked = [facts for facts, _ in fresh] + nameless
    removed = tombstones.buried(session, merchant.id, asked) if asked else set()
    forgotten = [existing[facts.id] for facts in nameless if facts.id in removed]
    for each in forgotten:
        purge.forget(work, each, purge.ON_REQUEST)
    changed = {ghost.invoice_id for ghost in forgotten}
    for facts, verdict in verdicts:
        ghost = existing.get(facts.id)
        if ghost is not None and _update(work, ghost, facts, verdict):
            changed.add(facts.id)
    updated = len(changed)
    fresh = [(facts, verdict) for facts, verdict in fresh if facts.id not in removed]
    at_risk = lock_at_risk(session, merchant.id, [facts for facts, _ in fresh])
    ghosts = _create(work, fresh, via, at_risk)
    work.finish()
    if forgotten:
        purge.finish(work, forgotten)
    if ghosts and via is FoundVia.WEBHOOK:  # a hunt tells once, at its end
        _tell(session, merchant, ghosts, via)
    return Observed(len(ghosts), updated, len(existing) - updated)


def write_off(session: Session, merchant: MerchantContext, invoice_ids: Sequence[str], now: datetime) -> int:
    """Lose the ghosts of invoices that no longer exist at Stripe. Returns how many were."""
    work = Work.begin(session, merchant, now, neighbours.of_invoices(session, merchant.id, (), invoice_ids))
    ghosts = repository.lock_by_invoices(session, merchant.id, invoice_ids).values()
    lost = sum(settle.lose(work, ghost, "The invoice was deleted at Stripe.", Trigger.LOST) for ghost in ghosts)
    work.finish()
    return lost


def _gets_a_name(ghost: GhostTarget | None, facts: InvoiceFacts) -> bool:
    """Whether this is the first word of whose invoice a ghost's is: somebody's, perhaps, who asked to be forgotten."""
    return ghost is not None and ghost.purged_at is None and not ghost.customer_id and bool(facts.customer.id)


def _starts_a_ghost(facts: InvoiceFacts, verdict: Classification, via: FoundVia) -> bool:
    if verdict.verdict is Verdict.GHOST:
        return True
    # The historic audit lists uncollectible invoices too: they enter as lost, so that the past is complete.
    return (
        via is FoundVia.AUDIT
        and facts.status == "uncollectible"
        and facts.subscription_id is not None
        and facts.attempt_count > 0
        and facts.amount_remaining > 0
    )


def _create(
    work: Work, fresh: list[tuple[InvoiceFacts, Classification]], via: FoundVia, at_risk: dict[str, GhostTarget]
) -> list[GhostTarget]:
    """Ghosts of failed invoices; those in `at_risk` (by invoice id) were seen coming, and stay the same ones."""
    wanted = {facts.subscription_id for facts, _ in fresh if facts.subscription_id}
    carried = repository.shadow_carriers(work.session, work.merchant.id, wanted) if wanted else set()
    ghosts, charges = [], []
    for facts, verdict in fresh:
        ghost = _new_ghost(work, facts, verdict, via, at_risk.get(facts.id))
        charges += attempts.of_stripe(ghost, 0, None, work.now)
        stays = verdict.verdict is Verdict.GHOST and ghost.strategy != Strategy.STOPPED
        if stays and facts.subscription_id and facts.subscription_id not in carried:
            ghost.shadow_cents = facts.monthly_value
            carried.add(facts.subscription_id)
        if facts.id not in at_risk:
            work.add(ghost)
        work.changes.day(ghost.found_on, ghost.currency, found_count=1, found_cents=ghost.amount_cents)
        work.money("found", ghost.currency, ghost.amount_cents, via)
        work.changes.total(
            ghost.currency,
            leakage_cents=ghost.amount_cents,
            shadow_leakage_cents=ghost.shadow_cents,
            open_ghosts=1,
        )
        work.count_in_group(ghost, 1)
        work.event(ghost, "found", verdict.reason, via=via, attempt=facts.attempt_count)
        work.event(ghost, "strategy_chosen", ghost.strategy_reason, strategy=ghost.strategy)
        if verdict.verdict is Verdict.LOST:
            settle.lose(work, ghost, verdict.reason, Trigger.LOST)
        elif ghost.strategy == Strategy.STOPPED:
            settle.lose(work, ghost, ghost.strategy_reason, Trigger.STOPPED)
        else:
            work.plan(ghost)
        ghosts.append(ghost)
    presence.take_over(work.session, work.merchant.id, ghosts)
    repository.add_attempts(work.session, charges)
    for ghost in ghosts:
        if ghost.strategy == Strategy.HIGH_VALUE_MANUAL:
            manual.open_task(work.session, ghost, work.now)
    return ghosts


def _new_ghost(
    work: Work, facts: InvoiceFacts, verdict: Classification, via: FoundVia, former: GhostTarget | None
) -> GhostTarget:
    values: dict[str, Any] = {
        "found_via": via,
        "invoice_id": facts.id,
        "subscription_id": facts.subscription_id,
        "original_invoice_date": facts.created,
        "billing_reason": facts.billing_reason,
        "found_cents": facts.amount_remaining,
        "paid_before_cents": facts.amount_paid,
        "amount_cents": facts.amount_remaining,
        "currency": facts.currency,
        "monthly_value_cents": facts.monthly_value,
        "found_at": work.now,
        "found_on": work.now.date(),
        "updated_at": work.now,
    }
    if former is None:
        begins = {"kind": GhostKind.FAILED, "state": GhostState.OPEN}
        ghost = GhostTarget.fresh(merchant_id=work.merchant.id, id=ids.new_id("gh"), **begins, **values)
    else:
        ghost = former
        charge_failed(work, ghost, verdict.reason)
        ghost.purged_at = None  # found anew, with days of its own: who asked to be forgotten never comes so far
        for name, value in values.items():
            setattr(ghost, name, value)
    _take_facts(work, ghost, facts)
    return ghost


def _take_facts(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """Copy what Stripe says now; True when anything differs. A blank never erases what was known.

    But for the address and the number of a customer who was read: without them they are nobody's to write to.
    A customer stays the first one heard of: an invoice's never changes, and shards rely on it.
    """
    values: dict[str, object] = {
        "customer_id": ghost.customer_id or facts.customer.id,
        "customer_email": facts.customer.email,
        "customer_name": facts.customer.name,
        "customer_phone": facts.customer.phone,
        "customer_language": facts.customer.language,
        "customer_country": facts.customer.country,
        "payment_intent_id": facts.payment_intent_id,
        "payment_method_id": facts.card.payment_method_id,
        "card_brand": facts.card.brand,
        "card_funding": facts.card.funding,
        "card_last4": facts.card.last4,
        "card_fingerprint": facts.card.fingerprint,
        "charge_id": facts.decline.charge_id,
        "country_code": facts.card.country,
        "stripe_error_code": facts.decline.error_code,
        "decline_code": facts.decline.decline_code,
        "advice_code": facts.decline.advice_code,
        "subscription_status": facts.subscription_status,
        "api_shape": facts.shape,
    }
    personal = _PERSONAL if ghost.purged_at else frozenset()
    erased = {"customer_email", "customer_phone"} if facts.customer.is_read else set()
    values = {name: value for name, value in values.items() if (value or name in erased) and name not in personal}
    if facts.payment_intent_id or facts.decline.requires_3ds:  # without a payment it is not known, which is no "no"
        values["requires_3ds"] = facts.decline.requires_3ds
    if facts.default_card_ids:
        failed, before = facts.card.payment_method_id or ghost.payment_method_id, ghost.payment_method_id
        if before != failed and before in facts.default_card_ids:
            values["passed_over_card_id"] = before  # it was declined before this one: no newer card to charge at once
        values["spare_card_id"] = next((card for card in facts.default_card_ids if card != failed), ghost.spare_card_id)
    # Attempts only ever grow: an older snapshot must not turn the count back.
    if facts.attempt_count >= (ghost.attempt_count or 0):
        values |= {"attempt_count": facts.attempt_count, "next_payment_attempt": facts.next_payment_attempt}
    changed = False
    for name, value in values.items():
        if getattr(ghost, name, None) != value:
            setattr(ghost, name, value)
            changed = True
    if (changed or facts.amount_remaining != ghost.amount_cents) and facts.read_at is not None:
        ghost.seen_at = facts.read_at
    decision = decide(
        _last_decline(ghost, facts),
        attempts=ghost.attempt_count,
        amount=facts.amount_remaining,
        high_value_line=work.merchant.policy.high_value_line(facts.currency),
    )
    told_anew = (ghost.strategy, ghost.decline_group) != (decision.strategy, decision.group)
    if (told_anew and not _left_as_it_is(work, ghost, decision)) or not ghost.strategy_reason:
        ghost.strategy, ghost.decline_group = decision.strategy, decision.group
        ghost.strategy_reason = decision.reason
        changed = True
    if decision.group is DeclineGroup.UNKNOWN and changed:
        audit.log_event(
            work.session,
            work.merchant.id,
            "recovery.unknown_decline_code",
            f"Stripe gave a decline code PHANTOM does not know: {ghost.decline_code or 'none'}.",
            level="warning",
        )
    return changed


def _left_as_it_is(work: Work, ghost: GhostTarget, decision: Decision) -> bool:
    """Whether a person is done with it: that it needs none any more, by another amount or line, hands nothing back."""
    if ghost.strategy != Strategy.HIGH_VALUE_MANUAL or decision.strategy in (ghost.strategy, Strategy.STOPPED):
        return False
    _, is_done = plan_repository.list_by_people(work.session, work.merchant.id, [ghost.id]).get(ghost.id, (None, False))
    return is_done


def _last_decline(ghost: GhostTarget, facts: InvoiceFacts) -> DeclineFacts:
    """What the snapshot says of the bank's refusal; one that says nothing leaves standing what was said before."""
    told = facts.decline
    if told.decline_code or told.error_code or told.requires_3ds:
        return told
    return DeclineFacts(ghost.stripe_error_code, ghost.decline_code, ghost.advice_code, bool(ghost.requires_3ds))


def _update(work: Work, ghost: GhostTarget, facts: InvoiceFacts, verdict: Classification) -> bool:
    if verdict.verdict is Verdict.PAID:
        recovered = settle.recover(work, ghost, facts)
        if not recovered:
            parts.learn(work, ghost, facts)
        return recovered
    reopened = _is_open_again(ghost, facts, verdict) and settle.reopen(work, ghost, facts)
    if GhostState(ghost.state) not in UNPAID_STATES:
        return False
    if _is_older(ghost, facts):
        return reopened
    if verdict.verdict in (Verdict.LOST, Verdict.STOPPED):
        trigger = Trigger.LOST if verdict.verdict is Verdict.LOST else Trigger.STOPPED
        if facts.subscription_status and facts.subscription_status != ghost.subscription_status:
            ghost.subscription_status = facts.subscription_status
            work.plan(ghost)  # who told the bank to stop and then cancels gets no note
        return settle.lose(work, ghost, verdict.reason, trigger, still_open=facts.status == "open")
    if facts.status != "open":
        return False
    return _refresh_open(work, ghost, facts) or reopened


def _is_older(ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    """Whether Stripe was asked for these facts before it was asked for what is known: a list's page, stored late."""
    return facts.read_at is not None and ghost.seen_at is not None and facts.read_at + CLOCKS < ghost.seen_at


def _is_open_again(ghost: GhostTarget, facts: InvoiceFacts, verdict: Classification) -> bool:
    """Whether Stripe was asked after the ghost had ended, and says that its invoice is owed again.

    What a list or an event showed may be older than the end itself, and proves nothing; nor does what was read within
    seconds of it, because the end may have been written down by a host whose clock goes after this one's.
    """
    if verdict.verdict is not Verdict.GHOST or facts.read_at is None or facts.read_at <= ghost.updated_at + CLOCKS:
        return False
    stopped = ghost.state == GhostState.STOPPED and ghost.strategy != Strategy.STOPPED
    return stopped or ghost.state == GhostState.RECOVERED


def _refresh_open(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
    former_attempts, former_strategy = ghost.attempt_count, ghost.strategy
    former_charge, former_code, due = ghost.charge_id, ghost.decline_code, ghost.next_payment_attempt
    chased = ghost.state in OPEN_STATES
    work.count_in_group(ghost, -chased)  # amount and group are about to change
    changed = _take_facts(work, ghost, facts)
    settle.returned_before(work, ghost, facts)
    if facts.amount_remaining != ghost.amount_cents:
        work.changes.total(ghost.currency, leakage_cents=facts.amount_remaining - ghost.amount_cents)
        work.event(ghost, "amount_changed", "The open amount of the invoice changed.", amount=facts.amount_remaining)
        ghost.amount_cents = facts.amount_remaining
        changed = True
    work.count_in_group(ghost, chased)
    if ghost.attempt_count > former_attempts and not attempts.was_charged(ghost, former_code, former_charge):
        work.event(ghost, "attempt_counted", COUNTED_ALONE, attempt=ghost.attempt_count, code=ghost.decline_code)
    elif ghost.attempt_count > former_attempts:
        work.event(
            ghost, "attempt_failed", "Another charge failed.", attempt=ghost.attempt_count, code=ghost.decline_code
        )
        repository.add_attempts(work.session, attempts.of_stripe(ghost, former_attempts, due, work.now))
    elif former_charge and ghost.charge_id != former_charge:
        _note_customers_own(work, ghost)
    if ghost.strategy != former_strategy:
        work.event(ghost, "strategy_changed", ghost.strategy_reason, strategy=ghost.strategy, before=former_strategy)
        if ghost.strategy == Strategy.HIGH_VALUE_MANUAL:
            manual.open_task(work.session, ghost, work.now)
        if former_strategy == Strategy.HIGH_VALUE_MANUAL:
            manual.no_person_needed(work.session, ghost, work.now)
        if ghost.strategy == Strategy.STOPPED:
            return settle.lose(work, ghost, ghost.strategy_reason, Trigger.STOPPED)
    if changed:
        ghost.updated_at = work.now
        if ghost.state in COLLECTIBLE_STATES:  # closed to messages, and still charged
            work.plan(ghost)
    return changed


def _note_customers_own(work: Work, ghost: GhostTarget) -> None:
    """Another charge, and Stripe counts no attempt: somebody paid on the hosted page, unless it was us."""
    if attempts_repository.is_known_or_ours(work.session, ghost):
        return
    repository.add_attempts(work.session, [attempts.of_customer(ghost, work.now)])
    work.event(ghost, "customer_tried", "The customer tried to pay, and the bank declined.", code=ghost.decline_code)


def _tell(session: Session, merchant: MerchantContext, ghosts: list[GhostTarget], via: FoundVia) -> None:
    word = "ghost" if len(ghosts) == 1 else "ghosts"
    audit.log_event(
        session,
        merchant.id,
        "hunter.ghosts_found",
        f"{len(ghosts)} {word} found ({via}).",
        facts={"count": len(ghosts)},
    )
