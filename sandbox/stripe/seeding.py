"""Thousands of failed invoices at once, without playing the months that led to them."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.stripe import cards, charging, drafts, invoicing, lookups, methods, subscribing
from sandbox.stripe.resources import catalog, customers
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

CODES = ("insufficient_funds", "generic_decline", "do_not_honor", "expired_card", "processing_error", "lost_card")


@dataclass
class Seed:
    """What to make: `customers`, each with a past-due subscription and one open, failed invoice."""

    account: str
    customers: int
    amount: int = 4900
    currency: str = "usd"
    decline_codes: list[str] = field(default_factory=lambda: list(CODES))
    requires_action_share: float = 0.0
    status: str = "past_due"  # of the subscriptions: past_due | unpaid | active
    spread_days: int = 20  # invoices are this old at most
    billing_reason: str = "subscription_cycle"
    seed: str = "seed"


def seed(world: "World", wanted: Seed) -> dict[str, Any]:
    """Make them, quietly (no events); returns `{"customers", "invoices", "amount"}`."""
    space = world.space(wanted.account)
    draw = random.Random(wanted.seed)
    product = catalog.new_product(world, space, {"name": "Seeded plan"})
    given = {"unit_amount": wanted.amount, "currency": wanted.currency, "recurring": {"interval": "month"}}
    price = catalog.new_price(world, space, given, product["id"])
    now, mute = world.now(), _Quiet(world)
    with mute:
        for number in range(wanted.customers):
            age = draw.randrange(max(1, wanted.spread_days * 86_400))
            _ghost(world, space, wanted, price, number, now - age, draw)
    return {"customers": wanted.customers, "invoices": wanted.customers, "amount": wanted.amount * wanted.customers}


class _Quiet:
    """No webhook endpoint hears what happens inside, and no event is kept."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def __enter__(self) -> None:
        self._world.quiet = True

    def __exit__(self, *error: object) -> None:
        self._world.quiet = False


def _ghost(
    world: "World", space: Space, wanted: Seed, price: Json, number: int, moment: int, draw: random.Random
) -> None:
    customer = customers.new_customer(
        world, space, {"name": f"Customer {number}", "email": f"customer{number}@example.com"}, created=moment
    )
    card: methods.Card = (
        f"{draw.randrange(10_000):04d}",
        draw.choice(("visa", "mastercard", "amex")),
        "credit",
        "US",
        {},
    )
    method = methods.new_card(world, space, card, customer=customer["id"], created=moment)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    customer.update(currency=wanted.currency, delinquent=True, next_invoice_sequence=2)
    space.save("customer", customer)
    subscription = subscribing.blank(world, space, subscribing.Plan(customer=customer, items=[(price, 1)]), moment)
    subscription["status"] = wanted.status
    lines = [drafts.item_line(world, space, subscription["items"]["data"][0], (moment, moment + 2_592_000))]
    invoice = drafts.new_invoice(
        world,
        space,
        customer,
        currency=wanted.currency,
        billing_reason=wanted.billing_reason,
        subscription=subscription,
        lines=lines,
        period=(moment, moment),
    )
    invoice["created"] = moment
    subscription["latest_invoice"] = invoice["id"]
    space.save("subscription", subscription)
    invoicing.finalize(world, space, invoice)
    invoice.update(attempted=True, attempt_count=1, next_payment_attempt=moment + 30 * 86_400)
    intent = lookups.intent_of(space, invoice)
    if intent is None:
        return
    if draw.random() < wanted.requires_action_share:
        space.private(method["id"])["requires_action"] = True
        charging.require_action(world, space, intent, method)
    else:
        code = draw.choice(wanted.decline_codes)
        space.private(method["id"])["decline_code"] = code
        charging.decline(world, space, intent, method, invoice, cards.declined(code))
