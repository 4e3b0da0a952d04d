"""Invoices and invoice payments."""

from typing import Any

from sandbox.stripe import billing, drafts, forms, invoicing, lookups
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.methods import attach, resolve
from sandbox.stripe.rendering import listing
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json

STATUSES = ("draft", "open", "paid", "uncollectible", "void")


@route("GET", "/v1/invoices")
def list_invoices(call: Call) -> Any:
    params = call.params
    status = params.get("status")
    if status and status not in STATUSES:
        raise invalid(f"Invalid status: must be one of {', '.join(STATUSES)}", param="status")
    filters = {name: params.get(name) for name in ("status", "customer", "subscription", "collection_method")}
    return call.page("invoice", "/v1/invoices", filters)


@route("GET", "/v1/invoices/{id}")
def retrieve(call: Call) -> Any:
    return call.object("invoice")


@route("GET", "/v1/invoices/{id}/lines")
def lines(call: Call) -> Any:
    invoice = call.object("invoice")
    return listing(invoice["lines"]["data"], f"/v1/invoices/{invoice['id']}/lines")


@route("POST", "/v1/invoices")
def create(call: Call) -> Any:
    params, world, space = call.params, call.world, call.space
    customer = call.parameter("customer", "customer")
    subscription = call.optional("subscription", "subscription")
    method = call.optional("payment_method", "default_payment_method")
    days = forms.integer(params, "days_until_due")
    due = forms.integer(params, "due_date") or (world.now() + days * 86_400 if days is not None else None)
    default = world.account(space.account)["default_currency"]
    invoice = drafts.new_invoice(
        world,
        space,
        customer,
        currency=str(params.get("currency") or default).lower(),
        billing_reason="manual",
        subscription=subscription,
        auto_advance=forms.boolean(params, "auto_advance"),
        collection_method=params.get("collection_method") or "charge_automatically",
        due_date=due,
        metadata=forms.metadata({}, params),
        description=params.get("description") or None,
        default_payment_method=method["id"] if method else None,
    )
    if params.get("pending_invoice_items_behavior") == "include":
        for item in space.table("invoiceitem").where("customer", customer["id"]):
            if item["invoice"] is None:
                invoice["currency"] = item["currency"]
                billing.attach_item(world, space, invoice, item)
    space.save("invoice", invoice)
    emit(world, space, "invoice.created", invoice)
    if invoice["auto_advance"]:
        billing.draft_until(world, space, invoice)
    return invoice


@route("POST", "/v1/invoices/{id}")
def update(call: Call) -> Any:
    invoice, params = call.object("invoice"), call.params
    given: Json = {"metadata": forms.metadata(invoice["metadata"], params)}
    if "auto_advance" in params:
        given["auto_advance"] = forms.boolean(params, "auto_advance")
    if "description" in params:
        given["description"] = params["description"] or None
    if "default_payment_method" in params:
        method = call.optional("payment_method", "default_payment_method")
        given["default_payment_method"] = method["id"] if method else None
    if "collection_method" in params or "due_date" in params or "days_until_due" in params:
        if invoice["status"] != "draft":
            raise invalid("Finalized invoices can't be updated in this way", code="invoice_not_editable")
        days = forms.integer(params, "days_until_due")
        given["collection_method"] = params.get("collection_method") or invoice["collection_method"]
        given["due_date"] = forms.integer(params, "due_date") or (
            call.world.now() + days * 86_400 if days is not None else invoice["due_date"]
        )
    previous = change(invoice, **given)
    call.space.save("invoice", invoice)
    if given.get("auto_advance") and invoice["status"] == "draft":
        billing.draft_until(call.world, call.space, invoice)
    emit(call.world, call.space, "invoice.updated", invoice, previous)
    return invoice


@route("DELETE", "/v1/invoices/{id}")
def delete(call: Call) -> Any:
    invoice = call.object("invoice")
    if invoice["status"] != "draft" or invoice["parent"]:
        raise invalid("You can only delete draft invoices.", code="invoice_not_editable")
    call.space.remove(invoice["id"])
    emit(call.world, call.space, "invoice.deleted", invoice)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


