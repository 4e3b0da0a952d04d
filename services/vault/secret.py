"""A secret in memory: it is shown only to code that asks for it by name."""

import hmac
from typing import NoReturn


class Secret:
    """A value that no log line, traceback, pickle or f-string can carry away; `reveal()` is the only way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Pass it straight on; never bind it to something that outlives the call."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(redacted)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a set or dict of secrets would keep them for longer than a call

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled: Redis and task payloads are not a vault")
