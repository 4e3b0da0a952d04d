"""SQL of vault_secrets."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.merchant import Merchant
from models.vault import VaultSecret
from services.vault.cipher import Sealed


def get_secret(session: Session, merchant_id: str, name: str) -> VaultSecret | None:
    return session.exec(
        select(VaultSecret).where(VaultSecret.merchant_id == merchant_id, VaultSecret.name == name)
    ).first()


def list_names(session: Session, merchant_id: str) -> list[str]:
    return list(
        session.exec(select(VaultSecret.name).where(VaultSecret.merchant_id == merchant_id).order_by(VaultSecret.name))
    )


def list_key_versions(session: Session, merchant_id: str) -> set[int]:
    """Of the account's credential and of every named secret."""
    tokens = session.exec(select(Merchant.key_version).where(Merchant.id == merchant_id))
    secrets = session.exec(select(VaultSecret.key_version).where(VaultSecret.merchant_id == merchant_id).distinct())
    return {version for version in (*tokens, *secrets) if version is not None}


def put_secret(session: Session, merchant_id: str, name: str, sealed: Sealed, now: datetime) -> None:
    """Insert or replace in one statement, so that two writers leave one whole record."""
    values = {
        "ciphertext": sealed.ciphertext,
        "iv": sealed.iv,
        "tag": sealed.tag,
        "wrapped_key": sealed.wrapped_key,
        "key_version": sealed.key_version,
        "updated_at": now,
    }
    statement = insert(VaultSecret).values(merchant_id=merchant_id, name=name, created_at=now, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "name"], set_=values))


def delete_secret(session: Session, merchant_id: str, name: str) -> bool:
    result = session.execute(
        delete(VaultSecret)
        .where(col(VaultSecret.merchant_id) == merchant_id, col(VaultSecret.name) == name)
        .returning(col(VaultSecret.name))
    )
    return result.first() is not None
