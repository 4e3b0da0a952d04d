"""Invoice items: one-off amounts waiting for the next invoice."""

from typing import Any

from sandbox.stripe import billing, drafts, forms
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json


@route("POST", "/v1/invoiceitems")
def create(call: Call) -> Any:
    params, now = call.params, call.world.now()
    customer = call.parameter("customer", "customer")
    given = params.get("pricing") or {}
    price = (
        call.parameter("price", "price", params.get("price") or given.get("price"))
        if (params.get("price") or given.get("price"))
        else None
    )
    quantity = forms.integer(params, "quantity", 1) or 1
    unit = price["unit_amount"] if price else forms.integer(params, "unit_amount_decimal")
    amount = forms.integer(params, "amount")
    if amount is None:
        amount = (unit or 0) * quantity
    period = params.get("period") or {}
    item: Json = {
        "id": call.world.ids.new("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": price["currency"] if price else str(params.get("currency") or "usd").lower(),
        "customer": customer["id"],
        "customer_account": None,
        "date": now,
        "description": params.get("description") or None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": call.space.livemode,
        "metadata": forms.metadata({}, params),
        "net_amount": amount,
        "parent": None,
        "period": {"start": forms.integer(period, "start", now), "end": forms.integer(period, "end", now)},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
        if price
        else None,
        "proration": False,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
    }
    call.space.save("invoiceitem", item)
    emit(call.world, call.space, "invoiceitem.created", item)
    invoice = call.optional("invoice", "invoice")
    if invoice:
        if invoice["status"] != "draft":
            raise invalid("You can only add items to draft invoices.", param="invoice")
        billing.attach_item(call.world, call.space, invoice, item)
        call.space.save("invoice", invoice)
    return item


@route("GET", "/v1/invoiceitems/{id}")
def retrieve(call: Call) -> Any:
    return call.object("invoiceitem")


@route("POST", "/v1/invoiceitems/{id}")
def update(call: Call) -> Any:
    item = call.object("invoiceitem")
    given: Json = {"metadata": forms.metadata(item["metadata"], call.params)}
    if "amount" in call.params:
        given["amount"] = given["net_amount"] = forms.required_integer(call.params, "amount")
    if "description" in call.params:
        given["description"] = call.params["description"] or None
    change(item, **given)
    return call.space.save("invoiceitem", item)


@route("DELETE", "/v1/invoiceitems/{id}")
def delete(call: Call) -> Any:
    item = call.object("invoiceitem")
    if item["invoice"]:
        invoice = call.space.table("invoice").objects[item["invoice"]]
        if invoice["status"] != "draft":
            raise invalid("You can only delete items of draft invoices.")
        lines = invoice["lines"]["data"]
        invoice["lines"]["data"] = [
            line
            for line in lines
            if ((line["parent"] or {}).get("invoice_item_details") or {}).get("invoice_item") != item["id"]
        ]
        drafts.recount(invoice)
        call.space.save("invoice", invoice)
    call.space.remove(item["id"])
    emit(call.world, call.space, "invoiceitem.deleted", item)
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


@route("GET", "/v1/invoiceitems")
def list_items(call: Call) -> Any:
    filters = {"customer": call.params.get("customer"), "invoice": call.params.get("invoice")}
    pending = forms.boolean(call.params, "pending")
    return call.page("invoiceitem", "/v1/invoiceitems", filters, lambda item: not pending or item["invoice"] is None)
