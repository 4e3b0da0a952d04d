"""Stripe's invoices, payments and subscriptions as plain dicts, read in both API shapes.

`acacia` is how invoices looked until Stripe's 2025-03-31 "basil" change, `basil` since (changelog "Adds support for
multiple partial payments on invoices"). The shape is recognised by the fields that are there, not by a version
string: an endpoint keeps the version it was made with, and expansions differ. What cannot be read is raised as
`UnreadableInvoiceError` with a stable reason, counted and shown, never guessed. Every field is read by a typed,
bounded reader (`reading.py`): whatever JSON comes, one odd object must not stop those around it.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from core.errors import PhantomError
from services.integrations.stripe.facts import CardFacts, CustomerFacts, DeclineFacts, InvoiceFacts, PaymentFacts
from services.integrations.stripe.reading import (
    COUNT_LIMIT,
    MONEY_LIMIT,
    URL_LENGTH,
    Plain,
    address,
    identifier,
    mapping,
    mappings,
    moment,
    money,
    number,
    text,
    word,
)

# What `parse_invoice` wants expanded when one invoice is read by its id (four levels, which is Stripe's limit).
INVOICE_EXPAND = (
    "customer",
    "parent.subscription_details.subscription",
    "payments.data.payment.payment_intent",
)
AUTHENTICATION_CODES = frozenset(
    {
        *("authentication_required", "authentication_not_handled", "mobile_device_authentication_required"),
        "payment_intent_authentication_failure",  # Stripe's own: the customer was asked to confirm, and did not
    }
)
_CURRENCY = re.compile("[A-Za-z]{3}")
_MONTHS_PER_INTERVAL = {"month": Decimal(1), "year": Decimal(12), "week": Decimal(12) / 52, "day": Decimal(12) / 365}


class UnreadableInvoiceError(PhantomError):
    """An invoice that lacks what a ghost needs; `reason` is one of a closed list and safe to show.

    `shape` is the API's, empty for what looks the same in both.
    """

    status, code, title = 422, "unreadable_invoice", "Stripe's invoice lacks something we need"

    def __init__(self, reason: str, invoice_id: str = "", shape: str = "") -> None:
        super().__init__(reason.replace("_", " "))
        self.reason = reason
        self.invoice_id, self.shape = invoice_id, shape


def shape_of(invoice: Plain) -> str:
    """`basil` or `acacia`, by the fields present."""
    if "parent" in invoice or "payments" in invoice or "confirmation_secret" in invoice:
        return "basil"
    return "acacia"


def subscription_of(invoice: Any) -> Any:
    """The invoice's subscription: an id, an expanded object, or None for a manual invoice."""
    found = mapping(invoice)
    if shape_of(found) == "basil":
        return mapping(mapping(found.get("parent")).get("subscription_details")).get("subscription")
    return found.get("subscription")


def payment_intent_of(invoice: Plain, payments: list[Plain] | None = None) -> Any:
    """The PaymentIntent of an invoice: an id, an expanded object or None.

    `payments` are invoice payments listed apart, for shapes in which the invoice cannot carry them expanded. The
    default payment speaks for the invoice; without one the newest does, and of a paid invoice one that was paid.
    """
    if shape_of(invoice) == "acacia" and invoice.get("payment_intent"):
        return invoice["payment_intent"]
    candidates = mappings(payments if payments is not None else mapping(invoice.get("payments")).get("data"))
    candidates.sort(key=_default_then_newest, reverse=True)
    if invoice.get("status") == "paid":
        candidates.sort(key=lambda each: each.get("status") != "paid")
    for item in candidates:
        payment = mapping(item.get("payment"))
        if payment.get("payment_intent"):
            return payment["payment_intent"]
    return None


def _default_then_newest(payment: Plain) -> tuple[bool, int]:
    return bool(payment.get("is_default")), number(payment.get("created"), 0, 2**63 - 1) or 0


def payments_of(invoice: Plain) -> tuple[PaymentFacts, ...]:
    """The payments that settled a paid invoice; none at all where one of them cannot be read."""
    found = []
    for each in _paid_by(invoice):
        amount = money(each.get("amount_paid"))
        paid_at = moment(mapping(each.get("status_transitions")).get("paid_at")) or moment(each.get("created"))
        if amount is None or amount < 0 or paid_at is None:
            return ()
        intent = identifier(mapping(each.get("payment")).get("payment_intent"))
        found.append(PaymentFacts(intent, amount, paid_at))
    return tuple(found)


