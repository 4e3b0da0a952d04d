"""Invoices and customers that were removed, as keyed hashes: nobody can read from the table who they were."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from core.rows import read
from models.privacy import Tombstone, TombstoneKind
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.renewals import RenewalFacts
from services.vault.hash_keys import lasting_keys
from services.vault.keys import Purpose, derive_key

_BURIED = text("select object_hash from tombstones where merchant_id = :merchant_id and object_hash = any(:hashes)")


def bury(session: Session, merchant_id: str, kind: TombstoneKind, ids: Iterable[str], now: datetime) -> None:
    """Keep these objects from being imported again. Idempotent."""
    key = derive_key(Purpose.TOMBSTONES)
    rows = [
        {"merchant_id": merchant_id, "kind": kind, "object_hash": digest, "created_at": now}
        for digest in sorted({_hash(key, merchant_id, kind, each) for each in ids})
    ]
    if rows:
        session.execute(insert(Tombstone).values(rows).on_conflict_do_nothing())


def buried(session: Session, merchant_id: str, batch: Sequence[InvoiceFacts | RenewalFacts]) -> set[str]:
    """Which of these invoices, or of what stands for a coming one, must not be imported: their ids."""
    by_hash: dict[str, set[str]] = {}
    for key in lasting_keys(session, Purpose.TOMBSTONES):  # who was removed before a key rotation stays removed
        for facts in batch:
            for kind, each in ((TombstoneKind.INVOICE, facts.id), (TombstoneKind.CUSTOMER, facts.customer.id)):
                if each:
                    by_hash.setdefault(_hash(key, merchant_id, kind, each), set()).add(facts.id)
    if not by_hash:
        return set()
    found = read(session, _BURIED, merchant_id=merchant_id, hashes=list(by_hash)).scalars()
    return {invoice for digest in found for invoice in by_hash[digest]}


def buried_customers(session: Session, merchant_id: str, customer_ids: Iterable[str]) -> set[str]:
    """Which of these customers asked to be forgotten."""
    by_hash = {
        _hash(key, merchant_id, TombstoneKind.CUSTOMER, each): each
        for key in lasting_keys(session, Purpose.TOMBSTONES)
        for each in customer_ids
    }
    return {
        by_hash[digest] for digest in read(session, _BURIED, merchant_id=merchant_id, hashes=list(by_hash)).scalars()
    }


def _hash(key: bytes, merchant_id: str, kind: TombstoneKind, each: str) -> str:
    return hmac.digest(key, f"{merchant_id}:{kind}:{each}".encode(), hashlib.sha256).hex()
