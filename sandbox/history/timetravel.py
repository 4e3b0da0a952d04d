"""A clock that is moved from event to event while real time goes on ticking on top of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.clock import from_timestamp


@dataclass
class TravelClock:
    """The history's own time, in this process alone: an interrupted history leaves no odd time behind for others."""

    offset: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def jump(self, moment: int) -> None:
        """Make it `moment` (Unix seconds) now, be that back or forth."""
        self.offset = from_timestamp(moment) - datetime.now(UTC)

    def move_on(self, moment: int) -> None:
        """Go forward to `moment`; never back."""
        if from_timestamp(moment) > self.now():
            self.jump(moment)

    def arrive(self) -> None:
        """The history is over: from here on it is the machine's time."""
        self.offset = timedelta()
