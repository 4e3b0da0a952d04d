"""Charging a ghost's card again by ourselves: a fresh look, the intent, then `paying.charge` and `paying.settle`.

The look decides: what is paid, void, cancelled or changed, whose card Stripe is about to charge itself, who is paying
at this moment, and whose card's budget is used up, is not charged. The intent is committed before the call under a
key of its own, and a crash repeats the call with the same key for as long as Stripe remembers it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from core import clock
from core.config import settings
from models.ghost import COLLECTIBLE_STATES, FoundVia, GhostTarget
from models.money import UNSETTLED, AttemptSource, AttemptState, PaymentAttempt
from services.integrations.stripe.cards import SavedCard
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.recovery import neighbours, repository
from services.recovery.charging import attempts_repository, budget, card_turns, choosing, intents, paying, retries
from services.recovery.charging.charges import values_of
from services.recovery.charging.intents import LIMITS, Begun
from services.recovery.charging.paying import KEY_MEMORY, Charge
from services.recovery.classify import Verdict, classify
from services.recovery.observe import observe
from services.recovery.strategy import group_of
from services.recovery.work import Work, merchant_context

CHANGED = "The open amount has just changed: not today."
OTHER_CARD = "The card on file is not the one that failed, and how it fares is not known."
NO_CARD = "The customer has no card on file."


@dataclass(frozen=True, slots=True)
class Cards:
    """A customer's cards as a fresh look found them: the default ones in Stripe's order, and all that are attached."""

    on_file: tuple[SavedCard, ...]
    attached: tuple[SavedCard, ...] = ()


def invoice_of(session: Session, merchant_id: str, ghost_id: str) -> str | None:
    """The invoice to read fresh before a charge; None when there is nothing to charge for any more.

    Of what is paid there may be a charge left that a crash left as begun, under an own retry's key or a spare card's.
    """
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        return None
    matters = ghost.state in COLLECTIBLE_STATES or attempts_repository.begun(session, ghost) is not None
    return ghost.invoice_id if matters else None


def begin(session: Session, merchant_id: str, ghost_id: str, fresh: InvoiceFacts, cards: Cards) -> Begun:
    """Bring the ghost up to date with the fresh look, then commit the intent to charge or say why not."""
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    neighbours.take(session, merchant_id, [fresh])
    before = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    former = before.amount_cents if before else 0
    observe(session, merchant, [fresh], FoundVia.WEBHOOK, now)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [ghost_id]))
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return Begun(None, "there is no such ghost")
    verdict = classify(fresh, merchant.policy).verdict
    attempt = repository.get_attempt(session, merchant_id, _key(ghost))
    of_new = attempts_repository.begun(session, ghost)
    if attempt is not None and attempt.state in UNSETTLED:
        begun = _go_on(work, ghost, attempt, verdict)
    elif of_new is not None and (verdict is Verdict.PAID or of_new.state == AttemptState.PROCESSING):
        begun = intents.go_on(work, ghost, of_new, is_paid=verdict is Verdict.PAID)
    elif verdict is not Verdict.GHOST:
        begun = _not(ghost, classify(fresh, merchant.policy).reason)
    elif former != ghost.amount_cents:
        begun = _not(ghost, CHANGED, now + retries.LOOK_AGAIN)
    else:
        begun = _decide(work, ghost, fresh, cards)
    work.finish()
    return begun


def _go_on(work: Work, ghost: GhostTarget, attempt: PaymentAttempt, verdict: Verdict) -> Begun:
    """A crash left this attempt as begun: the same call again, unless Stripe no longer knows the key or the sense.

    Nor where a word said since forbids it: it may never have been made, and then the call would be the first.
    """
    paid = verdict is Verdict.PAID
    if paying.is_at_the_bank(attempt, work.now):
        return Begun(
            replace(_charge(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key), is_made=True)
        )
    forbidden = retries.why_untouchable(work.merchant.policy, retries.case_of(ghost))
    if work.now - attempt.attempted_at < KEY_MEMORY and (paid or (verdict is Verdict.GHOST and not forbidden)):
        planned = _charge(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key)
        return Begun(replace(planned, is_repeat=True))
    paying.leave(attempt, ghost, work.now, is_paid=paid)
    paying.count_retry(work, ghost, attempt)
    return Begun(None, paying.UNKNOWN)


def _decide(work: Work, ghost: GhostTarget, fresh: InvoiceFacts, cards: Cards) -> Begun:
    if retries.case_of(ghost).has_spare_card:
        passed = card_turns.passed_over(work.session, ghost, cards.attached, fresh, work.now)
        newest = choosing.newer_card(cards.attached, fresh, work.now)
        spare = choosing.newer_card(cards.attached, fresh, work.now, passed) or newest
        if spare is not None:
            return _charge_spare(work, ghost, spare)
        ghost.passed_over_card_id = ghost.spare_card_id
    card = _last_new_card(work, ghost, cards.attached) or next(iter(cards.on_file), None)
    if card is None:
        return _not(ghost, NO_CARD)
    made = card_turns.take(work.session, ghost.merchant_id, card, work.now)
    case = _case_with(ghost, card, made)
    if case is None:
        return _not(ghost, OTHER_CARD)
    return _within_limits(work, ghost, card, case, made)


def _last_new_card(work: Work, ghost: GhostTarget, attached: Sequence[SavedCard]) -> SavedCard | None:
    """The card that we charged as the customer's new one, if it is still theirs and what was declined last.

    They gave it to pay with, so it is asked again rather than the one before it, which stays Stripe's until one of
    them has paid.
    """
    card = next((each for each in attached if each.id == ghost.payment_method_id and not each.is_over(work.now)), None)
    if card is None:
        return None
    made = repository.get_attempt(work.session, ghost.merchant_id, intents.key_of(ghost.id, card.id))
    return card if made is not None and made.state == AttemptState.DECLINED else None


def _charge_spare(work: Work, ghost: GhostTarget, spare: SavedCard) -> Begun:
    """What a new card's event would have done, had the ghost been there already."""
    due = retries.next_retry(work.merchant.policy, retries.case_of(ghost), work.now)
    if due.at is None or due.at > work.now:
        return _not(ghost, due.reason, due.look_at)
    key = intents.key_of(ghost.id, spare.id)
    former = repository.get_attempt(work.session, ghost.merchant_id, key)
    if former is None:
        begun = intents.intend(work, ghost, spare, key)
    elif former.state in UNSETTLED:
        begun = intents.go_on(work, ghost, former, is_paid=False)  # a ghost is none that is paid
    else:
        begun = Begun(None, "This card was tried before.")
    if begun.charge is not None:
        return begun
    # The newest is what the marked one stands for: without it nothing newer is left to try.
    ghost.passed_over_card_id = None if begun.again_at else ghost.spare_card_id
    return _not(ghost, begun.reason, begun.again_at)


