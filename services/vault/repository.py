"""SQL of vault_secrets and hash_keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core.rows import read
from models.merchant import Merchant
from models.vault import HashKey, VaultSecret
from services.vault.cipher import Sealed

# Asked for in nearly each transaction about customers, and nearly always empty: as plain text it costs a third.
_OTHERS = text("""
select purpose, version, ciphertext, iv, tag, wrapped_key, key_version from hash_keys
where version <> all(cast(:versions as int[])) order by purpose, version desc
""")


_HASH_KEYS = text("""
select purpose, version, ciphertext, iv, tag, wrapped_key, key_version, sealed_at from hash_keys
order by purpose, version desc
""")


def get_secret(session: Session, merchant_id: str, name: str) -> VaultSecret | None:
    return session.exec(
        select(VaultSecret).where(VaultSecret.merchant_id == merchant_id, VaultSecret.name == name)
    ).first()


def list_key_versions(session: Session, merchant_id: str) -> set[int]:
    """Of the account's credential and of every named secret."""
    tokens = session.exec(select(Merchant.key_version).where(Merchant.id == merchant_id))
    secrets = session.exec(select(VaultSecret.key_version).where(VaultSecret.merchant_id == merchant_id).distinct())
    return {version for version in (*tokens, *secrets) if version is not None}


def put_secret(session: Session, merchant_id: str, name: str, sealed: Sealed, now: datetime) -> None:
    """Insert or replace in one statement, so that two writers leave one whole record."""
    values = {**_columns(sealed), "updated_at": now}
    statement = insert(VaultSecret).values(merchant_id=merchant_id, name=name, created_at=now, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "name"], set_=values))


def delete_secret(session: Session, merchant_id: str, name: str) -> bool:
    result = session.execute(
        delete(VaultSecret)
        .where(col(VaultSecret.merchant_id) == merchant_id, col(VaultSecret.name) == name)
        .returning(col(VaultSecret.name))
    )
    return result.first() is not None


def list_hash_keys(session: Session) -> list[Row[Any]]:
    """Of all purposes, the newest version first; one a version of the master key."""
    return read(session, _HASH_KEYS).all()


def list_other_hash_keys(session: Session, versions: list[int]) -> Sequence[Row[Any]]:
    """Those that derive from none of these versions of the master key, of all purposes, the newest first."""
    return read(session, _OTHERS, versions=versions).all()


def put_hash_key(session: Session, purpose: str, version: int, sealed: Sealed, now: datetime) -> None:
    """Insert it, or replace one that was sealed under an older master key."""
    values = {**_columns(sealed), "sealed_at": now}
    statement = insert(HashKey).values(purpose=purpose, version=version, **values)
    older = col(HashKey.key_version) < sealed.key_version
    session.execute(statement.on_conflict_do_update(index_elements=["purpose", "version"], set_=values, where=older))


def _columns(sealed: Sealed) -> dict[str, object]:
    return {
        "ciphertext": sealed.ciphertext,
        "iv": sealed.iv,
        "tag": sealed.tag,
        "wrapped_key": sealed.wrapped_key,
        "key_version": sealed.key_version,
    }
