"""Secrets at rest: the six columns of PRODUCT §7.3 for everything but the account's own credential."""

from datetime import datetime

from sqlmodel import Field

from models.base import Scope, Table, utc_column


class VaultSecret(Table, table=True):
    """A merchant's secret under a name (`resend.api_key`); the column pair (iv, tag) is what AES-GCM needs."""

    __tablename__ = "vault_secrets"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    name: str = Field(primary_key=True, max_length=64)
    ciphertext: str
    iv: str = Field(max_length=24)
    tag: str = Field(max_length=32)
    wrapped_key: str = Field(max_length=256)
    key_version: int
    created_at: datetime = utc_column()
    updated_at: datetime = utc_column()
