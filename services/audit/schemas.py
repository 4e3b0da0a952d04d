"""A line of the live log as the screens show it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class LogLine:
    id: str
    level: str
    event: str
    message: str
    facts: dict[str, Any]
    occurred_at: datetime
