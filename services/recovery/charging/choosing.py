"""Which of a customer's cards an open invoice is to be paid with instead of the one that failed. Pure.

Events only say that something may have changed: what is attached to the customer right now, and where Stripe would look
first, decides. So a word that comes late, or after a newer one, chooses nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from services.integrations.stripe.cards import SavedCard
from services.integrations.stripe.facts import InvoiceFacts

TOGETHER = timedelta(minutes=10)  # how far apart somebody saves one card after the other in one go
GONE = "The card is not the customer's any more."
OVER = "The card has run out."
FAILED = "It is the card that failed."
NOT_NEWEST = "The customer has a newer card, or the one that failed is newer."
NOT_CHOSEN = "It is not the card that Stripe charges first any more."


def newer_card(
    cards: Sequence[SavedCard], fresh: InvoiceFacts, now: datetime, declined: Collection[str] = ()
) -> SavedCard | None:
    """The customer's newest card that is good, if it came after the one that failed; None where there is none.

    `cards` are those attached to the customer, as Stripe lists them: the newest first. New ones that were `declined`
    are passed over, and one that was saved together with them has its turn: what somebody replaced later has none.
    Where it is not known when the failed one was saved, the new one must have come after the invoice.
    """
    since = _since(cards, fresh, declined)
    good = [card for card in cards if card.added_at is not None and not card.is_over(now) and card.id not in declined]
    newest = max(good, key=_added_at, default=None)
    if newest is None or newest.id == fresh.card.payment_method_id or _added_at(newest) <= since:
        return None
    return newest


def _since(cards: Sequence[SavedCard], fresh: InvoiceFacts, declined: Collection[str]) -> datetime:
    """After when a card must have been saved to be a new one."""
    if fresh.card.payment_method_id not in declined:
        return max([fresh.card.added_at or fresh.created, *_soon_before(cards, declined)])
    saved = [fresh.card.added_at - TOGETHER] if fresh.card.added_at else []
    return max([fresh.created, *saved, *_soon_before(cards, declined)])


def _soon_before(cards: Sequence[SavedCard], declined: Collection[str]) -> list[datetime]:
    return [card.added_at - TOGETHER for card in cards if card.id in declined and card.added_at is not None]


def why_not_new(
    card_id: str, cards: Sequence[SavedCard], fresh: InvoiceFacts, now: datetime, declined: Collection[str] = ()
) -> str:
    """Why a card that was saved is not the one to pay with; empty when it is. `declined` as for `newer_card`."""
    if why := _why_not(card_id, cards, now):
        return why
    if card_id == fresh.card.payment_method_id:
        return FAILED
    newest = newer_card(cards, fresh, now, declined)
    return "" if newest is not None and newest.id == card_id else NOT_NEWEST


def why_not_chosen(card_id: str, cards: Sequence[SavedCard], fresh: InvoiceFacts, now: datetime) -> str:
    """Why a card that was made the default, new or not, is not the one to pay with; empty when it is."""
    if why := _why_not(card_id, cards, now):
        return why
    if card_id == fresh.card.payment_method_id:
        return FAILED
    return "" if card_id in fresh.default_card_ids else NOT_CHOSEN


def why_not_renewed(card_id: str, cards: Sequence[SavedCard], fresh: InvoiceFacts, now: datetime) -> str:
    """Why a card that the network gave new data is not charged once more; empty when it is."""
    if why := _why_not(card_id, cards, now):
        return why
    return "" if card_id in (fresh.card.payment_method_id, *fresh.default_card_ids) else NOT_CHOSEN


def _why_not(card_id: str, cards: Sequence[SavedCard], now: datetime) -> str:
    card = next((each for each in cards if each.id == card_id), None)
    if card is None:
        return GONE
    return OVER if card.is_over(now) else ""


def _added_at(card: SavedCard) -> datetime:
    assert card.added_at is not None  # noqa: S101  # those without were left out
    return card.added_at
