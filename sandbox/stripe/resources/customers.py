"""Customers."""

from typing import Any

from sandbox.stripe import cards, forms, standing
from sandbox.stripe.events import change, emit
from sandbox.stripe.methods import attach, new_card, resolve, set_customer_default
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Space

PLAIN = ("name", "email", "phone", "description")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def new_customer(call_world: Any, space: Space, params: Json, *, created: int | None = None) -> Json:
    """A customer from API parameters; saved, no event."""
    customer: Json = {
        "id": params.get("id") or call_world.ids.new("cus", 14),
        "object": "customer",
        "address": address(params.get("address")),
        "balance": 0,
        "created": created or call_world.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description") or None,
        "email": params.get("email") or None,
        "invoice_prefix": call_world.ids.token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": space.livemode,
        "metadata": forms.metadata({}, params),
        "name": params.get("name") or None,
        "next_invoice_sequence": 1,
        "phone": params.get("phone") or None,
        "preferred_locales": params.get("preferred_locales") or [],
        "shipping": params.get("shipping") or None,
        "tax_exempt": params.get("tax_exempt") or "none",
        "test_clock": None,
    }
    return space.save("customer", customer)


def address(given: Any) -> Json | None:
    """All six fields, or None."""
    return {name: given.get(name) or None for name in ADDRESS} if isinstance(given, dict) and given else None


@route("POST", "/v1/customers")
def create(call: Call) -> Any:
    given = call.params.get("payment_method")
    method = resolve(call, given) if given else None  # refused before anything is made
    customer = new_customer(call.world, call.space, call.params)
    emit(call.world, call.space, "customer.created", customer)
    if method:
        attach(call, method["id"], customer)
    _take_source(call, customer)
    default = (call.params.get("invoice_settings") or {}).get("default_payment_method")
    if default:
        set_customer_default(call, customer, default)
    return customer


def _take_source(call: Call, customer: Json) -> None:
    """The older way to give a card: `source=tok_visa`."""
    token = call.params.get("source")
    if token:
        method = new_card(call.world, call.space, cards.known_token(token) or cards.TOKENS["visa"])
        attach(call, method["id"], customer)
        customer["default_source"] = method["id"]
        call.space.save("customer", customer)


@route("GET", "/v1/customers/{id}")
def retrieve(call: Call) -> Any:
    return call.object("customer")


@route("POST", "/v1/customers/{id}")
def update(call: Call) -> Any:
    customer, params = call.object("customer"), call.params
    given: Json = {name: params[name] or None for name in PLAIN if name in params}
    if "address" in params:
        given["address"] = address(params["address"])
    if "shipping" in params:
        given["shipping"] = params["shipping"] or None
    if "preferred_locales" in params:
        given["preferred_locales"] = params["preferred_locales"] or []
    given["metadata"] = forms.metadata(customer["metadata"], params)
    previous = change(customer, **given)
    default = (params.get("invoice_settings") or {}).get("default_payment_method")
    if default is not None:
        previous |= set_customer_default(call, customer, default, announce=False)
    _take_source(call, customer)
    call.space.save("customer", customer)
    emit(call.world, call.space, "customer.updated", customer, previous)
    return customer


@route("DELETE", "/v1/customers/{id}")
def delete(call: Call) -> Any:
    customer = call.object("customer")
    for subscription in call.space.table("subscription").where("customer", customer["id"]):
        if subscription["status"] not in standing.OVER:
            standing.cancel(call.world, call.space, subscription, reason="cancellation_requested")
    emit(call.world, call.space, "customer.deleted", customer)
    identifier, created = customer["id"], customer["created"]
    customer.clear()
    customer.update(id=identifier, object="customer", deleted=True, created=created)
    call.space.save("customer", customer)
    return {"id": identifier, "object": "customer", "deleted": True}


@route("GET", "/v1/customers")
def list_customers(call: Call) -> Any:
    return call.page(
        "customer", "/v1/customers", {"email": call.params.get("email")}, lambda customer: not customer.get("deleted")
    )


@route("GET", "/v1/customers/{id}/payment_methods")
def list_methods(call: Call) -> Any:
    customer = call.object("customer")
    filters = {"customer": customer["id"], "type": call.params.get("type")}
    return call.page("payment_method", f"/v1/customers/{customer['id']}/payment_methods", filters)


@route("GET", "/v1/customers/{id}/payment_methods/{method}")
def retrieve_method(call: Call) -> Any:
    call.object("customer")
    return call.object("payment_method", "method")
