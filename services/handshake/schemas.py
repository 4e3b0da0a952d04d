"""A webhook as the rest of the product sees it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """A verified event of a known merchant. `object` is a hint: what decides is the object's own state at Stripe.

    Texts are clean for PostgreSQL: NUL characters and lone surrogates are replaced by U+FFFD.
    """

    id: str
    type: str
    account: str
    merchant_id: str
    created: datetime
    object: dict[str, Any] = field(default_factory=dict)
    previous_attributes: dict[str, Any] = field(default_factory=dict)
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class SenderEvent:
    """What a provider tells of a merchant's messages; `body` is a JSON object whose `data` the handler gets.

    `name` is the provider's, or made of the provider's: the same at each repetition. The body's signature was checked.
    """

    source: str
    name: str
    type: str
    merchant_id: str
    body: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Under which it is stored."""
        return f"{self.source}:{self.name}"


class StoredEvent(NamedTuple):
    """An event as intake stored it, handled or not; a handled one has no payload any more."""

    id: str
    source: str
    type: str
    account: str | None
    merchant_id: str | None
    payload: bytes | None
    received_at: datetime
    handled_at: datetime | None
    outcome: str
