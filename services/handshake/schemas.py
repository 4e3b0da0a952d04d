"""A webhook as the rest of the product sees it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
