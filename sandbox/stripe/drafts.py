"""Building invoices and their lines."""

from typing import TYPE_CHECKING

from sandbox.stripe.rendering import listing
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def new_invoice(
    world: "World",
    space: Space,
    customer: Json,
    *,
    currency: str,
    billing_reason: str,
    subscription: Json | None = None,
    lines: list[Json] | None = None,
    period: tuple[int, int] | None = None,
    auto_advance: bool = True,
    collection_method: str = "charge_automatically",
    due_date: int | None = None,
    metadata: dict[str, str] | None = None,
    description: str | None = None,
    default_payment_method: str | None = None,
) -> Json:
    """A draft, not yet saved; `recount` fills its totals from the lines."""
    now = world.now()
    identifier = world.ids.new("in")
    start, end = period or (now, now)
    parent = None
    if subscription:
        details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    account = world.account(space.account)
    invoice: Json = {
        "id": identifier,
        "object": "invoice",
        "account_country": account["country"],
        "account_name": account["business_profile"]["name"],
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": billing_reason,
        "collection_method": collection_method,
        "created": now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer.get("address"),
        "customer_email": customer.get("email"),
        "customer_name": customer.get("name"),
        "customer_phone": customer.get("phone"),
        "customer_shipping": customer.get("shipping"),
        "customer_tax_exempt": customer.get("tax_exempt", "none"),
        "customer_tax_ids": [],
        "default_payment_method": default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": description,
        "discounts": [],
        "due_date": due_date,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listing(lines or [], f"/v1/invoices/{identifier}/lines"),
        "livemode": space.livemode,
        "metadata": metadata or {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": end,
        "period_start": start,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }
    for line in invoice["lines"]["data"]:
        line["invoice"] = identifier
    recount(invoice)
    return invoice


def recount(invoice: Json) -> None:
    """Totals from the lines. A negative total is owed to the customer, so nothing is due."""
    total = sum(line["amount"] for line in invoice["lines"]["data"])
    due = max(0, total)
    invoice.update(
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        amount_due=due,
        amount_remaining=due - invoice["amount_paid"],
    )


def item_line(world: "World", space: Space, item: Json, period: tuple[int, int], *, amount: int | None = None) -> Json:
    """The line that bills one subscription item for one period; `amount` overrides (trial, proration)."""
    price = item["price"]
    quantity = item["quantity"] or 1
    full = (price["unit_amount"] or 0) * quantity
    value = full if amount is None else amount
    product = space.get("product", price["product"])
    name = product["name"] if product else price["product"]
    recurring = price["recurring"] or {"interval": "month"}
    return _line(
        world,
        space,
        amount=value,
        currency=price["currency"],
        description=f"{quantity} × {name} (at {(price['unit_amount'] or 0) / 100:.2f} / {recurring['interval']})",
        period=period,
        price=price,
        quantity=quantity,
        parent={
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": amount is not None and value != 0,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
    )


def extra_line(world: "World", space: Space, invoice_item: Json) -> Json:
    """The line of a one-off invoice item."""
    price_id = ((invoice_item["pricing"] or {}).get("price_details") or {}).get("price")
    return _line(
        world,
        space,
        amount=invoice_item["amount"],
        currency=invoice_item["currency"],
        description=invoice_item["description"],
        period=(invoice_item["period"]["start"], invoice_item["period"]["end"]),
        price=space.get("price", price_id),
        quantity=invoice_item["quantity"],
        parent={
            "invoice_item_details": {
                "invoice_item": invoice_item["id"],
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )


def _line(
    world: "World",
    space: Space,
    *,
    amount: int,
    currency: str,
    description: str | None,
    period: tuple[int, int],
    price: Json | None,
    quantity: int,
    parent: Json,
) -> Json:
    pricing = None
    if price:
        pricing = {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(price["unit_amount"] or 0),
        }
    return {
        "id": world.ids.new("il"),
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": space.livemode,
        "metadata": {},
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": pricing,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": (parent["subscription_item_details"] or {}).get("subscription"),
        "subtotal": amount,
        "taxes": [],
    }


def plain_line(world: "World", space: Space, amount: int, currency: str, description: str) -> Json:
    """A line for an amount without price or item."""
    now = world.now()
    return _line(
        world,
        space,
        amount=amount,
        currency=currency,
        description=description,
        period=(now, now),
        price=None,
        quantity=1,
        parent={
            "invoice_item_details": {
                "invoice_item": world.ids.new("ii"),
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )
