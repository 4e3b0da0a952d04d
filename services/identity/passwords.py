"""Passwords: argon2id with RFC 9106's low-memory profile, and a cap on how many are hashed at once.

One hash takes 64 MiB for some 50 ms. Without a cap, a burst of sign-ins is a way to take the machine's memory.
"""

import contextlib
import functools
import secrets
import threading
from collections.abc import Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.identity.errors import BusyError, InvalidPasswordError

SHORTEST = 12  # OWASP ASVS 5.0, 6.2.1 asks for at least 8, recommends 15
LONGEST = 1024
CONCURRENT_HASHES = 4
WAIT_SECONDS = 5.0

_slots = threading.BoundedSemaphore(CONCURRENT_HASHES)


@functools.cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@functools.cache
def _nobodys_hash() -> str:
    """What an unknown email is checked against, so that it takes as long as a known one."""
    return _hasher().hash(secrets.token_urlsafe(16))


@contextlib.contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=WAIT_SECONDS):
        raise BusyError
    try:
        yield
    finally:
        _slots.release()


def hash_password(password: str) -> str:
    """An argon2id hash with its parameters and salt. Raises `InvalidPasswordError`, or `BusyError` under load."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidPasswordError
    return rehash(password)


def rehash(password: str) -> str:
    """A hash with today's parameters of a password that was accepted long ago, whatever today's rule for new ones."""
    with _slot():
        return _hasher().hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether `password` belongs to the hash; without a hash the same work is done and the answer is no.

    Raises `BusyError` under load.
    """
    with _slot():
        try:
            _hasher().verify(password_hash or _nobodys_hash(), password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None and len(password) <= LONGEST


def needs_rehash(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _hasher().check_needs_rehash(password_hash)
