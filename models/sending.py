"""Whose keys messages go out with, who agreed to be written to, and the keys of merchants' own programs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlmodel import Field

from models.base import Scope, Table, TenantTable, enum_text, json_object, long_text, optional_utc, utc_column
from models.messaging import Channel


class SenderState(StrEnum):
    READY = "ready"
    PAUSED = "paused"  # the provider refused its key: messages wait for a new one


class MerchantSender(Table, table=True):
    """A merchant's own way out on a channel; its secrets are in the vault. At most one row a tenant and channel."""

    __tablename__ = "merchant_senders"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    channel: Channel = Field(primary_key=True, sa_type=String(16))
    provider: str = Field(max_length=16)
    account: str = Field(default="", max_length=64)  # Twilio's account SID
    address: str = Field(max_length=320)  # the From: an address, a number, or a messaging service
    key_hint: str = Field(default="", max_length=8)  # the last four characters of the key, for a person to know it by
    key_print: str = Field(max_length=16)  # which key it is: what was begun with another one is not repeated with it
    webhook_token: str = Field(max_length=32)
    has_webhook_secret: bool = False
    state: SenderState = enum_text(SenderState.READY)
    paused_reason: str = long_text()
    paused_at: datetime | None = optional_utc()
    created_at: datetime = utc_column()
    updated_at: datetime = utc_column()


class SenderAddress(Table, table=True):
    """Which merchant's sender a webhook address belongs to; readable before a tenant is known. It goes with the sender.

    What the address carries is kept as a hash: no secret, for each webhook is signed, and still nobody's business.
    """

    __tablename__ = "sender_addresses"
    scope = Scope.SHARED

    token_hash: str = Field(primary_key=True, max_length=64)
    merchant_id: str = Field(max_length=40, index=True)
    channel: Channel = enum_text(Channel.EMAIL)
    created_at: datetime = utc_column()


class TextedNumber(Table, table=True):
    """Which merchants wrote to a number from the platform's own: whom a STOP to that number concerns.

    The number is a keyed hash. One row a number and merchant, kept for good as suppressions are.
    """

    __tablename__ = "texted_numbers"
    scope = Scope.SHARED

    number_hash: str = Field(primary_key=True, max_length=64)
    merchant_id: str = Field(primary_key=True, max_length=40)
    created_at: datetime = utc_column()


class ConsentState(StrEnum):
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


class Consent(TenantTable, table=True):
    """What somebody agreed to or took back: append-only, the latest `happened_at` holds. Kept for good, as proof.

    The address is the same keyed hash as in `suppressions`.
    """

    __tablename__ = "consents"

    customer_id: str = Field(default="", max_length=64)
    channel: Channel = enum_text(Channel.SMS)
    address_hash: str = Field(max_length=64)
    state: ConsentState = enum_text(ConsentState.GRANTED)
    happened_at: datetime = utc_column()
    source: str = Field(default="", max_length=64)  # where: "checkout", "signup form"
    text_version: str = Field(default="", max_length=64)  # which wording was agreed to
    recorded_by: str = Field(default="", max_length=80)  # a member or an API key
    recorded_at: datetime = utc_column()

    __table_args__ = (
        # One fact once, however often it is imported; and how the latest of an address is found.
        UniqueConstraint("merchant_id", "channel", "address_hash", "happened_at", "state", name="uq_consents_fact"),
        Index("ix_consents_customer", "merchant_id", "customer_id", text("id desc")),
    )


class ApiKey(Table, table=True):
    """A key of a merchant's own program, kept as a keyed hash. Grows with people only; revoked ones are kept."""

    __tablename__ = "api_keys"
    scope = Scope.SHARED

    key_hash: str = Field(primary_key=True, max_length=64)
    merchant_id: str = Field(max_length=40)
    id: str = Field(max_length=40)
    name: str = Field(default="", max_length=80)
    hint: str = Field(default="", max_length=8)
    scopes: dict[str, Any] = json_object()
    created_by: str = Field(default="", max_length=40)
    created_at: datetime = utc_column()
    last_used_at: datetime | None = optional_utc()
    revoked_at: datetime | None = optional_utc()

    __table_args__ = (UniqueConstraint("merchant_id", "id", name="uq_api_keys_merchant_id_id"),)
