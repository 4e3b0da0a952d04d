"""Payment methods: making cards, saving them to customers, and making them the default."""

from typing import TYPE_CHECKING, Any

from sandbox.stripe.errors import StripeError, no_such
from sandbox.stripe.events import change, emit
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.routing import Call
    from sandbox.stripe.world import World

Card = tuple[str, str, str, str, Json]


def new_card(
    world: "World",
    space: Space,
    card: Card,
    *,
    exp_month: int = 12,
    exp_year: int = 2034,
    billing_details: Json | None = None,
    customer: str | None = None,
    created: int | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """A card as a payment method; saved, no event. `card` is last four, brand, funding, country, behaviour."""
    last4, brand, funding, country, behaviour = card
    details = billing_details or {}
    method: Json = {
        "id": world.ids.new("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
            | (details.get("address") or {}),
            "email": details.get("email"),
            "name": details.get("name"),
            "phone": details.get("phone"),
            "tax_id": None,
        },
        "card": {
            "brand": brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": country,
            "display_brand": brand,
            "exp_month": exp_month,
            "exp_year": exp_year,
            "fingerprint": world.ids.token(16),
            "funding": funding,
            "generated_from": None,
            "last4": last4,
            "networks": {"available": [brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": created or world.now(),
        "customer": customer,
        "customer_account": None,
        "livemode": space.livemode,
        "metadata": metadata or {},
        "type": "card",
    }
    if behaviour:
        space.private(method["id"]).update(behaviour)
    space.save("payment_method", method)
    plan_expiry(world, space, method)
    return method


def new_other(world: "World", space: Space, kind: str, *, billing_details: Json | None = None) -> Json:
    """A method that is no card (a bank debit, say): its payments stay `processing`."""
    made = new_card(world, space, ("0000", kind, "unknown", "DE", {}), billing_details=billing_details)
    del made["card"]
    made.update({"type": kind, kind: {}})
    return space.save("payment_method", made)


def plan_expiry(world: "World", space: Space, method: Json) -> None:
    """`customer.source.expiring` at the start of the month in which the card expires."""
    from datetime import UTC, datetime

    card = method.get("card")
    if not card:
        return
    moment = int(datetime(card["exp_year"], card["exp_month"], 1, tzinfo=UTC).timestamp())
    world.clockwork.cancel(space, method["id"], "expiring")
    if moment > world.now() and method["customer"]:
        world.clockwork.schedule(space, "payment_method", method["id"], "expiring", moment)


def resolve(call: "Call", identifier: str, param: str = "payment_method") -> Json:
    """A payment method of this account; test tokens such as `pm_card_visa` become a new card."""
    from sandbox.stripe.cards import known_token

    found = call.space.get("payment_method", identifier)
    if found:
        return found
    token = known_token(identifier)
    if token is None or call.space.livemode:
        raise no_such("payment_method", identifier, param=param)
    return new_card(call.world, call.space, token)


def attach(call: "Call", identifier: str, customer: Json) -> Json:
    """Save a payment method to a customer, as the API does (a card that is set to be refused is refused)."""
    method = resolve(call, identifier)
    if method["customer"] == customer["id"]:
        return method
    if method["customer"]:
        raise StripeError(
            400,
            "invalid_request_error",
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )
    return attach_to(call.world, call.space, method, customer)


def attach_to(world: "World", space: Space, method: Json, customer: Json) -> Json:
    """Save a payment method to a customer and say so."""
    method["customer"] = customer["id"]
    plan_expiry(world, space, method)
    space.save("payment_method", method)
    emit(world, space, "payment_method.attached", method)
    return method


def set_customer_default(call: "Call", customer: Json, identifier: str, *, announce: bool = True) -> Json:
    """`invoice_settings.default_payment_method`; an empty identifier unsets it. Returns previous attributes."""
    if identifier:
        method = resolve(call, identifier, "invoice_settings[default_payment_method]")
        if method["customer"] is None:
            attach(call, method["id"], customer)
        if method["customer"] != customer["id"]:
            raise StripeError(
                400,
                "invalid_request_error",
                f"The customer does not have a payment method with the ID {identifier}. The payment method must be "
                "attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
        identifier = method["id"]
    return set_default(call.world, call.space, customer, identifier or None, announce=announce)


def set_default(world: "World", space: Space, customer: Json, identifier: str | None, *, announce: bool = True) -> Json:
    """Make a saved payment method the customer's default for invoices."""
    previous = change(customer, invoice_settings=dict(customer["invoice_settings"], default_payment_method=identifier))
    space.save("customer", customer)
    if announce:
        emit(world, space, "customer.updated", customer, previous)
    return previous


def detach(world: "World", space: Space, method: Json) -> None:
    """Take a payment method from its customer, and from wherever it was the default."""
    customer = space.get("customer", method["customer"])
    former = method["customer"]
    method["customer"] = None
    world.clockwork.cancel(space, method["id"], "expiring")
    space.save("payment_method", method)
    emit(world, space, "payment_method.detached", method, {"customer": former})
    if (
        customer
        and not customer.get("deleted")
        and customer["invoice_settings"]["default_payment_method"] == method["id"]
    ):
        set_default(world, space, customer, None)
    for subscription in space.table("subscription").where("customer", former):
        if subscription["default_payment_method"] == method["id"]:
            previous = change(subscription, default_payment_method=None)
            space.save("subscription", subscription)
            emit(world, space, "customer.subscription.updated", subscription, previous)


def automatically_update(world: "World", space: Space, method: Json, **card: Any) -> None:
    """The network's card updater: new expiry (and number), the card works again."""
    before = dict(method["card"])
    method["card"] = before | card
    for name in ("decline_code", "advice_code", "requires_action"):
        space.private(method["id"]).pop(name, None)
    plan_expiry(world, space, method)
    space.save("payment_method", method)
    changed = {name: before[name] for name in card if before.get(name) != card[name]}
    emit(world, space, "payment_method.automatically_updated", method, {"card": changed})
