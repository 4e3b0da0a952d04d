"""Envelope encryption, pure: a fresh data key and IV for each secret, the data key wrapped by a master key.

Both layers are AES-256-GCM and authenticate the same context (table, column, row, key version), so a record that
is copied to another row or column, or relabelled with another key version, does not open. A data key encrypts one
secret, which makes GCM's bound of 2**32 messages a key moot for secrets; a master key wraps 96-bit random IVs far
below it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from models.vault import Hex
from services.vault.errors import VaultError
from services.vault.secret import Secret

KEY_BYTES = 32
IV_BYTES = 12
TAG_BYTES = 16
"""Full length only: a GCM tag of 32 bits can be forged in about 2**32 tries, and a truncated one leaks the key."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a secret lives. It is authenticated, not stored: whoever opens must know where they are reading."""

    table: str
    column: str
    row: str

    def encode(self, key_version: int) -> bytes:
        """Length-prefixed, so that no two contexts share an encoding ("a","bc" against "ab","c")."""
        parts = ("phantom.vault.v1", self.table, self.column, self.row, str(key_version))
        return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored: five hex-friendly columns; the wrapped key is IV, ciphertext and tag of the data key."""

    ciphertext: Hex
    iv: Hex
    tag: Hex
    wrapped_key: Hex
    key_version: int


def encrypt(key: bytes, iv: bytes, plaintext: bytes, context: bytes) -> tuple[bytes, bytes]:
    """AES-GCM encryption to (ciphertext, 16-byte tag)."""
    encryptor = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(context)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return ciphertext, encryptor.tag


def decrypt(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, context: bytes) -> bytes:
    """AES-GCM decryption. Raises `VaultError` when anything does not match, a short tag included."""
    if len(tag) != TAG_BYTES or len(iv) != IV_BYTES or len(key) != KEY_BYTES:
        raise VaultError
    decryptor = Cipher(algorithms.AES(key), modes.GCM(iv, tag, min_tag_length=TAG_BYTES)).decryptor()
    decryptor.authenticate_additional_data(context)
    try:
        return decryptor.update(ciphertext) + decryptor.finalize()
    except InvalidTag:
        raise VaultError from None


def seal(secret: Secret, context: Context, master: bytes, version: int, random: RandomBytes = os.urandom) -> Sealed:
    """Encrypt `secret` for one place, under master key number `version`."""
    bound = context.encode(version)
    data_key, iv, wrap_iv = random(KEY_BYTES), random(IV_BYTES), random(IV_BYTES)
    ciphertext, tag = encrypt(data_key, iv, secret.reveal().encode(), bound)
    wrapped, wrap_tag = encrypt(master, wrap_iv, data_key, bound)
    return Sealed(
        ciphertext=Hex.of(ciphertext),
        iv=Hex.of(iv),
        tag=Hex.of(tag),
        wrapped_key=Hex.of(wrap_iv + wrapped + wrap_tag),
        key_version=version,
    )


def open_sealed(sealed: Sealed, context: Context, masters: Mapping[int, bytes]) -> Secret:
    """Decrypt what `seal` made for the same place.

    Raises `VaultError` when the record was changed, moved or relabelled, or its master key is not among `masters`.
    """
    master = masters.get(sealed.key_version)
    if master is None:
        raise VaultError(f"master key version {sealed.key_version} is not configured")
    bound = context.encode(sealed.key_version)
    try:
        wrapped = sealed.wrapped_key.to_bytes()
        parts = sealed.iv.to_bytes(), sealed.ciphertext.to_bytes(), sealed.tag.to_bytes()
    except ValueError:
        raise VaultError from None
    if len(wrapped) != IV_BYTES + KEY_BYTES + TAG_BYTES:
        raise VaultError
    data_key = decrypt(master, wrapped[:IV_BYTES], wrapped[IV_BYTES:-TAG_BYTES], wrapped[-TAG_BYTES:], bound)
    return Secret(decrypt(data_key, *parts, bound).decode())
