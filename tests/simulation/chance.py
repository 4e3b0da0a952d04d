"""Chance out of one seed: named streams for the simulation, and seeded stand-ins for the process's own randomness."""

import contextlib
import random
import secrets
import uuid
from collections.abc import Iterator
from unittest import mock

from core import ids


class Streams:
    """Independent streams of one seed: drawing more from one does not change what another gives."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._made: dict[str, random.Random] = {}

    def __call__(self, name: str) -> random.Random:
        stream = self._made.get(name)
        if stream is None:
            stream = self._made[name] = random.Random(f"{self.seed}:{name}")  # noqa: S311  # repeatable on purpose
        return stream


@contextlib.contextmanager
def seeded(streams: Streams) -> Iterator[None]:
    """Ids, tokens, lease names and back-off out of the seed: two runs differ in nothing, ties by id included."""
    source = streams("process")
    former = random.getstate()
    random.seed(f"{streams.seed}:global")

    def token_bytes(nbytes: int | None = None) -> bytes:
        return source.randbytes(nbytes or 32)

    def random_uuid() -> uuid.UUID:
        return uuid.UUID(int=source.getrandbits(128), version=4)

    with (
        mock.patch.object(secrets, "randbits", source.getrandbits),
        mock.patch.object(secrets, "token_bytes", token_bytes),
        mock.patch.object(secrets, "token_hex", lambda nbytes=32: source.randbytes(nbytes).hex()),
        mock.patch.object(uuid, "uuid4", random_uuid),
        mock.patch.object(ids, "_values", type(ids._values)()),
    ):
        try:
            yield
        finally:
            random.setstate(former)