@route("POST", "/v1/invoices/{id}/finalize")
def finalize(call: Call) -> Any:
    invoice = call.object("invoice")
    invoicing.finalize(call.world, call.space, invoice)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        # Stripe leaves about an hour before it tries; a finalise call is made when somebody wants to see it now.
        call.world.clockwork.schedule(call.space, "invoice", invoice["id"], "attempt", call.world.now() + 3600)
        invoice["next_payment_attempt"] = call.world.now() + 3600
        call.space.save("invoice", invoice)
    return invoice


@route("POST", "/v1/invoices/{id}/pay")
def pay(call: Call) -> Any:
    invoice = call.object("invoice")
    method = None
    if call.params.get("payment_method"):
        method = resolve(call, call.params["payment_method"])
        customer = call.space.table("customer").objects[invoice["customer"]]
        if method["customer"] is None and not customer.get("deleted"):
            attach(call, method["id"], customer)
    elif call.params.get("source"):
        method = resolve(call, call.params["source"], "source")
    out_of_band = forms.boolean(call.params, "paid_out_of_band")
    return pay_invoice(call, invoice, method, out_of_band=out_of_band)


def pay_invoice(call: Call, invoice: Json, method: Json | None, *, out_of_band: bool = False) -> Json:
    """Collect now; a refusal is a 402 whose effects stay."""
    world, space = call.world, call.space
    if invoice["status"] == "draft":
        invoicing.finalize(world, space, invoice)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid")  # Stripe gives this one no code
    if invoice["status"] == "void":
        raise invalid("Invoice is void and can no longer be paid", code="invoice_not_editable")
    if out_of_band:
        invoicing.mark_paid(world, space, invoice, amount=invoice["amount_due"], out_of_band=True)
        return invoice
    outcome = invoicing.attempt(world, space, invoice, payment_method=method, source="api")
    if outcome is None:
        raise StripeError(
            400,
            "invalid_request_error",
            "There is no `default_payment_method` set on this Customer or Invoice. Please provide one with the "
            "`payment_method` parameter.",
            persists=True,
        )
    if not outcome.approved and not outcome.processing:
        raise _refused(call, invoice, action=outcome.requires_action)
    return invoice


def _refused(call: Call, invoice: Json, *, action: bool) -> StripeError:
    if action:
        return StripeError(
            402,
            "card_error",
            "This payment requires additional user action before it can be completed successfully. Payment can be "
            "completed using the PaymentIntent associated with the invoice. For more details see: "
            "https://stripe.com/docs/billing/subscriptions/overview#requires-action",
            code="invoice_payment_intent_requires_action",
            persists=True,
        )
    intent = lookups.intent_of(call.space, invoice) or {}
    return card_error(intent)


def card_error(intent: Json) -> StripeError:
    """The 402 that repeats an intent's last payment error."""
    error = dict(intent["last_payment_error"])
    return StripeError(
        402,
        error.pop("type"),
        error.pop("message"),
        code=error.pop("code"),
        persists=True,
        payment_intent=dict(intent),
        **{name: value for name, value in error.items() if name != "doc_url"},
    )


@route("POST", "/v1/invoices/{id}/void")
def void(call: Call) -> Any:
    invoice = call.object("invoice")
    invoicing.void(call.world, call.space, invoice)
    return invoice


@route("POST", "/v1/invoices/{id}/mark_uncollectible")
def mark_uncollectible(call: Call) -> Any:
    invoice = call.object("invoice")
    invoicing.mark_uncollectible(call.world, call.space, invoice)
    return invoice


@route("POST", "/v1/invoices/{id}/send")
def send(call: Call) -> Any:
    invoice = call.object("invoice")
    if invoice["status"] == "draft":
        invoicing.finalize(call.world, call.space, invoice)
    emit(call.world, call.space, "invoice.sent", invoice)
    return invoice


# -- invoice payments -----------------------------------------------------------------------------------------------


@route("GET", "/v1/invoice_payments")
def list_payments(call: Call) -> Any:
    params = call.params
    filters = {"status": params.get("status"), "invoice": params.get("invoice")}
    payment = params.get("payment")
    if payment:
        forms.required(payment, "type")
        filters["payment_intent"] = payment.get("payment_intent") or "-"
    return call.page("invoice_payment", "/v1/invoice_payments", filters)


@route("GET", "/v1/invoice_payments/{id}")
def retrieve_payment(call: Call) -> Any:
    return call.object("invoice_payment")
