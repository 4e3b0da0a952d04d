"""Keys of stored hashes, which outlive the master keys that they derive from.

Suppressions and tombstones are hashes of what is not kept, so nobody can make them again under a new key. What each was
made with is therefore kept, sealed under the newest master key: an old master key can be dropped, and who unsubscribed
or was removed stays so.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from core import clock, db
from core.config import settings
from models.vault import Hex
from services.vault import cipher, repository
from services.vault.cipher import Context, Sealed
from services.vault.errors import VaultError
from services.vault.keys import Purpose, derive_key, derived_keys
from services.vault.secret import Secret

KEPT = (Purpose.SUPPRESSIONS, Purpose.TOMBSTONES)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Succession:
    """`since` when the current master key is in use; `former` is the version before it, None for the first."""

    since: datetime
    former: int | None


def lasting_keys(session: Session, purpose: Purpose) -> tuple[bytes, ...]:
    """All keys that hashes of this purpose were ever made with, the current first. Any session.

    Raises `VaultError` when one of them cannot be opened: better to write to nobody than to who unsubscribed.
    """
    masters = settings().master_keys()
    gone = db.remembered(session, "hash_keys", lambda: repository.list_other_hash_keys(session, list(masters)))
    return (*derived_keys(purpose), *(_open(row) for row in gone if row.purpose == purpose))


def keep(session: Session) -> int:
    """Seal under the current master key what is not yet; how many were. System session; cheap where all is done.

    Keys sealed under a newer version are left alone: this process's settings are older then.
    """
    done, kept = 0, repository.list_hash_keys(session)
    for purpose in KEPT:
        rows = {row.version: row for row in kept if row.purpose == purpose}
        for version in sorted({*rows, *settings().master_keys()}):
            row = rows.get(version)
            if row is None or row.key_version < settings().encryption_key_version:
                done += _keep(session, purpose, version, row)
    return done


def _keep(session: Session, purpose: Purpose, version: int, row: Row[Any] | None) -> bool:
    try:
        key = _open(row) if row and version not in settings().master_keys() else derive_key(purpose, version)
    except VaultError:
        log.error("vault.hash_key_closed", extra={"facts": {"purpose": purpose.value, "version": version}})
        return False
    current = settings().encryption_key_version
    sealed = cipher.seal(Secret(key.hex()), _place(purpose, version), settings().master_keys()[current], current)
    repository.put_hash_key(session, purpose, version, sealed, clock.now())
    return True


def missing_masters(session: Session) -> set[int]:
    """Master keys that are not configured and without which kept keys do not open."""
    masters = settings().master_keys()
    rows = repository.list_hash_keys(session)
    return {row.key_version for row in rows if not {row.version, row.key_version} & set(masters)}


def needed_masters(session: Session) -> set[int]:
    """Configured master keys that must not be dropped yet: what derives from them is not sealed under the current."""
    configured = settings()
    needed: set[int] = set()
    kept = repository.list_hash_keys(session)
    for purpose in KEPT:
        rows = [row for row in kept if row.purpose == purpose]
        sealed = {row.version for row in rows if row.key_version == configured.encryption_key_version}
        needed |= set(configured.master_keys()) - sealed
        needed |= {row.key_version for row in rows if row.version not in sealed}
    return needed & set(configured.master_keys()) - {configured.encryption_key_version}


def succession(session: Session) -> Succession | None:
    """Since when the current master key is in use, and which came before it; None until it was kept. System session.

    A version's own row is written by the first Sentinel that has it, and again only under a newer one.
    """
    current = settings().encryption_key_version
    rows = repository.list_hash_keys(session)
    began = [row.sealed_at for row in rows if row.version == current]
    if not began:
        return None
    return Succession(min(began), max((row.version for row in rows if row.version < current), default=None))


def _open(row: Row[Any]) -> bytes:
    sealed = Sealed(Hex(row.ciphertext), Hex(row.iv), Hex(row.tag), Hex(row.wrapped_key), row.key_version)
    place = _place(Purpose(row.purpose), row.version)
    return bytes.fromhex(cipher.open_sealed(sealed, place, settings().master_keys()).reveal())


def _place(purpose: Purpose, version: int) -> Context:
    return Context("hash_keys", purpose.value, str(version))
