"""PaymentIntents and charges."""

from typing import Any

from sandbox.stripe import charging, forms, shapes
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.methods import attach, new_card, new_other, resolve
from sandbox.stripe.resources.invoices import card_error, pay_invoice
from sandbox.stripe.resources.payment_methods import card_from
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json


@route("POST", "/v1/payment_intents")
def create(call: Call) -> Any:
    params = call.params
    customer = call.optional("customer", "customer")
    method = _method(call)
    intent = charging.new_intent(
        call.world,
        call.space,
        amount=_amount(params),
        currency=str(forms.required(params, "currency")).lower(),
        customer=customer["id"] if customer else None,
        description=params.get("description") or None,
        payment_method=method["id"] if method else None,
        capture_method=params.get("capture_method") or "automatic_async",
        metadata=forms.metadata({}, params),
    )
    types = params.get("allowed_payment_method_types") or params.get("payment_method_types")
    if types:
        intent["payment_method_types"] = types
    for name in ("receipt_email", "setup_future_usage", "shipping", "transfer_group"):
        if params.get(name):
            intent[name] = params[name]
    call.space.save("payment_intent", intent)
    return _confirm(call, intent) if forms.boolean(params, "confirm") else intent


def _amount(params: Json) -> int:
    amount = forms.required_integer(params, "amount")
    if amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    return amount


def _method(call: Call) -> Json | None:
    given = call.params.get("payment_method_data")
    if given:
        if given.get("type", "card") != "card":
            return new_other(call.world, call.space, given["type"])
        return new_card(call.world, call.space, card_from(given.get("card") or {}))
    if call.params.get("payment_method"):
        return resolve(call, call.params["payment_method"])
    if call.params.get("source"):
        return resolve(call, call.params["source"], "source")
    return None


@route("GET", "/v1/payment_intents/{id}")
def retrieve(call: Call) -> Any:
    return call.object("payment_intent")


@route("POST", "/v1/payment_intents/{id}")
def update(call: Call) -> Any:
    intent, params = call.object("payment_intent"), call.params
    given: Json = {"metadata": forms.metadata(intent["metadata"], params)}
    for name in ("description", "receipt_email", "shipping"):
        if name in params:
            given[name] = params[name] or None
    if "amount" in params:
        given["amount"] = _amount(params)
    method = _method(call)
    if method:
        given["payment_method"] = method["id"]
        if intent["status"] == "requires_payment_method":
            given["status"] = "requires_confirmation"
    change(intent, **given)
    return call.space.save("payment_intent", intent)


@route("POST", "/v1/payment_intents/{id}/confirm")
def confirm(call: Call) -> Any:
    return _confirm(call, call.object("payment_intent"))


def _confirm(call: Call, intent: Json) -> Json:
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise _unexpected(intent, "confirm", "requires_payment_method, requires_confirmation, requires_action")
    method = _method(call) or call.space.get("payment_method", intent["payment_method"])
    if method is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    invoice = call.space.get("invoice", shapes.invoice_of(call.space, intent["id"]))
    if invoice and invoice["status"] == "open":
        pay_invoice(call, invoice, method)
        return intent
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        attach(call, method["id"], call.space.table("customer").objects[intent["customer"]])
    if method["type"] != "card":
        return _process(call, intent, method)
    outcome = charging.charge(call.world, call.space, intent, method)
    if outcome.requires_action and forms.boolean(call.params, "error_on_requires_action"):
        raise StripeError(
            402,
            "card_error",
            "This payment required an authentication action to complete, but `error_on_requires_action` was set.",
            code="authentication_required",
            persists=True,
        )
    if not outcome.approved and not outcome.requires_action:
        raise card_error(intent)
    return intent


def _process(call: Call, intent: Json, method: Json) -> Json:
    """Bank debits take days: the intent is processing first. A bank transfer waits for the customer's money."""
    if method["type"] == "customer_balance":
        change(intent, status="requires_action", payment_method=method["id"])
        intent["next_action"] = {
            "type": "display_bank_transfer_instructions",
            "display_bank_transfer_instructions": {
                "amount_remaining": intent["amount"],
                "currency": intent["currency"],
                "hosted_instructions_url": f"{call.world.settings.public_url}/transfer/{intent['id']}",
                "reference": call.world.ids.token(8).upper(),
                "type": "us_bank_transfer",
            },
        }
        call.space.save("payment_intent", intent)
        emit(call.world, call.space, "payment_intent.requires_action", intent)
        return intent
    change(intent, status="processing", payment_method=method["id"])
    call.space.save("payment_intent", intent)
    emit(call.world, call.space, "payment_intent.processing", intent)
    return intent


