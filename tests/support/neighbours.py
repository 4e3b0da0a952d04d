"""Customers of chosen shards, and sessions that rather fail than wait."""

import contextlib
import itertools
from collections.abc import Iterator

from sqlalchemy import text
from sqlmodel import Session

from core import db
from services.analytics import shards


def customers_of_shards(*wanted: int) -> list[str]:
    """A customer's id for each of these shards."""
    names = {shard: (f"cus_{shard}_{n}" for n in itertools.count()) for shard in wanted}
    return [next(name for name in names[shard] if shards.of_customer(name) == {shard}) for shard in wanted]


@contextlib.contextmanager
def impatient(merchant_id: str, milliseconds: int = 300) -> Iterator[Session]:
    """A tenant session that raises `OperationalError` where it would have to wait for a lock."""
    with db.tenant_session(merchant_id) as session:
        session.execute(text(f"set local lock_timeout = {milliseconds}"))
        yield session
