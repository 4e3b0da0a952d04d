"""What the screens get of manual tasks; frozen values, never table rows."""

from dataclasses import dataclass
from datetime import datetime

from models.ghost import GhostState, ManualTaskState
from models.messaging import Channel


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A manual task and what it is about. Money in minor units, times UTC."""

    id: str
    ghost_id: str
    state: ManualTaskState
    reason: str
    customer: str
    email: str
    phone: str
    amount: int
    currency: str
    ghost_state: GhostState
    decline_group: str
    assignee_id: str
    assignee: str
    created_at: datetime
    alerted_at: datetime | None
    released_at: datetime | None
    last_message_at: datetime | None
    goes_at: datetime | None  # the message that is planned
    why_next: str
    closed_at: datetime | None
    closed_reason: str
    closed_by: str

    @property
    def is_released(self) -> bool:
        """Whether a message was let go and has not gone yet."""
        last = self.last_message_at
        return self.released_at is not None and (last is None or last < self.released_at)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of the list; `page` counts from 1."""

    lines: tuple[TaskLine, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The message that a release would send, as it would be sent; its links lead nowhere yet. A text is plain alone."""

    recipient: str
    subject: str
    html: str
    plain: str
    step: int
    channel: Channel
