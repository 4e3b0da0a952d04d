"""Stripe's invoices, payments and subscriptions as plain dicts, read in both API shapes.

`acacia` is how invoices looked until Stripe's 2025-03-31 "basil" change, `basil` since (changelog "Adds support for
multiple partial payments on invoices"). The shape is recognised by the fields that are there, not by a version
string: an endpoint keeps the version it was made with, and expansions differ. What cannot be read is raised as
`UnreadableInvoiceError` with a stable reason, counted and shown, never guessed.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from core.clock import from_timestamp
from core.errors import PhantomError
from services.integrations.stripe.facts import CardFacts, CustomerFacts, DeclineFacts, InvoiceFacts

Plain = dict[str, Any]

# What `parse_invoice` wants expanded when one invoice is read by its id (four levels, which is Stripe's limit).
INVOICE_EXPAND = (
    "customer",
    "parent.subscription_details.subscription",
    "payments.data.payment.payment_intent",
)
AUTHENTICATION_CODES = frozenset(
    {"authentication_required", "authentication_not_handled", "mobile_device_authentication_required"}
)
_MONTHS_PER_INTERVAL = {"month": Decimal(1), "year": Decimal(12), "week": Decimal(12) / 52, "day": Decimal(12) / 365}


class UnreadableInvoiceError(PhantomError):
    """An invoice that lacks what a ghost needs; `reason` is one of a closed list and safe to show."""

    status, code, title = 422, "unreadable_invoice", "Stripe's invoice lacks something we need"

    def __init__(self, reason: str, invoice_id: str = "") -> None:
        super().__init__(reason.replace("_", " "))
        self.reason = reason
        self.invoice_id = invoice_id


def identifier(value: Any) -> str | None:
    """The id of a reference that may be expanded, deleted, or absent."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, dict):
        found = value.get("id")
        return found if isinstance(found, str) and found else None
    return None


def _mapping(value: Any) -> Plain:
    return value if isinstance(value, dict) else {}


def _text(value: Any, limit: int = 512) -> str:
    """A string fit for a text column: PostgreSQL refuses NUL, and lengths are ours to keep."""
    return value.replace("\x00", "")[:limit] if isinstance(value, str) else ""


def shape_of(invoice: Plain) -> str:
    """`basil` or `acacia`, by the fields present."""
    if "parent" in invoice or "payments" in invoice or "confirmation_secret" in invoice:
        return "basil"
    return "acacia"


def subscription_of(invoice: Plain) -> Any:
    """The invoice's subscription: an id, an expanded object, or None for a manual invoice."""
    if shape_of(invoice) == "basil":
        parent = _mapping(invoice.get("parent"))
        return _mapping(parent.get("subscription_details")).get("subscription")
    return invoice.get("subscription")


def payment_intent_of(invoice: Plain, payments: list[Plain] | None = None) -> Any:
    """The PaymentIntent of an invoice: an id, an expanded object or None.

    `payments` are invoice payments listed apart, for shapes in which the invoice cannot carry them expanded. The
    default payment speaks for the invoice; without one the newest does.
    """
    if shape_of(invoice) == "acacia" and invoice.get("payment_intent"):
        return invoice["payment_intent"]
    listed = payments if payments is not None else _mapping(invoice.get("payments")).get("data") or []
    candidates = [item for item in listed if isinstance(item, dict)]
    candidates.sort(key=lambda item: (bool(item.get("is_default")), item.get("created") or 0), reverse=True)
    for item in candidates:
        payment = _mapping(item.get("payment"))
        if payment.get("payment_intent"):
            return payment["payment_intent"]
    return None


def parse_decline(intent: Plain) -> DeclineFacts:
    """What the bank said in `last_payment_error`; its `decline_code` is the bank's, `code` is Stripe's."""
    error = _mapping(intent.get("last_payment_error"))
    error_code = _text(error.get("code"), 64).lower()
    decline_code = _text(error.get("decline_code"), 64).lower()
    return DeclineFacts(
        error_code=error_code,
        decline_code=decline_code,
        advice_code=_text(error.get("advice_code"), 64).lower(),
        requires_3ds=intent.get("status") == "requires_action"
        or bool({error_code, decline_code} & AUTHENTICATION_CODES),
    )


def parse_card(intent: Plain) -> CardFacts:
    """The card that was declined, from the error first: after a failure the intent itself has none."""
    method = _mapping(intent.get("last_payment_error")).get("payment_method") or intent.get("payment_method")
    details = _mapping(method)
    card = _mapping(details.get("card"))
    return CardFacts(
        brand=_text(card.get("brand"), 32).lower(),
        funding=_text(card.get("funding"), 16).lower(),
        country=_text(card.get("country"), 2).lower(),
        last4=_text(card.get("last4"), 4),
        payment_method_id=identifier(method),
    )


