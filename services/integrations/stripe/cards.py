"""The cards a customer has on file, as one invoice read with `CARDS_EXPAND` tells of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.integrations.stripe.parsing import INVOICE_EXPAND, default_methods, subscription_of
from services.integrations.stripe.reading import Plain, identifier, mapping, mappings, moment, number, text, word

# Four levels, which is Stripe's limit: whoever is about to charge sees the cards themselves in the same request.
CARDS_EXPAND = (
    *INVOICE_EXPAND,
    "default_payment_method",
    "customer.invoice_settings.default_payment_method",
    "parent.subscription_details.subscription.default_payment_method",
)


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card on file. Texts are lower case as everywhere; 0 where no month or year is known."""

    id: str
    brand: str
    fingerprint: str
    country: str
    added_at: datetime | None
    exp_month: int
    exp_year: int
    customer_id: str | None

    def is_over(self, now: datetime) -> bool:
        """Whether its last month has passed."""
        return bool(self.exp_year) and (self.exp_year, self.exp_month) < (now.year, now.month)


def cards_on_file(invoice: Any) -> tuple[SavedCard, ...]:
    """The default cards, the one Stripe would charge first in front. Other kinds of payment are left out."""
    found = mapping(invoice)
    methods = default_methods(found, mapping(subscription_of(found)))
    return tuple({card.id: card for method in methods for card in _card(method)}.values())


def _card(method: Any) -> Iterator[SavedCard]:
    details, card_id = mapping(method), identifier(method)
    card = mapping(details.get("card"))
    if card and card_id:
        yield _saved(details, card_id)


def attached(listed: Any) -> tuple[SavedCard, ...]:
    """What a customer has on file, of every kind, in the order of the list. Only a card has a brand and an end."""
    return tuple(
        _saved(method, method_id)
        for method in mappings(mapping(listed).get("data"))
        if (method_id := identifier(method))
    )


def _saved(details: Plain, method_id: str) -> SavedCard:
    data = mapping(details.get(text(details.get("type"), 64) or "card"))
    card = mapping(details.get("card"))
    return SavedCard(
        id=method_id,
        brand=word(card.get("brand"), 32),
        fingerprint=text(data.get("fingerprint"), 64),
        country=word(data.get("country"), 2),
        added_at=moment(details.get("created")),
        exp_month=number(card.get("exp_month"), 1, 12) or 0,
        exp_year=number(card.get("exp_year"), 2000, 2199) or 0,
        customer_id=identifier(details.get("customer")),
    )
