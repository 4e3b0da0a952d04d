"""Identifiers that look like Stripe's, deterministic for a seed so that a run can be repeated."""

import hashlib

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTERS = bytes(_ALPHABET[value % 62] for value in range(256))  # the slight bias does no harm here


class IdSource:
    """Hands out ids; the counter is persisted with the state, so a restart never repeats one."""

    def __init__(self, seed: str, counter: int = 0) -> None:
        self._seed = seed.encode()
        self.counter = counter

    def token(self, length: int = 24) -> str:
        """A fresh base-62 string of `length` characters."""
        self.counter += 1
        digest = hashlib.blake2b(self.counter.to_bytes(8, "big"), key=self._seed[:64], digest_size=64).digest()
        return digest.translate(_LETTERS)[:length].decode()

    def new(self, prefix: str, length: int = 24) -> str:
        """A fresh id such as `in_1a2B...`."""
        return f"{prefix}_{self.token(length)}"
