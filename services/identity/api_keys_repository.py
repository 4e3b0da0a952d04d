"""All SQL of API keys."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select, update

from models.sending import ApiKey


def list_keys(session: Session, merchant_id: str) -> Sequence[ApiKey]:
    return session.exec(select(ApiKey).where(ApiKey.merchant_id == merchant_id).order_by(col(ApiKey.id).desc())).all()


def get_by_hash(session: Session, hashes: Sequence[str]) -> ApiKey | None:
    """The key with one of these hashes, unless it was revoked. System session."""
    return session.exec(
        select(ApiKey).where(col(ApiKey.key_hash).in_(hashes), col(ApiKey.revoked_at).is_(None))
    ).first()


def revoke(session: Session, merchant_id: str, key_id: str, now: datetime) -> bool:
    """False where there is no such key that works."""
    mine = (col(ApiKey.merchant_id) == merchant_id, col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
    gone = session.execute(update(ApiKey).where(*mine).values(revoked_at=now).returning(col(ApiKey.id)))
    return gone.first() is not None
