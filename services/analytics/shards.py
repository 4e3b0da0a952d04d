"""Who may change which part of a merchant's ghosts and sums: 16 shards, each with one writer at a time.

Everything that must not be interleaved belongs to one customer: an invoice has one customer for good, so has a
subscription (whose shadow leakage exactly one of its ghosts carries), and the weekly limit counts a customer's
messages. So a customer's hash names the shard that has to be held, and two customers of a busy merchant are worked
on at the same time. Whose customer is not known (yet) is nobody's neighbour for sure: all shards are taken.

The sums carry the shard in their key, and a transaction adds to the rows of the lowest shard it holds, whichever
customers it touched: adding is all that readers do with shards, so it does not matter in which a figure stands. It
follows that

- a row of sums has one writer at a time, who needs not wait for it and cannot deadlock over it;
- a page of a hunt, which touches many customers, still writes one row a day and currency;
- a row's own figure may be negative: only the sum over all shards means anything.

Rejected: one row a merchant and day (every webhook waits for the one before it, the row's dead versions pile up);
appending the changes and rolling them up later (a reader would add up what is not rolled up yet, and a second
process has to keep up); a lock for each customer (a page of a hunt would take a hundred, a pulse all there are, and
the rows would be shared again).

Shards are taken once a transaction, in ascending order and before any row of ghosts or sums, so nobody waits in a
circle. Processes that run at the same time must agree on `SHARDS`: stop all workers before changing it; rows of
former shards go on counting.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session

from core.locks import wait_transaction_locks

SHARDS = 16
ALL = frozenset(range(SHARDS))
_HELD = "ghost_shards"  # in `session.info`


class ShardNotHeldError(RuntimeError):
    """A defect of ours: something is written, or taken in addition, that this transaction did not take at first."""


@dataclass(frozen=True, slots=True)
class _Held:
    transaction: SessionTransaction | None
    merchant_id: str
    shards: frozenset[int]


def of_customer(customer_id: str | None) -> frozenset[int]:
    """The shard of a customer's ghosts; all of them where the customer is not known."""
    return frozenset({zlib.crc32(customer_id.encode()) % SHARDS}) if customer_id else ALL


def of_customers(customer_ids: Iterable[str | None]) -> frozenset[int]:
    """The shards of several customers' ghosts."""
    return frozenset().union(*map(of_customer, customer_ids))


def hold(session: Session, merchant_id: str, wanted: frozenset[int]) -> None:
    """Take these shards of a merchant's until the transaction ends, waiting for whoever has them.

    Asking again for what is held costs nothing. Raises `ShardNotHeldError` when more is asked for than was taken
    first: taking it now, out of order, could wait for somebody who waits for us.
    """
    if not wanted:
        return
    mine = held(session, merchant_id)
    if wanted <= mine:
        return
    if mine:
        raise ShardNotHeldError(f"shards {sorted(wanted - mine)} had to be taken with {sorted(mine)}")
    wait_transaction_locks(session, [f"ghosts:{merchant_id}:{shard}" for shard in sorted(wanted)])
    session.info[_HELD] = _Held(session.get_transaction(), merchant_id, wanted)


def held(session: Session, merchant_id: str) -> frozenset[int]:
    """The merchant's shards that this transaction holds."""
    found = session.info.get(_HELD)
    if not isinstance(found, _Held) or found.transaction is not session.get_transaction():
        return frozenset()
    return found.shards if found.merchant_id == merchant_id else frozenset()


def written(session: Session, merchant_id: str) -> int:
    """The shard whose rows this transaction adds to. Raises `ShardNotHeldError` when it holds none."""
    mine = held(session, merchant_id)
    if not mine:
        raise ShardNotHeldError("sums are added by who holds a shard")
    return min(mine)
