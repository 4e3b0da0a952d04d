"""What discounts leave of a subscription's price, as far as they can be read. Pure.

Stripe takes them off one after the other, a subscription's before a customer's, which only count where it has none
(docs: "Discounts for subscriptions"). Which products a coupon is for, and what metered use or taxes add, cannot be read
with a list; then the amount is about right and no more.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from services.integrations.stripe.reading import Plain, mapping, moment, money


class Price(NamedTuple):
    """An amount in minor units, and whether it may turn out another one."""

    amount: int
    is_estimate: bool


def after_discounts(full: int, subscription: Plain, items: list[Plain], currency: str, charge_at: datetime) -> Price:
    """What is charged at `charge_at` (UTC) for `items` that cost `full` without discounts."""
    found = _discounts(subscription)
    price = Price(full, _is_open(subscription, items) or (bool(found) and len(items) > 1))
    for discount in found:
        price = _take_off(price, discount, currency, charge_at)
    return Price(max(price.amount, 0), price.is_estimate)


def _discounts(subscription: Plain) -> list[Any]:
    """The subscription's own, in either shape, else its customer's."""
    listed = subscription.get("discounts")
    own = listed if isinstance(listed, list) and listed else [subscription.get("discount")]
    found = [discount for discount in own if discount]
    return found or [discount for discount in [mapping(subscription.get("customer")).get("discount")] if discount]


def _is_open(subscription: Plain, items: list[Plain]) -> bool:
    """Whether something is added or taken off of which the subscription does not say how much."""
    taxed = mapping(subscription.get("automatic_tax")).get("enabled") or subscription.get("default_tax_rates")
    credit = money(mapping(subscription.get("customer")).get("balance"))
    return bool(taxed or credit) or any(_is_open_item(item) for item in items)


def _is_open_item(item: Plain) -> bool:
    price = mapping(item.get("price"))
    metered = mapping(price.get("recurring")).get("usage_type") == "metered"
    return bool(item.get("discounts") or item.get("tax_rates")) or metered or money(price.get("unit_amount")) is None


def _take_off(price: Price, discount: Any, currency: str, charge_at: datetime) -> Price:
    known = mapping(discount)
    coupon = mapping(known.get("coupon")) or mapping(mapping(known.get("source")).get("coupon"))
    if not coupon:
        return Price(price.amount, True)
    ends = moment(known.get("end"))
    if ends is not None and ends <= charge_at:
        return price
    off = _off(price.amount, coupon, currency)
    # What holds once may have been used up: Stripe does not say so where it stands.
    is_estimate = price.is_estimate or off is None or coupon.get("duration") == "once"
    return Price(price.amount - (off or 0), is_estimate)


def _off(amount: int, coupon: Plain, currency: str) -> int | None:
    """What a coupon takes off an amount; None where that cannot be read."""
    fixed = money(coupon.get("amount_off"))
    if fixed is not None:
        return fixed if coupon.get("currency") == currency else None
    share = coupon.get("percent_off")
    if isinstance(share, bool) or not isinstance(share, int | float | Decimal):
        return None
    percent = Decimal(str(share))
    if not percent.is_finite() or not 0 <= percent <= 100:
        return None
    return int((amount * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
