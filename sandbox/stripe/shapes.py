"""Objects are kept in the newest shape; this module turns them into what clients of older versions see.

Only the changes of 2025-03-31 ("basil") that concern billing are made; they are the ones integrations break on.
"""

from typing import Any

from sandbox.stripe.store import Json, Space


def to_acacia(space: Space, obj: Json) -> Json:
    """A shallow copy of `obj` as versions before 2025-03-31 show it."""
    convert = _CONVERTERS.get(obj.get("object", ""))
    return convert(space, obj) if convert and not obj.get("deleted") else obj


def payment_intent_of(space: Space, invoice_id: str | None) -> str | None:
    """The PaymentIntent behind an invoice's default payment, if it has one."""
    if not invoice_id:
        return None
    for payment in reversed(space.table("invoice_payment").where("invoice", invoice_id)):
        if payment["is_default"]:
            found: str | None = payment["payment"].get("payment_intent")
            return found
    return None


def invoice_of(space: Space, payment_intent: str | None) -> str | None:
    """The invoice a PaymentIntent pays, if any."""
    if not payment_intent:
        return None
    found = space.table("invoice_payment").where("payment_intent", payment_intent)
    return found[0]["invoice"] if found else None


def _invoice(space: Space, invoice: Json) -> Json:
    old = dict(invoice)
    parent = old.pop("parent", None) or {}
    details = parent.get("subscription_details") or {}
    for name in ("confirmation_secret", "amount_overpaid", "status_details", "total_taxes", "amount_paid_off_stripe"):
        old.pop(name, None)
    intent = space.get("payment_intent", payment_intent_of(space, invoice.get("id")))
    outside = invoice.get("amount_paid_off_stripe") or 0  # no part of what these versions call paid
    old.update(
        amount_paid=invoice["amount_paid"] - outside,
        amount_remaining=invoice["amount_remaining"] + outside,
        application_fee_amount=None,
        charge=intent["latest_charge"] if intent else None,
        discount=None,
        paid=invoice["status"] == "paid",
        paid_out_of_band=invoice["status"] == "paid" and outside > 0,
        payment_intent=intent["id"] if intent else None,
        quote=None,
        subscription=details.get("subscription"),
        subscription_details={"metadata": details.get("metadata")},
        tax=None,
        total_tax_amounts=[],
        transfer_data=None,
    )
    old["lines"] = dict(invoice["lines"], data=[_line(space, line) for line in invoice["lines"]["data"]])
    return old


def _line(space: Space, line: Json) -> Json:
    old = dict(line)
    parent = old.pop("parent", None) or {}
    pricing = old.pop("pricing", None) or {}
    for name in ("taxes", "subtotal", "quantity_decimal"):
        old.pop(name, None)
    item = parent.get("subscription_item_details") or {}
    price = space.get("price", (pricing.get("price_details") or {}).get("price"))
    old.update(
        amount_excluding_tax=line["amount"],
        plan=None,
        price=price,
        proration=bool((item or parent.get("invoice_item_details") or {}).get("proration")),
        proration_details={"credited_items": None},
        subscription=item.get("subscription"),
        subscription_item=item.get("subscription_item"),
        tax_amounts=[],
        tax_rates=[],
        type="subscription" if item else "invoiceitem",
        unit_amount_excluding_tax=pricing.get("unit_amount_decimal"),
    )
    return old


def _subscription(space: Space, subscription: Json) -> Json:
    old = dict(subscription)
    for name in ("billing_mode", "billing_schedules", "status_details", "managed_payments"):
        old.pop(name, None)
    items = subscription["items"]["data"]
    old.update(
        current_period_end=items[0]["current_period_end"],
        current_period_start=items[0]["current_period_start"],
        discount=None,
        plan=items[0]["plan"],
        quantity=items[0]["quantity"],
    )
    periods = ("current_period_start", "current_period_end", "current_trial", "billed_until")
    older = [{name: value for name, value in item.items() if name not in periods} for item in items]
    old["items"] = dict(subscription["items"], data=older)
    return old


def _payment_intent(space: Space, intent: Json) -> Json:
    return dict(intent, invoice=invoice_of(space, intent["id"]))


def _charge(space: Space, charge: Json) -> Json:
    return dict(charge, invoice=invoice_of(space, charge["payment_intent"]))


_CONVERTERS: dict[str, Any] = {
    "invoice": _invoice,
    "line_item": _line,
    "subscription": _subscription,
    "payment_intent": _payment_intent,
    "charge": _charge,
}
