"""A ghost, what happened to it, and the tasks a person has to do about it."""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, UniqueConstraint, text
from sqlmodel import Field

from models.base import TenantTable, cents, count, enum_text, json_object, long_text, optional_utc, utc_column


class GhostKind(StrEnum):
    FAILED = "failed"
    IMPENDING = "impending"


class GhostState(StrEnum):
    OPEN = "open"
    CONTACTED = "contacted"
    CLICKED = "clicked"
    PAUSED = "paused"
    EXHAUSTED = "exhausted"
    STOPPED = "stopped"
    LOST = "lost"
    RECOVERED = "recovered"
    REVERSED = "reversed"
    IMPENDING = "impending"
    PROTECTED = "protected"


# Each of these holds the one before: who is written to; the same, and whom a person has paused; what is owed for a
# subscription that goes on, and may be charged; and all whose money is still out.
CHASED_STATES = frozenset({GhostState.OPEN, GhostState.CONTACTED, GhostState.CLICKED})
OPEN_STATES = CHASED_STATES | {GhostState.PAUSED}
COLLECTIBLE_STATES = OPEN_STATES | {GhostState.EXHAUSTED}
UNPAID_STATES = COLLECTIBLE_STATES | {GhostState.STOPPED, GhostState.LOST}


GIVEN_UP = "given_up"  # `close_reason` of what was lost though its invoice may still be open, and so be paid


class Strategy(StrEnum):
    TECHNICAL_BRIDGE = "technical_bridge"
    SMART_RETRY = "smart_retry"
    CARD_REFRESH = "card_refresh"
    HIGH_VALUE_MANUAL = "high_value_manual"
    STOPPED = "stopped"
    NONE = "none"


class FunnelStep(IntEnum):
    """How far a failed ghost has come; each holds the ones before."""

    FOUND = 0
    MESSAGED = 1
    CLICKED = 2
    RECOVERED = 3


class FoundVia(StrEnum):
    HUNT = "hunt"
    WEBHOOK = "webhook"
    AUDIT = "audit"


class Mechanism(StrEnum):
    """Whose merit a recovery is, strongest claim first."""

    OWN_ATTEMPT = "own_attempt"
    CLICK = "click"
    MESSAGE = "message"
    STRIPE_RETRY = "stripe_retry"
    ORGANIC = "organic"


