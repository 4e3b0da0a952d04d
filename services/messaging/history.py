"""What the schedule must know of a ghost, and what it answers: frozen values, nothing decided here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.ghost import GhostState, Strategy
from models.messaging import Channel
from services.messaging.hours import Country

SEND = "send_message"
EXHAUST = "exhaust"
PROTECTION_STEP = 0
"""The slot of the one message about a charge that has not failed: what follows if it fails counts from 1."""
HOLD = timedelta(hours=6)
"""How long something waits that only another look at Stripe can free."""
NO_EMAIL = "Stripe knows no email address of this customer."
SMS_IS_OFF = "Messages by SMS are off in the recovery policy."


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that has not failed, as far as a message depends on it. `at` is when it is due, aware UTC.

    `group` names the words that fit, empty where none do; `is_high` that it is above the merchant's high-value line.
    """

    at: datetime
    group: str
    is_high: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """What happened so far to a ghost, and what may be done about it. Times are aware UTC.

    `no_email` and `no_sms` say why a channel is closed to this customer; empty where it is open.
    """

    state: GhostState
    strategy: Strategy
    decline_group: str
    country: str
    failed_at: datetime
    """When the charge failed: grace counts from here."""
    found_at: datetime
    messages_sent: int
    last_message_at: datetime | None
    ghost_id: str = ""
    no_email: str = ""
    no_sms: str = SMS_IS_OFF
    held_out: bool = False
    held: str = ""
    """Why a fresh look says that it must wait, though nothing is over: a payment is under way."""
    released_at: datetime | None = None
    """When a person released the draft of a message that is theirs to decide."""
    decided: bool = False
    """Whether that person closed the task: nothing is going to be released any more."""
    week: tuple[datetime, ...] = ()
    """When this customer was written to, about whatever, oldest first; at least the last seven days."""
    reopened_at: datetime | None = None
    """When it was owed again after it had ended."""
    ended: str = ""
    """Of one that was given up: why."""
    never_got: frozenset[int] = frozenset()
    """The steps that nobody got, refused or come back: their slots stay taken, and they count as no message."""
    under_way: bool = False
    """The next step was handed over, and what came of it is not written down yet."""
    planned_at: datetime | None = None
    """When the message that is next stood planned before."""
    planned_why: str = ""
    """The reason that was given for that."""
    charge: Charge | None = None
    """Of a ghost whose charge has not failed: that charge."""
    disconnected: bool = False
    """Whether the merchant's account is: nothing can be looked at, and nobody comes back until it is connected."""
    wants_none: str = ""
    """Why who told their bank to stop gets not even a note: they asked for no messages, or the subscription is over."""
    text_country: Country = ""
    """Where a text is read; empty where nothing is known beyond `country`."""

    def where(self, channel: Channel) -> Country:
        """Whose hours a message on this channel keeps to."""
        return (self.text_country or self.country) if channel is Channel.SMS else self.country

    @property
    def step(self) -> int:
        """The slot of the next message."""
        if self.state is GhostState.IMPENDING:
            return PROTECTION_STEP
        return self._taken + 1

    @property
    def messages_got(self) -> int:
        """How many messages the customer may have got; whatever else took a slot never reached them."""
        return self._taken - len(self.never_got)

    @property
    def _taken(self) -> int:
        return max((self.messages_sent, *self.never_got)) if self.never_got else self.messages_sent


@dataclass(frozen=True, slots=True)
class Action:
    """The next thing to do, when, and the sentence that explains it. `name` is empty when nothing is next."""

    name: str
    at: datetime | None
    reason: str
    step: int = 0
    channel: Channel = Channel.EMAIL
    never_got: int = 0
    """How many of the slots before it hold what nobody got."""

    @property
    def number(self) -> int:
        """Which of the messages that the customer gets it is: its words go by this, and not by its slot."""
        return self.step - self.never_got
