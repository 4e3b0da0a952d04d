"""PostgreSQL advisory locks: one leader, or one at a time, on any number of machines."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session

from core.rows import read

# `unnest` gives the keys in the array's order, and a function of the select list is called row by row.
_IN_ORDER = text("select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) as key")


def lock_key(name: str) -> int:
    """A stable signed 64-bit key for a lock's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def wait_transaction_lock(session: Session, name: str) -> None:
    """Take `name` until the transaction ends, waiting for whoever has it."""
    wait_transaction_locks(session, [name])


def wait_transaction_locks(session: Session, names: Sequence[str]) -> None:
    """Take all `names` until the transaction ends, one after the other in the order given, in one round trip.

    Callers who take several must agree on their order, else two of them can wait for each other.
    """
    read(session, _IN_ORDER, keys=[lock_key(name) for name in names])
