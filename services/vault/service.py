"""The vault's use cases: seal and open by place, keep named secrets, and prove at start that all of it works."""

import sys
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from core import clock
from core.config import settings
from core.errors import ConfigurationError
from models.merchant import Merchant
from models.vault import Hex
from services.vault import cipher, repository
from services.vault.cipher import Context, Sealed
from services.vault.errors import SecretNotFoundError, VaultError
from services.vault.keys import Purpose, derive_key, derived_keys
from services.vault.secret import Secret

SELF_TEST_PASSED = "[SECURITY] Vault self-test passed: AES-256-GCM Active."

__all__ = [
    "Context", "Purpose", "Sealed", "Secret", "SecretNotFoundError", "VaultError", "boot", "delete_secret",
    "derive_key", "derived_keys", "erase_merchant_token", "open_merchant_refresh_token",
    "open_merchant_token", "open_secret", "read_secret", "seal", "seal_merchant_token", "self_test", "store_secret",
]  # fmt: skip


def seal(secret: Secret, context: Context) -> Sealed:
    """Encrypt `secret` for the place `context` names, under the current master key."""
    configured = settings()
    version = configured.encryption_key_version
    return cipher.seal(secret, context, configured.master_keys()[version], version)


def open_secret(sealed: Sealed, context: Context) -> Secret:
    """Decrypt what `seal` made for the same place. Raises `VaultError` when it was changed, moved or relabelled."""
    return cipher.open_sealed(sealed, context, settings().master_keys())


def store_secret(session: Session, merchant_id: str, name: str, secret: Secret) -> None:
    """Keep `secret` under `name` (`resend.api_key`), replacing a former one."""
    sealed = seal(secret, _named(merchant_id, name))
    repository.put_secret(session, merchant_id, name, sealed, clock.now())


def read_secret(session: Session, merchant_id: str, name: str) -> Secret:
    """The secret kept under `name`. Raises `SecretNotFoundError`, or `VaultError` when it cannot be trusted."""
    row = repository.get_secret(session, merchant_id, name)
    if row is None:
        raise SecretNotFoundError
    sealed = Sealed(Hex(row.ciphertext), Hex(row.iv), Hex(row.tag), Hex(row.wrapped_key), row.key_version)
    return open_secret(sealed, _named(merchant_id, name))


def delete_secret(session: Session, merchant_id: str, name: str) -> bool:
    """Forget the secret under `name`; false when there was none."""
    return repository.delete_secret(session, merchant_id, name)


def seal_merchant_token(merchant: Merchant, token: Secret, refresh_token: Secret | None = None) -> None:
    """Put an account's credential into the columns of `merchant`, with its refresh token where there is one.

    Both are sealed under the same master key, because they share the column `key_version`.
    """
    sealed = seal(token, _token(merchant.id))
    merchant.encrypted_token, merchant.iv = sealed.ciphertext, sealed.iv
    merchant.tag, merchant.wrapped_key = sealed.tag, sealed.wrapped_key
    merchant.key_version = sealed.key_version
    refresh = seal(refresh_token, _refresh(merchant.id)) if refresh_token else None
    merchant.encrypted_refresh_token = refresh.ciphertext if refresh else None
    merchant.refresh_iv = refresh.iv if refresh else None
    merchant.refresh_tag = refresh.tag if refresh else None
    merchant.refresh_wrapped_key = refresh.wrapped_key if refresh else None


def open_merchant_token(merchant: "Merchant | Row[Any]") -> Secret:
    """The account's credential. Raises `SecretNotFoundError` without one, `VaultError` when it cannot be trusted."""
    columns = (merchant.encrypted_token, merchant.iv, merchant.tag, merchant.wrapped_key)
    return open_secret(_columns(columns, merchant.key_version), _token(merchant.id))


def open_merchant_refresh_token(merchant: Merchant) -> Secret:
    """The refresh token beside the credential. Raises as `open_merchant_token` does."""
    columns = (
        merchant.encrypted_refresh_token,
        merchant.refresh_iv,
        merchant.refresh_tag,
        merchant.refresh_wrapped_key,
    )
    return open_secret(_columns(columns, merchant.key_version), _refresh(merchant.id))


def erase_merchant_token(merchant: Merchant) -> None:
    """Forget the account's credential: it was withdrawn, and keeping it would serve nobody but a thief."""
    merchant.encrypted_token = merchant.iv = merchant.tag = merchant.wrapped_key = merchant.key_version = None
    merchant.encrypted_refresh_token = merchant.refresh_iv = None
    merchant.refresh_tag = merchant.refresh_wrapped_key = None


def key_versions(session: Session, merchant_id: str) -> set[int]:
    """The versions of master keys that this merchant's stored secrets were sealed under. Tenant session."""
    return repository.list_key_versions(session, merchant_id)


def self_test() -> str:
    """Prove that every configured master key seals and opens, and that what was tampered with stays closed.

    Returns the line to print. Raises `ConfigurationError`: nothing may start on a vault that does not hold.
    """
    here, elsewhere = Context("self_test", "secret", "row-1"), Context("self_test", "secret", "row-2")
    secret = Secret("correct horse battery staple")
    masters = settings().master_keys()
    for version, master in masters.items():
        sealed = cipher.seal(secret, here, master, version)
        flipped = Hex.of(bytes([sealed.tag.to_bytes()[0] ^ 1]) + sealed.tag.to_bytes()[1:])
        forged = Sealed(sealed.ciphertext, sealed.iv, flipped, sealed.wrapped_key, version)
        try:
            holds = cipher.open_sealed(sealed, here, masters) == secret
        except VaultError:
            holds = False
        if not holds or _opens(sealed, elsewhere, masters) or _opens(forged, here, masters):
            raise ConfigurationError(f"the vault's self-test failed for master key version {version}")
    return SELF_TEST_PASSED


def boot() -> None:
    """What every process does first: check the vault and say so on standard output, as a plain line.

    Raises `ConfigurationError` for a missing or bad `ENCRYPTION_KEY` and for a failed self-test; the caller prints
    it and exits with 1.
    """
    line = self_test()
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _opens(sealed: Sealed, context: Context, masters: dict[int, bytes]) -> bool:
    try:
        cipher.open_sealed(sealed, context, masters)
    except VaultError:
        return False
    return True


def _columns(columns: tuple[str | None, ...], key_version: int | None) -> Sealed:
    if key_version is None or any(column is None for column in columns):
        raise SecretNotFoundError
    ciphertext, iv, tag, wrapped_key = (Hex(column) for column in columns if column is not None)
    return Sealed(ciphertext, iv, tag, wrapped_key, key_version)


def _named(merchant_id: str, name: str) -> Context:
    return Context("vault_secrets", name, merchant_id)


def _token(merchant_id: str) -> Context:
    return Context("merchants", "encrypted_token", merchant_id)


def _refresh(merchant_id: str) -> Context:
    return Context("merchants", "encrypted_refresh_token", merchant_id)
