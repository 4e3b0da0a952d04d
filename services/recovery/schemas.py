"""What goes into the recovery engine and what comes out of it; frozen values, never table rows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models.ghost import GhostKind, GhostState, Strategy


@dataclass(frozen=True, slots=True)
class DeclineFacts:
    """What the bank said, in Stripe's words, lower case; empty where it said nothing."""

    error_code: str = ""
    decline_code: str = ""
    advice_code: str = ""
    requires_3ds: bool = False


@dataclass(frozen=True, slots=True)
class CardFacts:
    brand: str = ""
    funding: str = ""
    country: str = ""
    last4: str = ""
    payment_method_id: str | None = None


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    id: str | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    language: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """One invoice as both API shapes say it. `amount_remaining` is in minor units of `currency`."""

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
    customer: CustomerFacts = field(default_factory=CustomerFacts)
    decline: DeclineFacts = field(default_factory=DeclineFacts)
    card: CardFacts = field(default_factory=CardFacts)


@dataclass(frozen=True, slots=True)
class GhostRow:
    """One line of the Recoveries list. Money in minor units; times UTC."""

    id: str
    kind: GhostKind
    state: GhostState
    customer_id: str
    customer_name: str
    customer_email: str
    amount: int
    currency: str
    strategy: Strategy
    strategy_reason: str
    decline_code: str
    decline_group: str
    card_brand: str
    card_last4: str
    found_at: datetime
    last_action: str
    last_action_at: datetime | None
    next_action: str
    next_action_at: datetime | None
    next_action_reason: str
    messages_sent: int
    click_count: int
    recovered: int
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class GhostPage:
    """A page of the list; `page` counts from 1."""

    rows: tuple[GhostRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class GhostQuery:
    """What the list shows. `sort` is one of found, amount, next; newest or largest first unless `ascending`."""

    states: tuple[GhostState, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    search: str = ""
    sort: str = "found"
    ascending: bool = False
    page: int = 1
    page_size: int = 25


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One event of a ghost's life."""

    name: str
    from_state: str
    to_state: str
    reason: str
    occurred_at: datetime
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message as the outbox and the ghost's page show it; `html` is untrusted to the page that embeds it."""

    id: str
    ghost_id: str
    step: int
    channel: str
    state: str
    reason: str
    template: str
    recipient: str
    subject: str
    html: str
    plain: str
    due_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class ForensicFact:
    """A label and a value of the ghost's page, already in words."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class GhostDetail:
    row: GhostRow
    invoice_id: str
    subscription_id: str
    subscription_status: str
    mechanism: str
    close_reason: str
    forensics: tuple[ForensicFact, ...]
    timeline: tuple[TimelineEntry, ...]
    messages: tuple[MessageView, ...]
