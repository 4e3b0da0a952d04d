"""The ledger of recovered money, the attempts to collect it, and the day's sums."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint, text
from sqlmodel import Field

from models.base import Scope, Table, TenantTable, cents, count, enum_text, optional_utc, shard, utc_column


class RecoveryKind(StrEnum):
    RECOVERED = "recovered"
    PROTECTED = "protected"
    REVERSED = "reversed"
    CREDITED = "credited"  # in pairs that come to nothing: a recovery was another's merit than was thought


class Recovery(TenantTable, table=True):
    """The ledger: append-only. A reversal is a negative row, and one that came to nothing a positive one beside it.

    Merit that was given wrongly is moved by two rows, one from a mechanism and one to another. Kept for ever.
    """

    __tablename__ = "recoveries"

    ghost_id: str = Field(max_length=40)
    kind: RecoveryKind = enum_text(RecoveryKind.RECOVERED)
    source_id: str = Field(max_length=64)  # the invoice, refund or dispute it stands for
    amount_cents: int = cents()
    currency: str = Field(max_length=3)
    mechanism: str = Field(default="", max_length=32)
    message_id: str | None = Field(default=None, max_length=40)
    payment_intent_id: str | None = Field(default=None, max_length=64)  # of which a refund or dispute took it
    found_at: datetime = utc_column()
    occurred_at: datetime = utc_column()
    recorded_at: datetime = utc_column()

    __table_args__ = (
        UniqueConstraint("merchant_id", "ghost_id", "kind", "source_id"),
        # A refund that failed names itself, and no payment of which it can be known whom it paid.
        Index("ix_recoveries_taken", "merchant_id", "source_id", postgresql_where=text("kind = 'reversed'")),
        Index("ix_recoveries_recent", "merchant_id", text("occurred_at desc"), "id"),
    )


class PaymentPart(Table, table=True):
    """What each of several payments brought of a recovery; no rows where one brought all of it. Kept with its ghost."""

    __tablename__ = "payment_parts"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    payment_intent_id: str = Field(primary_key=True, max_length=64)  # first: a refund names a payment
    ghost_id: str = Field(primary_key=True, max_length=40)
    amount_cents: int = cents()  # 0: paid before the ghost was found, and so no part of what was recovered
    paid_at: datetime = utc_column()
    recorded_at: datetime = utc_column()

    __table_args__ = (Index("ix_payment_parts_ghost", "merchant_id", "ghost_id"),)


class AttemptSource(StrEnum):
    STRIPE = "stripe"
    PHANTOM = "phantom"
    CUSTOMER = "customer"  # a person, on Stripe's own page: no retry of a merchant's


class AttemptState(StrEnum):
    STARTED = "started"
    PROCESSING = "processing"  # Stripe took it, and the bank takes days: a debit
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    ALREADY_PAID = "already_paid"  # somebody else was faster: no merit of ours
    GIVEN_UP = "given_up"  # Stripe refused the call itself: nothing was charged
    UNCERTAIN = "uncertain"  # begun, and Stripe no longer says whether it was made: counts as made


UNSETTLED = frozenset({AttemptState.STARTED, AttemptState.PROCESSING})


class PaymentAttempt(TenantTable, table=True):
    """One attempt to charge for a ghost, Stripe's included: the networks' limits count all. Kept with its ghost."""

    __tablename__ = "payment_attempts"

    ghost_id: str = Field(max_length=40)
    invoice_id: str = Field(max_length=64)
    source: AttemptSource = enum_text(AttemptSource.STRIPE)
    state: AttemptState = enum_text(AttemptState.DECLINED)
    idempotency_key: str = Field(max_length=200)
    payment_method_id: str | None = Field(default=None, max_length=64)
    card_brand: str = Field(default="", max_length=32)
    card_fingerprint: str = Field(default="", max_length=64)
    charge_id: str | None = Field(default=None, max_length=64)
    decline_code: str = Field(default="", max_length=64)
    attempted_at: datetime = utc_column()
    settled_at: datetime | None = optional_utc()

    __table_args__ = (
        UniqueConstraint("merchant_id", "idempotency_key"),
        Index("ix_payment_attempts_ghost", "merchant_id", "ghost_id", "attempted_at"),
        Index("ix_payment_attempts_card", "merchant_id", "payment_method_id", "attempted_at"),
        Index(
            "ix_payment_attempts_number",
            "merchant_id",
            "card_fingerprint",
            "attempted_at",
            postgresql_where=text("card_fingerprint <> ''"),
        ),
        # What was begun and nobody has heard of: none most of the time, and asked for with each pulse.
        Index(
            "ix_payment_attempts_unsettled",
            "merchant_id",
            "attempted_at",
            postgresql_where=text("state in ('started', 'processing')"),
        ),
    )


class DailyMetrics(Table, table=True):
    """Sums of a merchant's day (UTC) in one currency, in at most 16 shards; changed in the ledger's transaction.

    `*_count`/`*_cents` are what happened on the day. `cohort_*` belong to the ghosts *found* on the day and go on
    changing later: with both, funnel and recovery rate of any period cost some rows a day, never one a ghost. A
    shard's row has one writer at a time, and only the sum over the shards means anything
    (`services/analytics/shards.py`). Grows by the days on which something happened.
    """

    __tablename__ = "daily_metrics"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    currency: str = Field(primary_key=True, max_length=3)
    day: date = Field(primary_key=True)
    shard: int = shard()
    billed_count: int = count()
    billed_cents: int = cents()
    found_count: int = count()
    found_cents: int = cents()
    recovered_count: int = count()
    recovered_cents: int = cents()
    protected_count: int = count()
    protected_cents: int = cents()
    lost_count: int = count()
    lost_cents: int = cents()
    reversed_count: int = count()
    reversed_cents: int = cents()
    messages_count: int = count()
    clicks_count: int = count()
    cohort_messaged_count: int = count()
    cohort_clicked_count: int = count()
    cohort_clicked_recovered_count: int = count()  # ... and paid after it: the funnel's last step
    cohort_recovered_count: int = count()
    cohort_recovered_cents: int = cents()
    cohort_reversed_cents: int = cents()

    # Readers never touch the table itself: the key carries every sum.
    __table_args__ = (
        PrimaryKeyConstraint(
            "merchant_id",
            "currency",
            "day",
            "shard",
            postgresql_include=[
                *(f"{fact}_count" for fact in ("billed", "found", "recovered", "protected", "lost", "reversed")),
                *(f"{fact}_cents" for fact in ("billed", "found", "recovered", "protected", "lost", "reversed")),
                "messages_count",
                "clicks_count",
                "cohort_messaged_count",
                "cohort_clicked_count",
                "cohort_clicked_recovered_count",
                "cohort_recovered_count",
                "cohort_recovered_cents",
                "cohort_reversed_cents",
            ],
        ),
    )
