"""Identifiers: prefixed, sortable by time, opaque to guess."""

import secrets
import uuid

from core import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def new_id(prefix: str) -> str:
    """A new identifier such as `gh_01kx3...`: 48 bits of milliseconds, then 80 random bits (the ULID layout).

    Time comes first so that inserts go to the right edge of a B-tree index.
    """
    value = (int(clock.now().timestamp() * 1000) << 80) | secrets.randbits(80)
    digits = []
    for _ in range(26):
        value, rest = divmod(value, 32)
        digits.append(_ALPHABET[rest])
    return f"{prefix}_{''.join(reversed(digits))}"


def new_secret(nbytes: int = 32) -> str:
    """A URL-safe random string of `nbytes` random bytes, for tokens whose hash is stored."""
    return secrets.token_urlsafe(nbytes)


def new_correlation_id() -> str:
    """An id that ties a request, its jobs and its vendor calls together in the logs."""
    return uuid.uuid4().hex