@route("POST", "/v1/payment_intents/{id}/capture")
def capture(call: Call) -> Any:
    intent = call.object("payment_intent")
    if intent["status"] != "requires_capture":
        raise _unexpected(intent, "capture", "requires_capture")
    amount = forms.integer(call.params, "amount_to_capture", intent["amount"])
    change(intent, status="succeeded", amount_received=amount, amount_capturable=0)
    charge = call.space.table("charge").objects[intent["latest_charge"]]
    change(charge, captured=True, amount_captured=amount)
    call.space.save("charge", charge)
    call.space.save("payment_intent", intent)
    emit(call.world, call.space, "charge.captured", charge)
    emit(call.world, call.space, "payment_intent.succeeded", intent)
    return intent


@route("POST", "/v1/payment_intents/{id}/cancel")
def cancel(call: Call) -> Any:
    intent = call.object("payment_intent")
    if intent["status"] in ("succeeded", "canceled"):
        raise _unexpected(intent, "cancel", "requires_payment_method, requires_capture, requires_confirmation")
    invoice = call.space.get("invoice", shapes.invoice_of(call.space, intent["id"]))
    if invoice and invoice["status"] == "open":
        raise invalid("You cannot cancel this PaymentIntent because it belongs to an open invoice; void the invoice.")
    charging.cancel_intent(call.world, call.space, intent, call.params.get("cancellation_reason") or None)
    return intent


def _unexpected(intent: Json, what: str, needed: str) -> StripeError:
    return StripeError(
        400,
        "invalid_request_error",
        f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
        f"with one of the following statuses may be used: {needed}.",
        code="payment_intent_unexpected_state",
        payment_intent=dict(intent),
    )


@route("GET", "/v1/payment_intents")
def list_intents(call: Call) -> Any:
    return call.page("payment_intent", "/v1/payment_intents", {"customer": call.params.get("customer")})


# -- charges --------------------------------------------------------------------------------------------------------


@route("POST", "/v1/charges")
def create_charge(call: Call) -> Any:
    intent = charging.new_intent(
        call.world,
        call.space,
        amount=_amount(call.params),
        currency=str(forms.required(call.params, "currency")).lower(),
        customer=call.params.get("customer"),
        description=call.params.get("description") or None,
        capture_method="automatic" if forms.boolean(call.params, "capture", True) else "manual",
        metadata=forms.metadata({}, call.params),
    )
    customer = call.optional("customer", "customer")
    method = _method(call) or call.space.get("payment_method", customer["default_source"] if customer else None)
    if method is None:
        raise forms.missing("source")
    if not charging.charge(call.world, call.space, intent, method).approved:
        raise card_error(intent)
    return call.space.table("charge").objects[intent["latest_charge"]]


@route("GET", "/v1/charges/{id}")
def retrieve_charge(call: Call) -> Any:
    return call.object("charge")


@route("POST", "/v1/charges/{id}")
def update_charge(call: Call) -> Any:
    charge = call.object("charge")
    given: Json = {"metadata": forms.metadata(charge["metadata"], call.params)}
    if "description" in call.params:
        given["description"] = call.params["description"] or None
    previous = change(charge, **given)
    call.space.save("charge", charge)
    emit(call.world, call.space, "charge.updated", charge, previous)
    return charge


@route("POST", "/v1/charges/{id}/capture")
def capture_charge(call: Call) -> Any:
    charge = call.object("charge")
    intent = call.space.table("payment_intent").objects[charge["payment_intent"]]
    capture(Call(call.world, call.space, {}, {"id": intent["id"]}))
    return charge


@route("GET", "/v1/charges")
def list_charges(call: Call) -> Any:
    filters = {"customer": call.params.get("customer"), "payment_intent": call.params.get("payment_intent")}
    return call.page("charge", "/v1/charges", filters)


@route("POST", "/v1/test_helpers/customers/{id}/fund_cash_balance")
def fund_cash_balance(call: Call) -> Any:
    """A bank transfer came in; the oldest intent waiting for one takes it."""
    customer, amount = call.object("customer"), forms.required_integer(call.params, "amount")
    for intent in call.space.table("payment_intent").where("customer", customer["id"]):
        waits = (intent["next_action"] or {}).get("display_bank_transfer_instructions")
        if not waits:
            continue
        left = waits["amount_remaining"] - amount
        if left > 0:
            waits["amount_remaining"] = left
            emit(call.world, call.space, "payment_intent.partially_funded", intent)
        else:
            change(intent, status="succeeded", next_action=None, amount_received=intent["amount"])
            emit(call.world, call.space, "payment_intent.succeeded", intent)
        call.space.save("payment_intent", intent)
        break
    return {
        "id": call.world.ids.new("ccsbtxn"),
        "object": "customer_cash_balance_transaction",
        "created": call.world.now(),
        "currency": call.params.get("currency"),
        "customer": customer["id"],
        "ending_balance": amount,
        "funded": {"bank_transfer": {"reference": call.params.get("reference"), "type": "us_bank_transfer"}},
        "livemode": call.space.livemode,
        "net_amount": amount,
        "type": "funded",
    }
