"""Identifiers: prefixed, sortable by time, opaque to guess."""

import secrets
import threading
import uuid
from datetime import datetime

from core import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


class _Monotonic:
    """Values that grow within a process even when several are made in one millisecond (ULID, "Monotonicity")."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond, self._random = -1, 0

    def next(self, millisecond: int) -> int:
        with self._lock:
            if millisecond == self._millisecond:
                self._random = (self._random + 1 + secrets.randbits(64)) % (1 << 80)
            else:
                # The top bit stays free, so that counting up cannot overflow within any real millisecond.
                self._millisecond, self._random = millisecond, secrets.randbits(79)
            return (millisecond << 80) | self._random


_values = _Monotonic()


def new_id(prefix: str) -> str:
    """A new identifier such as `gh_01kx3...`: 48 bits of milliseconds, then 80 random bits (the ULID layout).

    Time comes first so that inserts go to the right edge of a B-tree index, and ids of one process sort in the order
    they were made, so that they break ties between events of one moment.
    """
    return _written(prefix, _values.next(int(clock.now().timestamp() * 1000)))


def first_id_of(prefix: str, moment: datetime) -> str:
    """The smallest id that can have been made at `moment` (aware) or later: for asking by time what is keyed by id."""
    return _written(prefix, max(0, int(moment.timestamp() * 1000)) << 80)


def _written(prefix: str, value: int) -> str:
    return f"{prefix}_" + "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def new_secret(nbytes: int = 32) -> str:
    """A URL-safe random string of `nbytes` random bytes, for tokens whose hash is stored."""
    return secrets.token_urlsafe(nbytes)


def new_correlation_id() -> str:
    """An id that ties a request, its jobs and its vendor calls together in the logs."""
    return uuid.uuid4().hex
