"""Keys of merchants' own programs: shown once, kept as a keyed hash, limited to what they are for, revocable."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session

from core import clock, ids
from core.errors import BadRequestError, ForbiddenError, NotAuthenticatedError, NotFoundError
from models.sending import ApiKey
from services.audit import service as audit
from services.identity import api_keys_repository as repository
from services.identity.errors import PermissionDeniedError
from services.identity.permissions import Permission
from services.vault.keys import Purpose, derive_key, derived_keys

PREFIX = "phk_"
_RANDOM_BYTES = 20  # 160 bits
_LENGTH = len(PREFIX) + 2 * _RANDOM_BYTES
MOST = 50
USED_EVERY = timedelta(minutes=5)  # how exactly it is remembered when a key was last used


class ApiScope(StrEnum):
    CONSENTS_READ = "consents:read"
    CONSENTS_WRITE = "consents:write"
    CUSTOMERS_ERASE = "customers:erase"


# What a key may do that its maker may not is a way around roles: whoever makes one needs this beside managing keys.
NEEDED: dict[ApiScope, Permission] = {ApiScope.CUSTOMERS_ERASE: Permission.DATA_PURGE}


class BadApiKeyError(NotAuthenticatedError):
    """The same for a key that never was, a revoked one and none at all."""

    code, title = "bad_api_key", "This API key does not work"


class MissingScopeError(ForbiddenError):
    code, title = "missing_scope", "This API key is not made for this"


class ApiKeyNotFoundError(NotFoundError):
    code, title = "api_key_not_found", "There is no such API key"


class TooManyKeysError(BadRequestError):
    code, title = "too_many_api_keys", "There are too many API keys; revoke one first"


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """A program that showed a key."""

    key_id: str
    merchant_id: str
    scopes: frozenset[str]

    @property
    def name(self) -> str:
        """Who did it, for logs and histories."""
        return f"api_key:{self.key_id}"

    def require(self, scope: ApiScope) -> None:
        """Raises `MissingScopeError` unless the key was made for this."""
        if scope not in self.scopes:
            raise MissingScopeError(f"It needs the scope {scope}.")


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made. `key` is shown once and is nowhere else."""

    id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKeyView:
    """A key as Settings lists it."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def create(
    session: Session,
    merchant_id: str,
    name: str,
    scopes: frozenset[ApiScope],
    actor_id: str,
    *,
    permissions: frozenset[Permission],
) -> NewApiKey:
    """A new key of the merchant's, for no more than its maker's `permissions` allow; the caller commits.

    Raises `BadRequestError`, `PermissionDeniedError`, `TooManyKeysError`.
    """
    if any(NEEDED[scope] not in permissions for scope in scopes if scope in NEEDED):
        raise PermissionDeniedError("Only an owner can make a key for this.")
    name = " ".join(name.split())[:80]
    if not name or not scopes:
        raise BadRequestError("A key needs a name and at least one scope.")
    if sum(view.revoked_at is None for view in keys_of(session, merchant_id)) >= MOST:
        raise TooManyKeysError
    key = PREFIX + secrets.token_hex(_RANDOM_BYTES)  # letters and digits alone: logs know what to take out
    row = ApiKey(
        key_hash=_hash(derive_key(Purpose.API_KEYS), key),
        merchant_id=merchant_id,
        id=ids.new_id("key"),
        name=name,
        hint=key[-4:],
        scopes={scope.value: True for scope in sorted(scopes)},
        created_by=actor_id,
        created_at=clock.now(),
    )
    session.add(row)
    audit.record_audit(session, merchant_id, "api_key.created", actor_id=actor_id, target=f"api_key:{row.id}")
    return NewApiKey(row.id, key)


def keys_of(session: Session, merchant_id: str) -> list[ApiKeyView]:
    """The merchant's keys, newest first, revoked ones too."""
    return [
        ApiKeyView(
            row.id, row.name, row.hint, tuple(sorted(row.scopes)), row.created_at, row.last_used_at, row.revoked_at
        )
        for row in repository.list_keys(session, merchant_id)
    ]


def revoke(session: Session, merchant_id: str, key_id: str, actor_id: str) -> None:
    """The key opens nothing from now on. Raises `ApiKeyNotFoundError`."""
    if not repository.revoke(session, merchant_id, key_id, clock.now()):
        raise ApiKeyNotFoundError
    audit.record_audit(session, merchant_id, "api_key.revoked", actor_id=actor_id, target=f"api_key:{key_id}")


def resolve(session: Session, key: str) -> ApiCaller:
    """Who shows this key. System session: no tenant is known yet. Raises `BadApiKeyError`.

    Looked for under the keys of all configured master keys, so that a rotation revokes nothing.
    """
    if not key.startswith(PREFIX) or len(key) != _LENGTH or not key.isascii():
        raise BadApiKeyError
    hashes = [_hash(each, key) for each in derived_keys(Purpose.API_KEYS)]
    row = repository.get_by_hash(session, hashes)
    if row is None:
        raise BadApiKeyError
    now = clock.now()
    if row.last_used_at is None or now - row.last_used_at > USED_EVERY:
        row.last_used_at = now
    return ApiCaller(row.id, row.merchant_id, frozenset(row.scopes))


def _hash(secret: bytes, key: str) -> str:
    return hmac.digest(secret, key.encode(), hashlib.sha256).hex()
