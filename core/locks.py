"""PostgreSQL advisory locks: one leader, or one at a time, on any number of machines."""

import hashlib

from sqlalchemy import text
from sqlmodel import Session


def lock_key(name: str) -> int:
    """A stable signed 64-bit key for a lock's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def try_transaction_lock(session: Session, name: str) -> bool:
    """Take `name` until the transaction ends; False when another transaction has it."""
    return bool(session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": lock_key(name)}))


def wait_transaction_lock(session: Session, name: str) -> None:
    """Take `name` until the transaction ends, waiting for whoever has it."""
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})
