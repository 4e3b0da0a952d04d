"""SetupIntents: saving a card for later."""

from typing import Any

from sandbox.stripe import cards, charging, forms
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.methods import attach, new_card, resolve
from sandbox.stripe.resources.payment_methods import card_from
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json


@route("POST", "/v1/setup_intents")
def create(call: Call) -> Any:
    params = call.params
    customer = call.optional("customer", "customer")
    identifier = call.world.ids.new("seti")
    method = _method(call)
    intent: Json = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{identifier}_secret_{call.world.ids.token(24)}",
        "created": call.world.now(),
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "description": params.get("description") or None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": call.space.livemode,
        "mandate": None,
        "metadata": forms.metadata({}, params),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": method["id"] if method else None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": params.get("allowed_payment_method_types")
        or params.get("payment_method_types")
        or ["card"],
        "single_use_mandate": None,
        "status": "requires_confirmation" if method else "requires_payment_method",
        "usage": params.get("usage") or "off_session",
    }
    call.space.save("setup_intent", intent)
    emit(call.world, call.space, "setup_intent.created", intent)
    return _confirm(call, intent) if forms.boolean(params, "confirm") else intent


def _method(call: Call) -> Json | None:
    given = call.params.get("payment_method_data")
    if given:
        return new_card(call.world, call.space, card_from(given.get("card") or {}))
    return resolve(call, call.params["payment_method"]) if call.params.get("payment_method") else None


@route("POST", "/v1/setup_intents/{id}/confirm")
def confirm(call: Call) -> Any:
    return _confirm(call, call.object("setup_intent"))


def _confirm(call: Call, intent: Json) -> Json:
    method = _method(call) or call.space.get("payment_method", intent["payment_method"])
    if method is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
        )
    behaviour = call.space.private(method["id"])
    code = behaviour.get("decline_code")
    intent["payment_method"] = method["id"]
    if behaviour.get("requires_action") or method["card"]["last4"] == "3155":
        change(intent, status="requires_action", next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {}})
        emit(call.world, call.space, "setup_intent.requires_action", intent)
    elif code and method["card"]["last4"] != "0341":  # 0341 attaches, and fails when charged
        error = charging.payment_error(cards.declined(code), "", dict(method))
        del error["charge"]
        change(intent, status="requires_payment_method", last_setup_error=error, payment_method=None)
        call.space.save("setup_intent", intent)
        emit(call.world, call.space, "setup_intent.setup_failed", intent)
        raise StripeError(
            402,
            "card_error",
            error["message"],
            code=error["code"],
            persists=True,
            decline_code=code,
            setup_intent=dict(intent),
            payment_method=dict(method),
        )
    else:
        change(intent, status="succeeded", next_action=None)
        if intent["customer"] and method["customer"] is None:
            attach(call, method["id"], call.space.table("customer").objects[intent["customer"]])
        emit(call.world, call.space, "setup_intent.succeeded", intent)
    return call.space.save("setup_intent", intent)


@route("POST", "/v1/setup_intents/{id}/cancel")
def cancel(call: Call) -> Any:
    intent = call.object("setup_intent")
    change(intent, status="canceled", cancellation_reason=call.params.get("cancellation_reason") or None)
    call.space.save("setup_intent", intent)
    emit(call.world, call.space, "setup_intent.canceled", intent)
    return intent


@route("GET", "/v1/setup_intents/{id}")
def retrieve(call: Call) -> Any:
    return call.object("setup_intent")


@route("GET", "/v1/setup_intents")
def list_intents(call: Call) -> Any:
    return call.page("setup_intent", "/v1/setup_intents", {"customer": call.params.get("customer")})
