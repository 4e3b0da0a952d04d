"""The tenant: one connected Stripe account, its totals per currency, and what it billed."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import PrimaryKeyConstraint, String
from sqlmodel import Field

from models.base import Scope, Table, TenantTable, cents, count, enum_text, json_object, optional_utc, shard, utc_column
from models.vault import optional_sealed, sealed_check


class Plan(StrEnum):
    FREE = "free"
    GROWTH = "growth"
    SCALE = "scale"


class CredentialMode(StrEnum):
    """How we act on the account: platform key + `Stripe-Account`, an OAuth token, or the account's own key."""

    PLATFORM = "platform"
    OAUTH = "oauth"
    RESTRICTED_KEY = "restricted_key"


class MerchantState(StrEnum):
    ACTIVE = "active"
    DISCONNECTED = "disconnected"


class StripeMails(StrEnum):
    """Whether Stripe itself writes to the merchant's customers about failed payments: what the merchant says of it.

    Stripe's API has no field that tells, and two mails about one payment are one too many.
    """

    NOT_ASKED = ""
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # asked, and nobody knew


class Merchant(Table, table=True):
    """One row a tenant; grows with customers of ours only. The credential is six hex columns."""

    __tablename__ = "merchants"
    scope = Scope.TENANT

    id: str = Field(primary_key=True, max_length=40)
    name: str = Field(default="", max_length=200)
    stripe_user_id: str | None = Field(default=None, max_length=64)
    livemode: bool = False
    credential_mode: CredentialMode = enum_text(CredentialMode.PLATFORM)
    oauth_scope: str = Field(default="", max_length=40)
    encrypted_token: str | None = optional_sealed()
    iv: str | None = optional_sealed()
    tag: str | None = optional_sealed()
    wrapped_key: str | None = optional_sealed()
    key_version: int | None = None
    encrypted_refresh_token: str | None = optional_sealed()
    refresh_iv: str | None = optional_sealed()
    refresh_tag: str | None = optional_sealed()
    refresh_wrapped_key: str | None = optional_sealed()
    state: MerchantState = enum_text(MerchantState.ACTIVE)
    plan: Plan = enum_text(Plan.FREE)
    default_currency: str = Field(default="usd", max_length=3)
    country: str = Field(default="", max_length=2)
    timezone: str = Field(default="UTC", max_length=64)
    business_category: str = Field(default="", max_length=8)  # the account's MCC: the Oracle backs off by it
    reply_to: str = Field(default="", max_length=320)
    brand: dict[str, Any] = json_object()
    policy: dict[str, Any] = json_object()
    stripe_mails: StripeMails = Field(
        default=StripeMails.NOT_ASKED, sa_type=String(8), nullable=False, sa_column_kwargs={"server_default": ""}
    )
    stripe_refusals: dict[str, Any] = json_object()  # what Stripe does not let us do, by capability: code, since, last
    created_at: datetime = utc_column()
    updated_at: datetime = utc_column()
    connected_at: datetime | None = optional_utc()
    disconnected_at: datetime | None = optional_utc()
    usage_customer_id: str | None = Field(default=None, max_length=64)  # at the platform: whom the operator bills
    usage_since: date | None = None  # the first day (UTC) that is billed

    __table_args__ = (
        sealed_check("token_sealed", "encrypted_token", "iv", "tag", "wrapped_key"),
        sealed_check(
            "refresh_token_sealed", "encrypted_refresh_token", "refresh_iv", "refresh_tag", "refresh_wrapped_key"
        ),
    )


class StripeAccount(Table, table=True):
    """Which merchant an account's webhooks belong to; one row an account, readable before any tenant is known."""

    __tablename__ = "stripe_accounts"
    scope = Scope.SHARED

    stripe_user_id: str = Field(primary_key=True, max_length=64)
    merchant_id: str = Field(max_length=40, index=True)
    livemode: bool = False
    connected_at: datetime = utc_column()
    disconnected_at: datetime | None = optional_utc()


class MerchantTotals(Table, table=True):
    """What stands open now, per currency, in at most 16 shards; changed in the transaction that changes a ghost."""

    __tablename__ = "merchant_totals"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    currency: str = Field(primary_key=True, max_length=3)
    shard: int = shard()
    leakage_cents: int = cents()
    shadow_leakage_cents: int = cents()
    impending_leakage_cents: int = cents()
    recovered_cents: int = cents()
    protected_cents: int = cents()
    open_ghosts: int = count()  # still chased; leakage also counts what was given up and never paid
    impending_ghosts: int = count()
    updated_at: datetime = utc_column()

    __table_args__ = (
        PrimaryKeyConstraint(
            "merchant_id",
            "currency",
            "shard",
            postgresql_include=[
                "leakage_cents",
                "shadow_leakage_cents",
                "impending_leakage_cents",
                "recovered_cents",
                "protected_cents",
                "open_ghosts",
                "impending_ghosts",
            ],
        ),
    )


class OpenLeakage(Table, table=True):
    """What is still chased now, by decline group, in at most 16 shards: a dashboard counts no ghosts.

    As many rows as currencies, groups and shards; changed in the transaction that changes a ghost.
    """

    __tablename__ = "open_leakage"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    currency: str = Field(primary_key=True, max_length=3)
    decline_group: str = Field(primary_key=True, max_length=32)
    shard: int = shard()
    amount_cents: int = cents()
    ghosts: int = count()

    __table_args__ = (
        PrimaryKeyConstraint(
            "merchant_id", "currency", "decline_group", "shard", postgresql_include=["amount_cents", "ghosts"]
        ),
    )


class BilledInvoice(TenantTable, table=True):
    """Recurring invoices seen paid or failed, once each (`id` is the invoice's); pruned after 60 days.

    It makes "amount billed in the last 30 days" count an invoice once, however often we hear of it.
    """

    __tablename__ = "billed_invoices"

    currency: str = Field(max_length=3)
    amount_cents: int = cents()
    billed_on: date
