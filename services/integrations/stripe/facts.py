"""What PHANTOM knows of an invoice, whatever shape Stripe told it in; frozen values."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeclineFacts:
    """What the bank said, in Stripe's words, lower case; empty where it said nothing."""

    error_code: str = ""
    decline_code: str = ""
    advice_code: str = ""
    requires_3ds: bool = False
    charge_id: str | None = None


@dataclass(frozen=True, slots=True)
class CardFacts:
    brand: str = ""
    funding: str = ""
    country: str = ""
    last4: str = ""
    payment_method_id: str | None = None
    fingerprint: str = ""  # Stripe's name of the number: two payment methods of one card share it
    added_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """`is_read`: the customer's own object was there, so that no email or phone means that they have none any more."""

    id: str | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    language: str = ""
    country: str = ""
    is_read: bool = False


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """One payment that succeeded, and what of it was put to this invoice; no intent: not made through Stripe."""

    payment_intent_id: str | None
    amount: int
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """One invoice as both API shapes say it; amounts in minor units of `currency`.

    `amount_paid` is all that was paid of it, outside Stripe too. `paid_out_of_band`: not by a charge of Stripe's.
    """

    id: str
    status: str
    shape: str
    currency: str
    amount_due: int
    amount_remaining: int
    amount_paid: int
    billing_reason: str
    collection_method: str
    created: datetime
    attempted: bool
    attempt_count: int
    next_payment_attempt: datetime | None
    subscription_id: str | None
    subscription_status: str
    monthly_value: int
    payment_intent_id: str | None
    payment_status: str
    hosted_invoice_url: str | None
    paid_at: datetime | None
    paid_out_of_band: bool
    subscription_end: str = ""  # Stripe's cancellation_details.reason
    customer_said_why: bool = False  # ... with the words of who cancelled: else a merchant's own act looks the same
    is_ending: bool = False  # cancelled for later: the subscription ends with its period, or on a date
    default_card_ids: tuple[str, ...] = ()  # in the order in which Stripe charges them: invoice's, subscription's, ...
    read_at: datetime | None = None  # when Stripe was asked: what was known before is older
    payments: tuple[PaymentFacts, ...] = ()  # all that succeeded, where Stripe was asked for them; else none
    customer: CustomerFacts = field(default_factory=CustomerFacts)
    decline: DeclineFacts = field(default_factory=DeclineFacts)
    card: CardFacts = field(default_factory=CardFacts)