def _paid_by(invoice: Plain) -> list[Plain]:
    """What of a paid invoice's payments succeeded."""
    if invoice.get("status") != "paid":
        return []
    return [each for each in mappings(mapping(invoice.get("payments")).get("data")) if each.get("status") == "paid"]


def _paid_outside(invoice: Plain, intent: Plain) -> bool:
    """Whether the money of a paid invoice came past Stripe.

    Since basil no field says so that every reader gets: `amount_paid_off_stripe` has to be asked for, of versions since
    2026-05-27 alone. What shows it is an amount that was paid though Stripe's own payment never succeeded, and by no
    charge that has none.
    """
    if invoice.get("status") != "paid":
        return False
    if shape_of(invoice) == "acacia":
        return bool(invoice.get("paid_out_of_band"))
    if any(mapping(each.get("payment")).get("charge") for each in _paid_by(invoice)):
        return False
    paid = money(invoice.get("amount_paid")) or 0
    return paid > 0 and text(intent.get("status"), 32) not in ("", "succeeded")


def parse_decline(intent: Plain) -> DeclineFacts:
    """What the bank said in `last_payment_error`; its `decline_code` is the bank's, `code` is Stripe's."""
    error = mapping(intent.get("last_payment_error"))
    error_code, decline_code = word(error.get("code"), 64), word(error.get("decline_code"), 64)
    return DeclineFacts(
        error_code=error_code,
        decline_code=decline_code,
        advice_code=word(error.get("advice_code"), 64),
        requires_3ds=intent.get("status") == "requires_action"
        or bool({error_code, decline_code} & AUTHENTICATION_CODES),
        charge_id=identifier(error.get("charge")),
    )


def parse_card(intent: Plain) -> CardFacts:
    """The card that was declined, from the error first: after a failure the intent itself has none."""
    method = mapping(intent.get("last_payment_error")).get("payment_method") or intent.get("payment_method")
    card = mapping(mapping(method).get("card"))
    return CardFacts(
        brand=word(card.get("brand"), 32),
        funding=word(card.get("funding"), 16),
        country=word(card.get("country"), 2),
        last4=text(card.get("last4"), 4),
        payment_method_id=identifier(method),
        fingerprint=text(card.get("fingerprint"), 64),
        added_at=moment(mapping(method).get("created")),
    )


def default_methods(invoice: Plain, subscription: Plain) -> list[Any]:
    """The default payment methods (ids or objects) in the order in which Stripe takes them to charge an invoice."""
    customer = mapping(invoice.get("customer"))
    found = (
        invoice.get("default_payment_method"),
        subscription.get("default_payment_method"),
        mapping(customer.get("invoice_settings")).get("default_payment_method"),
    )
    return [method for method in found if identifier(method)]


def _default_card_ids(invoice: Plain, subscription: Plain) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(found for method in default_methods(invoice, subscription) if (found := identifier(method)))
    )


def parse_customer(invoice: Plain) -> CustomerFacts:
    """The customer, expanded or not; the invoice's own snapshot fills what the object does not say.

    But not where to write to: the snapshot keeps what the customer had when the invoice was finalised, and a number
    that was taken off them since may be somebody else's. It speaks only where their own object is not there.
    """
    customer = mapping(invoice.get("customer"))
    is_read = customer.get("object") == "customer" and not customer.get("deleted")
    snapshot = {} if is_read else invoice
    locales = customer.get("preferred_locales")
    place = mapping(customer.get("address")) or mapping(invoice.get("customer_address"))
    return CustomerFacts(
        id=identifier(invoice.get("customer")),
        email=address(customer.get("email")) or address(snapshot.get("customer_email")),
        name=text(customer.get("name")) or text(invoice.get("customer_name")) or None,
        phone=text(customer.get("phone"), 64) or text(snapshot.get("customer_phone"), 64) or None,
        language=text(locales[0], 35) if isinstance(locales, list) and locales else "",
        country=word(place.get("country"), 2),
        is_read=is_read,
    )


def monthly_value(subscription: Plain) -> int:
    """The recurring value of a subscription a month, in minor units: price × quantity, normalised by interval.

    An item that cannot be counted counts nothing, and a sum beyond any price is no sum: 0.
    """
    total = sum((_monthly(item) for item in mappings(mapping(subscription.get("items")).get("data"))), Decimal(0))
    return int(total.quantize(Decimal(1), rounding=ROUND_HALF_UP)) if abs(total) <= MONEY_LIMIT else 0


