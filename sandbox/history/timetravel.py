"""A clock that is moved from event to event while real time goes on ticking on top of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.clock import from_timestamp


@dataclass
class TravelClock:
    """The history's own time, in this process alone: an interrupted history leaves no odd time behind for others."""

    home: timedelta = field(default_factory=timedelta)  # where the present is; a test has one that never changes
    offset: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def present(self) -> int:
        """The moment at which the history will be over (Unix seconds); it comes nearer as real time passes."""
        return int((datetime.now(UTC) + self.home).timestamp())

    def jump(self, moment: int) -> None:
        """Make it `moment` now, be that back or forth."""
        self.offset = from_timestamp(moment) - datetime.now(UTC)

    def move_on(self, moment: int) -> None:
        """Go forward to `moment`; never back."""
        if from_timestamp(moment) > self.now():
            self.jump(moment)

    def arrive(self) -> None:
        """The history is over: from here on it is the present."""
        self.offset = self.home
