"""A subscription as the charge it leads to: when, how much, and from which card. Read in both API shapes.

What cannot be read is None and never guessed: a card with a month 13 is a card whose end is not known.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.integrations.stripe.discounts import after_discounts
from services.integrations.stripe.facts import CardFacts, CustomerFacts
from services.integrations.stripe.parsing import (
    UnreadableInvoiceError,
    monthly_value,
    parse_customer,
    read_currency,
)
from services.integrations.stripe.reading import (
    COUNT_LIMIT,
    MONEY_LIMIT,
    Plain,
    identifier,
    mapping,
    mappings,
    moment,
    money,
    number,
    text,
    word,
)

RENEWAL_EXPAND = (
    "default_payment_method",
    "customer.invoice_settings.default_payment_method",
    "discounts.source.coupon",
)
_ID_LENGTH = 44  # with what stands beside it in `id` an invoice's 64; Stripe's have 28


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """What Stripe would charge. `valid_until` is when a card ends (UTC); None for what never ends or is not known."""

    card: CardFacts = field(default_factory=CardFacts)
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RenewalFacts:
    """A subscription's next charge. Amounts are in minor units of `currency`; `charge_at` is its period's end.

    `amount` is what the subscription says, `announced` what Stripe said the invoice will be, None where it has not.
    `no_charge` says why none will come, empty where one will; `method` is None where there is nothing to charge.
    """

    subscription_id: str
    status: str
    currency: str
    amount: int
    monthly_value: int
    charge_at: datetime
    no_charge: str
    method: MethodFacts | None
    customer: CustomerFacts
    is_estimate: bool = False  # `amount` may turn out another one
    announced: int | None = None

    @property
    def due(self) -> int:
        """What will be charged, as far as anybody knows."""
        return self.amount if self.announced is None else self.announced

    @property
    def is_about(self) -> bool:
        """Whether `due` is only about right."""
        return self.announced is None and self.is_estimate

    @property
    def id(self) -> str:
        """Stands for the invoice until there is one; no two charges of a merchant share it."""
        return f"upcoming:{self.subscription_id}:{int(self.charge_at.timestamp())}"


def parse_renewal(subscription: Any) -> RenewalFacts:
    """One subscription with `RENEWAL_EXPAND`. Raises `UnreadableInvoiceError`, and nothing else on any JSON at all."""
    found = mapping(subscription)
    subscription_id = identifier(found) or ""
    items = mappings(mapping(found.get("items")).get("data"))
    ends = [end for item in items if (end := moment(item.get("current_period_end")))]
    charge_at = min(ends) if ends else moment(found.get("current_period_end"))
    currency = read_currency(found.get("currency"))
    if not subscription_id or len(subscription_id) > _ID_LENGTH:
        raise UnreadableInvoiceError("no_subscription")
    if charge_at is None:
        raise UnreadableInvoiceError("no_period_end", subscription_id)
    if currency is None:
        raise UnreadableInvoiceError("no_currency", subscription_id)
    charged = [item for item in items if moment(item.get("current_period_end")) in (None, charge_at)]
    price = after_discounts(_amount(charged), found, charged, currency, charge_at)
    return RenewalFacts(
        subscription_id=subscription_id,
        status=text(found.get("status"), 24),
        currency=currency,
        amount=price.amount,
        is_estimate=price.is_estimate,
        monthly_value=monthly_value(found),
        charge_at=charge_at,
        no_charge=_no_charge(found, charge_at),
        method=_method(found),
        customer=parse_customer(found),
    )


def _amount(items: list[Plain]) -> int:
    """What the items cost a period without discounts; what is metered is not known before, and counts nothing."""
    total = 0
    for item in items:
        unit = money(mapping(item.get("price")).get("unit_amount")) or 0
        quantity = 1 if item.get("quantity") is None else number(item.get("quantity"), 0, COUNT_LIMIT) or 0
        total += unit * quantity
    return total if 0 <= total <= MONEY_LIMIT else 0


def _no_charge(subscription: Plain, charge_at: datetime) -> str:
    status = subscription.get("status")
    if status in ("canceled", "incomplete_expired"):
        return "The subscription ended."
    ends_at = moment(subscription.get("cancel_at"))
    if subscription.get("cancel_at_period_end") or (ends_at is not None and ends_at <= charge_at):
        return "The subscription ends before the charge."
    if subscription.get("collection_method") == "send_invoice":
        return "It is paid by bank transfer on an invoice, not charged."
    if subscription.get("pause_collection"):
        return "Collection is paused at Stripe."
    if status not in ("active", "trialing"):
        return f"The subscription is {text(status, 24) or 'unknown'}: what it owes is looked at as an invoice."
    if status == "trialing" and _method(subscription) is None and _ends_quietly(subscription):
        return "The trial ends without a charge when there is no card."
    return ""


def _ends_quietly(subscription: Plain) -> bool:
    behaviour = mapping(mapping(subscription.get("trial_settings")).get("end_behavior"))
    return behaviour.get("missing_payment_method") in ("cancel", "pause")


def _method(subscription: Plain) -> MethodFacts | None:
    """What Stripe charges: the subscription's own default, else the customer's; a source of the older kind at last."""
    customer = mapping(subscription.get("customer"))
    settings = mapping(customer.get("invoice_settings"))
    for method in (subscription.get("default_payment_method"), settings.get("default_payment_method")):
        if method:
            return _read_method(method)
    if subscription.get("default_source") or customer.get("default_source") or not customer:
        return MethodFacts()  # there is something to charge, and nothing known of it
    return None


def _read_method(method: Any) -> MethodFacts:
    card = mapping(mapping(method).get("card"))
    facts = CardFacts(
        brand=word(card.get("brand"), 32),
        funding=word(card.get("funding"), 16),
        country=word(card.get("country"), 2),
        last4=text(card.get("last4"), 4),
        payment_method_id=identifier(method),
    )
    return MethodFacts(facts, card_ends(card.get("exp_year"), card.get("exp_month")))


def card_ends(year: Any, month: Any) -> datetime | None:
    """The first moment (UTC) at which a card is no longer valid: it is good to the end of the month printed on it."""
    in_year, in_month = number(year, 2000, 2198), number(month, 1, 12)
    if in_year is None or in_month is None:
        return None
    return datetime(in_year + in_month // 12, in_month % 12 + 1, 1, tzinfo=UTC)