def _monthly(item: Plain) -> Decimal:
    price = mapping(item.get("price"))
    recurring = mapping(price.get("recurring"))
    months = _MONTHS_PER_INTERVAL.get(text(recurring.get("interval"), 16))
    unit = money(price.get("unit_amount"))
    quantity = _count(item.get("quantity"), absent=1)
    every = _count(recurring.get("interval_count"), absent=1)
    if months is None or unit is None or quantity is None or every is None:
        return Decimal(0)
    return Decimal(unit) * quantity / (months * (every or 1))


def _count(value: Any, *, absent: int) -> int | None:
    return absent if value is None else number(value, 0, COUNT_LIMIT)


def parse_invoice(invoice: Any, *, payments: list[Plain] | None = None, subscription: Any = None) -> InvoiceFacts:
    """One invoice of either shape as `InvoiceFacts`.

    `payments` and `subscription` are what other sweeps found for it; an expanded subscription in the invoice wins.
    Raises `UnreadableInvoiceError` when id, status, currency, creation time or amounts are missing or beyond what
    they can be. A missing customer, subscription or payment is a fact, not an error: the caller decides what it means.

    On any JSON at all it raises nothing else, and what it returns fits the database: texts and ids their columns in
    `models/ghost.py`, the currency three letters, numbers their width, times the years 2000 to 2199.
    """
    invoice = mapping(invoice)
    invoice_id = identifier(invoice) or ""

    def needed(name: str, found: Any) -> Any:
        if found is None or found == "":
            raise UnreadableInvoiceError(f"no_{name}", invoice_id, shape_of(invoice))
        return found

    needed("id", invoice_id)
    status = needed("status", text(invoice.get("status"), 32))
    currency = needed("currency", read_currency(invoice.get("currency")))
    created = needed("created", moment(invoice.get("created")))
    amount_due = needed("amount_due", money(invoice.get("amount_due")))
    reference = subscription_of(invoice)
    known = reference if isinstance(reference, dict) else mapping(subscription)
    intent = payment_intent_of(invoice, payments)
    details, ending = mapping(intent), mapping(known.get("cancellation_details"))
    amount_paid = needed("amount_paid", money(invoice.get("amount_paid")))
    outside = _paid_outside(invoice, details)
    if outside and shape_of(invoice) == "acacia":  # where what was paid outside Stripe is no part of what was paid
        amount_paid = max(amount_paid, amount_due)
    return InvoiceFacts(
        id=invoice_id,
        status=status,
        shape=shape_of(invoice),
        currency=currency,
        amount_due=amount_due,
        amount_remaining=needed("amount_remaining", money(invoice.get("amount_remaining"))),
        amount_paid=amount_paid,
        billing_reason=text(invoice.get("billing_reason"), 32),
        collection_method=text(invoice.get("collection_method"), 32),
        created=created,
        attempted=bool(invoice.get("attempted")),
        attempt_count=needed("attempt_count", _count(invoice.get("attempt_count"), absent=0)),
        next_payment_attempt=moment(invoice.get("next_payment_attempt")),
        subscription_id=identifier(reference),
        subscription_status=text(known.get("status"), 24),
        monthly_value=monthly_value(known) if known else amount_due,
        payment_intent_id=identifier(intent),
        payment_status=text(details.get("status"), 32),
        hosted_invoice_url=address(invoice.get("hosted_invoice_url"), URL_LENGTH),
        paid_at=moment(mapping(invoice.get("status_transitions")).get("paid_at")),
        paid_out_of_band=outside,
        subscription_end=text(ending.get("reason"), 48),
        customer_said_why=bool(ending.get("feedback") or ending.get("comment")),
        is_ending=bool(known.get("cancel_at_period_end")) or moment(known.get("cancel_at")) is not None,
        default_card_ids=_default_card_ids(invoice, known),
        payments=payments_of(invoice),
        customer=parse_customer(invoice),
        decline=parse_decline(details),
        card=parse_card(details),
    )


def read_currency(value: Any) -> str | None:
    """Three letters in lower case, or none."""
    return value.lower() if isinstance(value, str) and _CURRENCY.fullmatch(value) else None
