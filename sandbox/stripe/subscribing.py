"""Starting a subscription and changing what it bills."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.stripe import billing, drafts, forms, invoicing
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.periods import next_end, shift
from sandbox.stripe.rendering import listing
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.routing import Call
    from sandbox.stripe.world import World


@dataclass
class Plan:
    """What is to be started. `items` are (price, quantity); moments are Unix seconds."""

    customer: Json
    items: list[tuple[Json, int]]
    default_payment_method: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    trial_days: int | None = None
    trial_end: int | None = None
    billing_cycle_anchor: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    collection_method: str = "charge_automatically"
    days_until_due: int | None = None
    description: str | None = None
    backdate: int | None = None
    payment_behavior: str = "allow_incomplete"
    missing_payment_method: str = "create_invoice"


def items_from(call: "Call", given: object) -> list[tuple[Json, int]]:
    """The `items` parameter as prices and quantities; `price_data` makes a price."""
    from sandbox.stripe.resources.catalog import new_price

    if not isinstance(given, list):
        raise invalid("Invalid array", param="items")
    found = []
    for position, item in enumerate(given):
        if item.get("price_data"):
            data = item["price_data"]
            product = call.parameter("product", f"items[{position}][price_data][product]", data.get("product"))
            price = new_price(call.world, call.space, data, product["id"])
        else:
            wanted = item.get("price") or item.get("plan")
            if not wanted:
                raise forms.missing(f"items[{position}][price]")
            price = call.parameter("price", f"items[{position}][price]", wanted)
        if price["type"] != "recurring":
            raise invalid(
                "The price specified is set to `type=one_time` but this field only accepts prices with "
                "`type=recurring`.",
                param=f"items[{position}][price]",
            )
        found.append((price, forms.integer(item, "quantity", 1) or 1))
    return found


def start(world: "World", space: Space, plan: Plan) -> Json:
    """A new subscription with its first invoice, tried at once; incomplete when that fails."""
    now = world.now()
    begin = plan.backdate or now
    trial_end = plan.trial_end or (now + plan.trial_days * 86_400 if plan.trial_days else None)
    recurring = plan.items[0][0]["recurring"]
    anchor = plan.billing_cycle_anchor or trial_end or begin
    end = trial_end or (
        anchor if anchor > now else next_end(anchor, now, recurring["interval"], recurring["interval_count"])
    )
    subscription = _subscription(world, space, plan, now=now, anchor=anchor, trial_end=trial_end)
    subscription["items"]["data"] = [
        _item(world, subscription["id"], price, quantity, (begin, end)) for price, quantity in plan.items
    ]
    if plan.cancel_at_period_end:
        subscription["cancel_at"] = end
    if plan.customer["currency"] is None:
        plan.customer["currency"] = subscription["currency"]
        space.save("customer", plan.customer)
    space.save("subscription", subscription)
    free = trial_end is not None
    invoice = billing.bill(world, space, subscription, "subscription_create", free=free)
    emit(world, space, "customer.subscription.created", subscription)
    if trial_end and trial_end - billing.NOTICE_SECONDS <= now:
        billing.trial_will_end(world, space, subscription)
    invoicing.finalize(world, space, invoice)
    # Only a customer who pays by himself may start without a payment.
    if invoice["status"] == "open" and plan.collection_method == "send_invoice":
        previous = change(subscription, status="active")
        emit(world, space, "customer.subscription.updated", subscription, previous)
        billing.collect(world, space, invoice)
    elif invoice["status"] == "open" and plan.payment_behavior != "default_incomplete":
        billing.collect(world, space, invoice, source="api")
    space.save("subscription", subscription)
    billing.plan_next(world, space, subscription)
    return subscription


def blank(world: "World", space: Space, plan: Plan, begin: int) -> Json:
    """A subscription whose period began at `begin`, neither saved, billed nor planned: for seeding."""
    price, quantity = plan.items[0]
    recurring = price["recurring"]
    subscription = _subscription(world, space, plan, now=begin, anchor=begin, trial_end=None)
    period = (begin, shift(begin, recurring["interval_count"], recurring["interval"]))
    subscription["items"]["data"] = [_item(world, subscription["id"], price, quantity, period)]
    return subscription


def _subscription(world: "World", space: Space, plan: Plan, *, now: int, anchor: int, trial_end: int | None) -> Json:
    identifier = world.ids.new("sub")
    return {
        "id": identifier,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": plan.cancel_at,
        "cancel_at_period_end": plan.cancel_at_period_end,
        "canceled_at": now if plan.cancel_at_period_end else None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": plan.collection_method,
        "created": now,
        "currency": plan.items[0][0]["currency"],
        "customer": plan.customer["id"],
        "customer_account": None,
        "days_until_due": plan.days_until_due,
        "default_payment_method": plan.default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": plan.description,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": listing([], f"/v1/subscription_items?subscription={identifier}"),
        "latest_invoice": None,
        "livemode": space.livemode,
        "metadata": plan.metadata,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": plan.backdate or now,
        "status": "trialing" if trial_end else "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": plan.missing_payment_method}},
        "trial_start": now if trial_end else None,
    }


def _item(world: "World", subscription: str, price: Json, quantity: int, period: tuple[int, int]) -> Json:
    from sandbox.stripe.resources.catalog import plan_of

    return {
        "id": world.ids.new("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now(),
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def reprice(call: "Call", subscription: Json) -> Json:
    """Apply `items`, `trial_end` and `billing_cycle_anchor=now` of an update; bills at once where Stripe would."""
    world, params = call.world, call.params
    previous: Json = {}
    begin, end = billing.period_of(subscription)
    old_amount = _amount(subscription)
    if params.get("items"):
        previous |= _change_items(call, subscription)
    trial_end = params.get("trial_end")
    now = world.now()
    if trial_end and trial_end != "now":
        moment = forms.required_integer(params, "trial_end")
        previous |= change(subscription, trial_end=moment, status="trialing", billing_cycle_anchor=moment)
        billing.set_period(subscription, now, moment)
        return previous
    restart = params.get("billing_cycle_anchor") == "now" or (
        trial_end == "now" and subscription["status"] == "trialing"
    )
    ends_trial = restart and subscription["status"] == "trialing"
    if ends_trial and billing.trial_without_card(world, call.space, subscription):
        return previous | change(subscription, trial_end=now)
    if restart:
        recurring = subscription["items"]["data"][0]["price"]["recurring"]
        billing.set_period(subscription, now, shift(now, recurring["interval_count"], recurring["interval"]))
        status = "active" if subscription["status"] == "trialing" else subscription["status"]
        previous |= change(subscription, billing_cycle_anchor=now, status=status)
        if trial_end == "now":
            previous |= change(subscription, trial_end=now)
        _bill_now(call, subscription, None)
    elif params.get("proration_behavior") == "always_invoice" and _amount(subscription) != old_amount:
        share = max(0, end - now) / max(1, end - begin)
        _bill_now(call, subscription, round((_amount(subscription) - old_amount) * share))
    return previous


def _amount(subscription: Json) -> int:
    return sum((item["price"]["unit_amount"] or 0) * (item["quantity"] or 1) for item in subscription["items"]["data"])


def _bill_now(call: "Call", subscription: Json, amount: int | None) -> None:
    world, space = call.world, call.space
    lines = None
    if amount is not None:
        item = subscription["items"]["data"][0]
        lines = [drafts.item_line(world, space, item, billing.period_of(subscription), amount=amount)]
    invoice = billing.bill(world, space, subscription, "subscription_update", lines=lines)
    invoicing.finalize(world, space, invoice)
    billing.collect(world, space, invoice, source="api")


def _change_items(call: "Call", subscription: Json) -> Json:
    before = dict(subscription["items"], data=[dict(item) for item in subscription["items"]["data"]])
    kept = {item["id"]: item for item in subscription["items"]["data"]}
    for position, given in enumerate(call.params["items"]):
        item = kept.get(given.get("id", ""))
        if given.get("id") and item is None:
            raise invalid(f"No such subscription item: '{given['id']}'", param=f"items[{position}][id]")
        if item is not None and forms.boolean(given, "deleted"):
            del kept[item["id"]]
            continue
        wanted = given.get("price") or given.get("plan") or given.get("price_data")
        if item is None or wanted:
            price, quantity = items_from(call, [given])[0]
            fresh = _item(call.world, subscription["id"], price, quantity, billing.period_of(subscription))
            fresh["id"] = item["id"] if item else fresh["id"]
            kept[fresh["id"]] = fresh
        elif "quantity" in given:
            item["quantity"] = forms.required_integer(given, "quantity")
    subscription["items"]["data"] = list(kept.values())
    return {"items": before} if before["data"] != subscription["items"]["data"] else {}
