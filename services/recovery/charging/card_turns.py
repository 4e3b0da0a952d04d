"""One card at a time: who is about to charge a card waits for whoever is, and sees what was charged to it of late.

A card is its number, not Stripe's id of it: the same plastic saved twice has two ids and one fingerprint, one turn, one
budget and one fate. Where Stripe gives no fingerprint the id has to do.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from core.config import settings
from core.locks import wait_transaction_lock
from models.ghost import GhostTarget
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.integrations.stripe.cards import SavedCard
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.recovery.charging import attempts_repository, budget, choosing
from services.recovery.charging.budget import MADE
from services.recovery.charging.charges import values_of
from services.recovery.charging.retries import why_card_is_done, why_number_is_done
from services.recovery.strategy import group_of


def take(session: Session, merchant_id: str, card: SavedCard, now: datetime) -> Sequence[PaymentAttempt]:
    """What was charged to this card of late, oldest first; until the transaction ends nobody else begins a charge."""
    wait_transaction_lock(session, f"card:{merchant_id}:{card.fingerprint or card.id}")
    return _made(session, merchant_id, card, now)


def passed_over(
    session: Session, ghost: GhostTarget, cards: Sequence[SavedCard], fresh: InvoiceFacts, now: datetime
) -> frozenset[str]:
    """The new cards that had their turn for a ghost, or can have none now: one that was saved with them may take it.

    `cards` are those attached to the customer, `fresh` the invoice as it is.
    """
    passed = set(attempts_repository.tried_new_cards(session, ghost.merchant_id, ghost.id))
    while (card := choosing.newer_card(cards, fresh, now, passed)) is not None:
        made = _made(session, ghost.merchant_id, card, now)
        if not is_done(ghost, card, made) and free_from(card, made, now) <= now:
            break
        passed.add(card.id)
    return frozenset(passed)


def free_from(card: SavedCard, made: Iterable[PaymentAttempt], now: datetime) -> datetime:
    """From when on the networks' limits allow another charge of a card; `now` where they do."""
    return budget.free_from(card.brand, values_of(made), now, settings().card_limits)


def _made(session: Session, merchant_id: str, card: SavedCard, now: datetime) -> Sequence[PaymentAttempt]:
    since = now - timedelta(days=max(limit.days for limit in settings().card_limits))
    return attempts_repository.list_of_card(session, merchant_id, card.id, card.fingerprint, since)


def is_done(ghost: GhostTarget, card: SavedCard, made: Iterable[PaymentAttempt]) -> bool:
    """Whether a card that comes as a new one was declined before in a way that saving it again does not mend."""
    if card.fingerprint and card.fingerprint == ghost.card_fingerprint and why_number_is_done(_of(ghost)):
        return True
    return any(_ends(card, one) for one in made if one.state == AttemptState.DECLINED)


def last_of_ours(ghost: GhostTarget, made: Iterable[PaymentAttempt]) -> datetime | None:
    """When we last charged a card for this ghost without being paid, as far as is known; None when we never did."""
    ours = (one for one in made if one.ghost_id == ghost.id and one.source == AttemptSource.PHANTOM)
    return max((one.attempted_at for one in ours if one.state in MADE), default=None)


def _ends(card: SavedCard, one: PaymentAttempt) -> bool:
    decline = DeclineFacts(decline_code=one.decline_code)
    if one.payment_method_id == card.id and one.source == AttemptSource.PHANTOM:
        return bool(why_card_is_done(decline, group_of(decline), ""))
    return bool(why_number_is_done(decline))


def _of(ghost: GhostTarget) -> DeclineFacts:
    return DeclineFacts(ghost.stripe_error_code, ghost.decline_code, ghost.advice_code)
