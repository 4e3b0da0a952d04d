"""Secrets at rest: six hex columns a secret, and the column type that refuses plain text."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import CheckConstraint, Dialect, String
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field

from models.base import Scope, Table, utc_column

_HEX = frozenset("0123456789abcdef")


class Hex(str):
    """Bytes as lower-case hex. Only the vault makes these, so a secret cannot be stored by mistake.

    A plain `str` that happens to look like hex (a Twilio token does) is refused all the same: the column wants
    this type, not this shape.
    """

    __slots__ = ()

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(data.hex())

    def to_bytes(self) -> bytes:
        return bytes.fromhex(self)


class SealedHex(TypeDecorator[str]):
    """A VARCHAR that takes `Hex` alone; anything else raises before it reaches the wire."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Hex) or not _HEX.issuperset(value):
            raise TypeError("a secret column takes what the vault sealed, never plain text")
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Hex | None:
        return None if value is None else Hex(value)


def sealed() -> Any:
    return Field(sa_type=SealedHex, nullable=False)


def optional_sealed() -> Any:
    return Field(default=None, sa_type=SealedHex, nullable=True)


def sealed_rule(ciphertext: str, iv: str, tag: str, wrapped_key: str) -> str:
    """The rule in SQL, for whoever writes past the ORM: hex, a whole IV, tag and wrapped key, or nothing at all."""
    return (
        f"num_nonnulls({ciphertext}, {iv}, {tag}, {wrapped_key}) in (0, 4)"
        f" and coalesce({ciphertext} ~ '^([0-9a-f]{{2}})*$' and {iv} ~ '^[0-9a-f]{{24}}$'"
        f" and {tag} ~ '^[0-9a-f]{{32}}$' and {wrapped_key} ~ '^[0-9a-f]{{120}}$', true)"
    )


def sealed_check(name: str, ciphertext: str, iv: str, tag: str, wrapped_key: str) -> CheckConstraint:
    return CheckConstraint(sealed_rule(ciphertext, iv, tag, wrapped_key), name=name)


class VaultSecret(Table, table=True):
    """A merchant's secret under a name (`resend.api_key`); goes with its merchant."""

    __tablename__ = "vault_secrets"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    name: str = Field(primary_key=True, max_length=64)
    ciphertext: str = sealed()
    iv: str = sealed()
    tag: str = sealed()
    wrapped_key: str = sealed()
    key_version: int
    created_at: datetime = utc_column()
    updated_at: datetime = utc_column()

    __table_args__ = (sealed_check("sealed", "ciphertext", "iv", "tag", "wrapped_key"),)


class HashKey(Table, table=True):
    """What stored hashes were made with under one version of the master key, sealed under the newest.

    A hash cannot be made again, because what it was made of is not kept: so its key must outlive the master key it
    derives from. One row a purpose and version, kept for good.
    """

    __tablename__ = "hash_keys"
    scope = Scope.SHARED  # the same for all merchants: the application login reads it, the system login writes it

    purpose: str = Field(primary_key=True, max_length=32)
    version: int = Field(primary_key=True)
    ciphertext: str = sealed()
    iv: str = sealed()
    tag: str = sealed()
    wrapped_key: str = sealed()
    key_version: int
    sealed_at: datetime = utc_column()

    __table_args__ = (sealed_check("sealed", "ciphertext", "iv", "tag", "wrapped_key"),)
