"""Payment methods."""

from typing import Any

from sandbox.stripe import cards, forms
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.methods import Card, attach, detach, new_card, new_other, plan_expiry, resolve
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json


@route("POST", "/v1/payment_methods")
def create(call: Call) -> Any:
    kind = forms.required(call.params, "type")
    if kind != "card":
        return new_other(call.world, call.space, kind, billing_details=call.params.get("billing_details"))
    given = call.params.get("card") or {}
    return new_card(
        call.world,
        call.space,
        card_from(given),
        exp_month=forms.integer(given, "exp_month", 12) or 12,
        exp_year=forms.integer(given, "exp_year", 2034) or 2034,
        billing_details=call.params.get("billing_details"),
        metadata=forms.metadata({}, call.params),
    )


def card_from(given: Json) -> Card:
    """The card behind `card[token]` or a raw test number."""
    if given.get("token"):
        found = cards.known_token(given["token"])
        if found is None:
            raise invalid(f"No such token: '{given['token']}'", code="resource_missing", param="card[token]")
        return found
    number = str(forms.required(given, "number")).replace(" ", "")
    name = cards.NUMBERS.get(number)
    if name is None:
        raise StripeError(402, "card_error", "Your card number is incorrect.", code="incorrect_number", param="number")
    return cards.TOKENS[name]


@route("GET", "/v1/payment_methods/{id}")
def retrieve(call: Call) -> Any:
    return resolve(call, call.path["id"], "id")


@route("POST", "/v1/payment_methods/{id}")
def update(call: Call) -> Any:
    method, given = call.object("payment_method"), call.params
    values: Json = {"metadata": forms.metadata(method["metadata"], given)}
    if "billing_details" in given:
        values["billing_details"] = method["billing_details"] | given["billing_details"]
    card = given.get("card") or {}
    if card:
        values["card"] = method["card"] | {name: int(card[name]) for name in ("exp_month", "exp_year") if name in card}
    previous = change(method, **values)
    plan_expiry(call.world, call.space, method)
    call.space.save("payment_method", method)
    emit(call.world, call.space, "payment_method.updated", method, previous)
    return method


@route("POST", "/v1/payment_methods/{id}/attach")
def attach_method(call: Call) -> Any:
    return attach(call, call.path["id"], call.parameter("customer", "customer"))


@route("POST", "/v1/payment_methods/{id}/detach")
def detach_method(call: Call) -> Any:
    method = call.object("payment_method")
    if not method["customer"]:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    detach(call.world, call.space, method)
    return method


@route("GET", "/v1/payment_methods")
def list_methods(call: Call) -> Any:
    filters = {"customer": call.params.get("customer"), "type": call.params.get("type")}
    return call.page("payment_method", "/v1/payment_methods", filters)
