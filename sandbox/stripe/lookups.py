"""How invoices, subscriptions and payments refer to one another."""

from sandbox.stripe import shapes
from sandbox.stripe.store import Json, Space


def subscription_of(space: Space, invoice: Json) -> Json | None:
    """The subscription an invoice bills, if any."""
    details = (invoice["parent"] or {}).get("subscription_details")
    return space.get("subscription", details["subscription"]) if details else None


def intent_of(space: Space, invoice: Json) -> Json | None:
    """The PaymentIntent of the invoice's default payment."""
    return space.get("payment_intent", shapes.payment_intent_of(space, invoice["id"]))


def payment_of(space: Space, invoice: Json) -> Json | None:
    """The invoice's default invoice payment."""
    payments = [p for p in space.table("invoice_payment").where("invoice", invoice["id"]) if p["is_default"]]
    return payments[-1] if payments else None


def method_for(space: Space, invoice: Json) -> Json | None:
    """The payment method Stripe would charge: invoice's, subscription's, customer's, customer's source."""
    subscription, customer = subscription_of(space, invoice), space.get("customer", invoice["customer"])
    candidates = [invoice["default_payment_method"]]
    if subscription:
        candidates += [subscription["default_payment_method"], subscription["default_source"]]
    if customer and not customer.get("deleted"):
        candidates += [customer["invoice_settings"]["default_payment_method"], customer["default_source"]]
    found = (space.get("payment_method", candidate) for candidate in candidates)
    return next((method for method in found if method), None)