def parse_customer(invoice: Plain) -> CustomerFacts:
    """The customer, expanded or not; the invoice's own snapshot fills what the object does not say."""
    customer = _mapping(invoice.get("customer"))
    locales = customer.get("preferred_locales")
    address = _mapping(customer.get("address")) or _mapping(invoice.get("customer_address"))
    return CustomerFacts(
        id=identifier(invoice.get("customer")),
        email=_text(customer.get("email") or invoice.get("customer_email")).strip() or None,
        name=_text(customer.get("name") or invoice.get("customer_name")).strip() or None,
        phone=_text(customer.get("phone") or invoice.get("customer_phone"), 64).strip() or None,
        language=_text(locales[0], 35) if isinstance(locales, list) and locales else "",
        country=_text(address.get("country"), 2).lower(),
    )


def monthly_value(subscription: Plain) -> int:
    """The recurring value of a subscription a month, in minor units: price × quantity, normalised by interval."""
    total = Decimal(0)
    for item in _mapping(subscription.get("items")).get("data") or []:
        price = _mapping(_mapping(item).get("price"))
        recurring = _mapping(price.get("recurring"))
        months = _MONTHS_PER_INTERVAL.get(str(recurring.get("interval")))
        unit = price.get("unit_amount")
        if months is None or not isinstance(unit, int):
            continue
        quantity = item.get("quantity")
        every = recurring.get("interval_count") or 1
        total += Decimal(unit) * (quantity if isinstance(quantity, int) else 1) / (months * every)
    return int(total.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _amount(invoice: Plain, field: str, invoice_id: str) -> int:
    value = invoice.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableInvoiceError(f"no_{field}", invoice_id)
    return value


def _paid_at(invoice: Plain) -> Any:
    return _mapping(invoice.get("status_transitions")).get("paid_at")


def parse_invoice(
    invoice: Plain, *, payments: list[Plain] | None = None, subscription: Plain | None = None
) -> InvoiceFacts:
    """One invoice of either shape as `InvoiceFacts`.

    `payments` and `subscription` are what other sweeps found for it; an expanded subscription in the invoice wins.
    Raises `UnreadableInvoiceError` when id, status, currency, creation time or amounts are missing. A missing
    customer, subscription or payment is a fact, not an error: the caller decides what it means.
    """
    invoice_id = identifier(invoice) or ""
    if not invoice_id:
        raise UnreadableInvoiceError("no_id")
    status, currency, created = invoice.get("status"), invoice.get("currency"), invoice.get("created")
    if not isinstance(status, str):
        raise UnreadableInvoiceError("no_status", invoice_id)
    if not isinstance(currency, str) or len(currency) != 3 or not currency.isalpha():
        raise UnreadableInvoiceError("no_currency", invoice_id)
    if isinstance(created, bool) or not isinstance(created, int):
        raise UnreadableInvoiceError("no_created", invoice_id)
    reference = subscription_of(invoice)
    known = reference if isinstance(reference, dict) else _mapping(subscription)
    intent = payment_intent_of(invoice, payments)
    details = _mapping(intent)
    retry_at, paid_at = invoice.get("next_payment_attempt"), _paid_at(invoice)
    amount_due = _amount(invoice, "amount_due", invoice_id)
    return InvoiceFacts(
        id=invoice_id,
        status=status,
        shape=shape_of(invoice),
        currency=currency.lower(),
        amount_due=amount_due,
        amount_remaining=_amount(invoice, "amount_remaining", invoice_id),
        amount_paid=_amount(invoice, "amount_paid", invoice_id),
        billing_reason=_text(invoice.get("billing_reason"), 32),
        collection_method=_text(invoice.get("collection_method"), 32),
        created=from_timestamp(created),
        attempted=bool(invoice.get("attempted")),
        attempt_count=invoice.get("attempt_count") or 0,
        next_payment_attempt=from_timestamp(retry_at) if isinstance(retry_at, int) else None,
        subscription_id=identifier(reference),
        subscription_status=_text(known.get("status"), 24),
        monthly_value=monthly_value(known) if known else amount_due,
        payment_intent_id=identifier(intent),
        payment_status=_text(details.get("status"), 32),
        hosted_invoice_url=invoice.get("hosted_invoice_url"),
        paid_at=from_timestamp(paid_at) if isinstance(paid_at, int) else None,
        paid_out_of_band=bool(invoice.get("paid_out_of_band")),
        subscription_end=_text(_mapping(known.get("cancellation_details")).get("reason"), 48),
        customer=parse_customer(invoice),
        decline=parse_decline(details),
        card=parse_card(details),
    )