def _within_limits(
    work: Work, ghost: GhostTarget, card: SavedCard, case: retries.Case, made: Sequence[PaymentAttempt]
) -> Begun:
    if why := retries.may_charge(work.merchant.policy, case, work.now):
        return _replanned(work, ghost, case, why)
    reserved = int(case.next_payment_attempt is not None)
    free = budget.free_from(card.brand, values_of(made), work.now, settings().card_limits, reserved=reserved)
    if free > work.now:
        return _not(ghost, LIMITS, free)
    intents.start(work, ghost, card, _key(ghost))
    return Begun(_charge(work, ghost, card.id, _key(ghost)))


def _case_with(ghost: GhostTarget, card: SavedCard, made: Sequence[PaymentAttempt]) -> retries.Case | None:
    """The case of the card that Stripe would charge, with what became of it last; None when nobody tried it yet.

    What a customer tried on the hosted page may have been another card: its decline says nothing of this one.
    """
    case = retries.case_of(ghost)
    merchants = [one.attempted_at for one in made if one.source != AttemptSource.CUSTOMER]
    theirs = [one.attempted_at for one in made if one.source == AttemptSource.CUSTOMER]
    case = replace(
        case,
        has_spare_card=False,
        card_id=card.id,
        card_country=card.country or case.card_country,
        last_charge_at=max([*merchants, *([case.last_charge_at] if case.last_charge_at else [])], default=None),
        last_clicked_at=max([*theirs, *([case.last_clicked_at] if case.last_clicked_at else [])], default=None),
    )
    if card.id == ghost.payment_method_id or (card.fingerprint and card.fingerprint == ghost.card_fingerprint):
        return case
    mine = [one for one in made if one.ghost_id == ghost.id and one.state == AttemptState.DECLINED]
    if not mine:
        return None
    decline = DeclineFacts(decline_code=mine[-1].decline_code)
    return replace(case, decline=decline, decline_group=group_of(decline))


def _replanned(work: Work, ghost: GhostTarget, case: retries.Case, why: str) -> Begun:
    retry = retries.next_retry(work.merchant.policy, case, work.now, work.merchant.timezone)
    ghost.next_retry_at, ghost.retry_reason = retry.look_at, retry.reason
    return Begun(None, why)


def _not(ghost: GhostTarget, why: str, at: datetime | None = None) -> Begun:
    ghost.next_retry_at, ghost.retry_reason = at, why
    return Begun(None, why)


def _charge(work: Work, ghost: GhostTarget, card_id: str, key: str) -> Charge:
    declined = attempts_repository.declined_cards(work.session, ghost) - {card_id}
    return replace(intents.charge_of(ghost, card_id, key, is_retry=True), declined_cards=declined)


def is_key(key: str) -> bool:
    """Whether an attempt's key is an own retry's."""
    return key.startswith("retry:")


def _key(ghost: GhostTarget) -> str:
    """One charge each number: settling counts up, so a key that is there and begun is a crash's."""
    return f"retry:{ghost.id}:{ghost.own_retries + 1}"