class GhostTarget(TenantTable, table=True):
    """One failed or impending recurring invoice. PII columns are emptied after 90 days; the rest is history."""

    __tablename__ = "ghost_targets"

    kind: GhostKind = enum_text(GhostKind.FAILED)
    state: GhostState = enum_text(GhostState.OPEN)
    paused_from: str | None = Field(default=None, max_length=32)
    found_via: FoundVia = enum_text(FoundVia.HUNT)

    invoice_id: str = Field(max_length=64)
    subscription_id: str | None = Field(default=None, max_length=64)
    customer_id: str | None = Field(default=None, max_length=64)
    payment_intent_id: str | None = Field(default=None, max_length=64)
    payment_method_id: str | None = Field(default=None, max_length=64)

    customer_email: str | None = Field(default=None, max_length=512)  # PII
    customer_name: str | None = Field(default=None, max_length=512)  # PII
    customer_phone: str | None = Field(default=None, max_length=64)  # PII
    customer_language: str = Field(default="", max_length=35)
    customer_country: str = Field(default="", max_length=2)

    card_brand: str = Field(default="", max_length=32)
    card_funding: str = Field(default="", max_length=16)
    card_last4: str = Field(default="", max_length=4)
    card_fingerprint: str = Field(default="", max_length=64)  # Stripe's name of the card's number, the same for a copy
    spare_card_id: str | None = Field(default=None, max_length=64)  # a default card that is not the one that failed
    passed_over_card_id: str | None = Field(default=None, max_length=64)  # ... looked at, and not fit to be charged
    country_code: str = Field(default="", max_length=2)
    requires_3ds: bool = False
    stripe_error_code: str = Field(default="", max_length=64)
    decline_code: str = Field(default="", max_length=64)
    advice_code: str = Field(default="", max_length=64)
    decline_group: str = Field(default="", max_length=32)
    api_shape: str = Field(default="", max_length=16)
    seen_at: datetime | None = optional_utc()  # when Stripe was asked for what stands here; what is older is no news

    original_invoice_date: datetime = utc_column()
    attempt_count: int = count()
    next_payment_attempt: datetime | None = optional_utc()
    charge_at: datetime | None = optional_utc()  # of an impending one: when the next charge is due
    risk: str = Field(default="", max_length=24)  # ... and why it is likely to fail
    priced_cents: int | None = Field(default=None, sa_type=BigInteger, nullable=True)  # ... what its subscription says
    amount_is_about: bool = Field(default=False, nullable=False, sa_column_kwargs={"server_default": "false"})
    billing_reason: str = Field(default="", max_length=32)
    subscription_status: str = Field(default="", max_length=24)
    found_cents: int = cents()  # what was open when it was found: what a recovery can bring back
    paid_before_cents: int = cents()  # ... and what had been paid of the invoice by then: none of ours
    amount_cents: int = cents()  # what is open now
    currency: str = Field(max_length=3)
    monthly_value_cents: int = cents()
    shadow_cents: int = cents()  # the part of shadow leakage this ghost carries for its subscription

    strategy: Strategy = enum_text(Strategy.SMART_RETRY)
    strategy_reason: str = long_text()
    last_action: str = Field(default="", max_length=64)
    last_action_at: datetime | None = optional_utc()
    next_action: str = Field(default="", max_length=64)
    next_action_at: datetime | None = optional_utc()
    next_action_reason: str = long_text()
    own_retries: int = count()
    charge_id: str | None = Field(default=None, max_length=64)  # the latest one heard of, whoever made it
    last_charge_at: datetime | None = optional_utc()  # the latest charge that no person made, Stripe's included
    next_retry_at: datetime | None = optional_utc()
    retry_reason: str = long_text()
    messages_sent: int = count()
    click_count: int = count()
    last_clicked_at: datetime | None = optional_utc()
    funnel_step: int = Field(  # at which it is counted in the sums of its cohort
        default=FunnelStep.FOUND.value, sa_type=SmallInteger, nullable=False, sa_column_kwargs={"server_default": "0"}
    )

    found_at: datetime = utc_column()
    found_on: date
    reopened_at: datetime | None = optional_utc()  # owed again after it had ended: its days count from here
    contacted_at: datetime | None = optional_utc()
    clicked_at: datetime | None = optional_utc()  # the first click on what was said of the failure
    closed_at: datetime | None = optional_utc()
    close_reason: str = Field(default="", max_length=64)
    recovered_cents: int = cents()
    mechanism: str = Field(default="", max_length=32)
    last_presence_at: datetime | None = optional_utc()
    purged_at: datetime | None = optional_utc()  # since when the columns marked PII are empty, for good
    updated_at: datetime = utc_column()

    __table_args__ = (
        UniqueConstraint("merchant_id", "invoice_id"),
        Index("ix_ghost_targets_found", "merchant_id", text("found_at desc"), "id"),
        Index("ix_ghost_targets_state", "merchant_id", "state", text("found_at desc"), "id"),
        Index("ix_ghost_targets_amount", "merchant_id", text("amount_cents desc"), "id"),
        Index(
            "ix_ghost_targets_presence",
            "merchant_id",
            text("last_presence_at desc nulls last"),
            text("found_at desc"),
            "id",
        ),
        # What a dashboard asks: who of those that still owe was seen lately.
        Index(
            "ix_ghost_targets_active",
            "merchant_id",
            "currency",
            "last_presence_at",
            postgresql_include=["customer_id", "amount_cents"],
            postgresql_where=text(
                "last_presence_at is not null and state in ('open', 'contacted', 'clicked', 'paused', 'exhausted')"
            ),
        ),
        Index("ix_ghost_targets_unpurged", "merchant_id", "found_at", postgresql_where=text("purged_at is null")),
        Index("ix_ghost_targets_customer", "merchant_id", "customer_id"),
        Index("ix_ghost_targets_subscription", "merchant_id", "subscription_id"),
        # A refund or dispute names a payment.
        Index(
            "ix_ghost_targets_intent",
            "merchant_id",
            "payment_intent_id",
            postgresql_where=text("payment_intent_id is not null"),
        ),
        # What is due, and the list by next action: with nothing planned at its end.
        Index("ix_ghost_targets_next", "merchant_id", "next_action_at", "id"),
        Index(
            "ix_ghost_targets_retry",
            "merchant_id",
            "next_retry_at",
            postgresql_where=text("next_retry_at is not null"),
        ),
    )


class GhostEvent(TenantTable, table=True):
    """Each transition and notable fact of a ghost with its reason; append-only, goes with its ghost."""

    __tablename__ = "ghost_events"

    ghost_id: str = Field(max_length=40)
    name: str = Field(max_length=48)
    from_state: str = Field(default="", max_length=32)
    to_state: str = Field(default="", max_length=32)
    reason: str = long_text()
    facts: dict[str, Any] = json_object()
    occurred_at: datetime = utc_column()

    __table_args__ = (Index("ix_ghost_events_ghost", "merchant_id", "ghost_id", "occurred_at"),)


class ManualTaskState(StrEnum):
    OPEN = "open"
    DONE = "done"


class ManualTask(TenantTable, table=True):
    """A decision that waits for a person: one for each ghost above the high-value line. Kept with it."""

    __tablename__ = "manual_tasks"

    ghost_id: str = Field(max_length=40)
    state: ManualTaskState = enum_text(ManualTaskState.OPEN)
    assignee_id: str | None = Field(default=None, max_length=40)
    reason: str = long_text()
    closed_reason: str = long_text()
    closed_by: str | None = Field(default=None, max_length=40)  # nobody: it closed itself
    created_at: datetime = utc_column()
    alerted_at: datetime | None = optional_utc()
    released_at: datetime | None = optional_utc()  # when a person let the draft go
    released_by: str | None = Field(default=None, max_length=40)
    closed_at: datetime | None = optional_utc()

    __table_args__ = (
        UniqueConstraint("merchant_id", "ghost_id"),
        Index("ix_manual_tasks_open", "merchant_id", "state", "created_at"),
    )
