"""A message as the screens get it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message as the outbox and the ghost's page show it; `html` is untrusted to the page that embeds it."""

    id: str
    ghost_id: str
    step: int
    channel: str
    state: str
    reason: str
    template: str
    recipient: str
    subject: str
    html: str
    plain: str
    due_at: datetime
    sent_at: datetime | None
