"""What really happened, written down where it happens: the judge's only witness beside the vendors' own doubles."""

import bisect
import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core import clock

KEPT_STEPS = 40
POLITE = "polite_stop"


@dataclass(frozen=True)
class Mail:
    """A message the provider accepted for the first time. `step` and `ghost_id` are PHANTOM's names of its slot."""

    at: datetime
    recipient: str
    key: str
    message_id: str
    ghost_id: str
    step: int
    invoice: str
    template: str
    channel: str = "email"
    arrives: bool = True  # its provider did not give it up at once
    begun: datetime | None = None  # when its words and its moment were decided; a crash may have kept it since

    @property
    def is_ahead(self) -> bool:
        """About a charge that has not failed."""
        return self.step == 0

    @property
    def is_said_once(self) -> bool:
        """One message and no more, in words that are for nothing else."""
        return self.is_ahead or self.template == POLITE

    @property
    def about(self) -> str:
        """What must be read before it goes: its invoice, or the subscription of a charge to come."""
        return self.invoice.split(":")[1] if self.is_ahead else self.invoice


@dataclass(frozen=True)
class Click:
    """Somebody pressed the button behind a link. Not `sure`: the process died meanwhile, before or after its commit."""

    at: datetime
    ghost_id: str
    message_id: str
    sure: bool


@dataclass(frozen=True)
class NewCard:
    """A customer gave another card, which is charged from then on; `event` is Stripe's word of it."""

    at: datetime
    customer: str
    event: str


@dataclass(frozen=True)
class Sighting:
    """A customer used the product. Not `sure`: PHANTOM's process died when it was told."""

    at: datetime
    customer: str
    sure: bool


@dataclass(frozen=True)
class Digest:
    """A weekly digest that its provider accepted for the first time; what it says came back, as it says it."""

    at: datetime
    recipient: str
    recovered: tuple[str, ...]


@dataclass(frozen=True)
class Knock:
    """A request at a provider of messages. Its turn was given between these two moments (Unix seconds)."""

    began: float
    at: float


@dataclass(frozen=True)
class Charge:
    """One attempt the bank decided. `source` is automatic (Stripe), api (PHANTOM) or customer; outside: no charge."""

    at: datetime
    invoice: str
    customer: str
    method: str
    source: str
    approved: bool
    amount: int
    code: str = ""  # why the bank refused
    next_at: float = 0.0  # when Stripe was to charge next by itself, as it stood then; 0: never
    foreseen: bool = False  # PHANTOM knew then that Stripe would charge just now


@dataclass(frozen=True)
class Outside:
    """An invoice, or a part of it, was settled without a charge: outside Stripe, or by a credit note (`brought` 0)."""

    at: datetime
    invoice: str
    customer: str
    brought: int
    left: int  # what is still open of it


@dataclass(frozen=True)
class Erasure:
    """A customer was forgotten at their wish. Not `sure`: the process died meanwhile, before or after its commit."""

    at: datetime
    step: int
    sure: bool


@dataclass
class Trace:
    """Every step in order: the last ones to read, all of them in one hash."""

    last: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_STEPS))
    steps: int = 0
    _hash: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def say(self, text: str) -> None:
        line = f"{clock.now():%Y-%m-%d %H:%M:%S.%f} {text}"
        self.steps += 1
        self._hash.update(line.encode())
        self.last.append(line)

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()


@dataclass
class Ledger:
    """The simulation's own books of one seed."""

    trace: Trace = field(default_factory=Trace)
    mails: list[Mail] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    links: dict[str, Mail] = field(default_factory=dict)  # a message by its link's token
    charges: list[Charge] = field(default_factory=list)
    new_cards: list[NewCard] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    digests: list[Digest] = field(default_factory=list)
    alerts: Counter[str] = field(default_factory=Counter)  # how often the team was told to decide, by customer
    knocks: dict[str, list[Knock]] = field(default_factory=dict)  # by the key of a sender
    erased: dict[str, Erasure] = field(default_factory=dict)  # customers who asked to be forgotten
    disconnected_at: int | None = None  # since which step Stripe lets PHANTOM do nothing
    released: list[str] = field(default_factory=list)  # ghosts about which a person let one message go, once for each
    let_go: Counter[str] = field(default_factory=Counter)  # ... and how many went that needed it
    outside: list[Outside] = field(default_factory=list)  # what was settled without a charge
    kept: set[str] = field(default_factory=set)  # subscriptions whose cancellation was taken back
    renewed: set[str] = field(default_factory=set)  # cards that got new data, each worth one more charge at once
    unsubscribed: dict[str, int] = field(default_factory=dict)  # address: at which step
    stopped_at: int | None = None  # since which step the merchant wants no messages
    down: timedelta = timedelta()  # how long Sentinel and vendors are away in this seed, at most
    interrupted: bool = False  # the merchant wanted none, or was disconnected, at some time before the end
    withdrawn: dict[str, int] = field(default_factory=dict)  # an address whose consent was taken back: at which step
    last_words: dict[str, datetime] = field(default_factory=dict)  # when a customer last took a consent back, if it was
    stops: dict[str, int] = field(default_factory=dict)  # a number that answered STOP, and no START since
    answered: set[str] = field(default_factory=set)  # who said no by mail, and anything by text; heard or not
    shut: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # a provider's event that shuts an address, and which
    dead: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # addresses, by what is known of them, since which step
    acknowledged: dict[str, datetime] = field(default_factory=dict)  # events, and when first
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    came_of_it: Counter[str] = field(default_factory=Counter)  # how ghosts ended, and whose merit recoveries are
    violations: list[str] = field(default_factory=list)

    def violated(self, invariant: str, facts: str) -> None:
        """Note that an invariant does not hold; the play ends at its next step."""
        self.trace.say(f"VIOLATED {invariant}: {facts}")
        self.violations.append(f"{invariant}: {facts}")

    def fault(self, kind: str) -> None:
        self.faults[kind] += 1

    def unsubscribe(self, address: str) -> None:
        """PHANTOM confirmed to this person that nothing more will come."""
        self.unsubscribed.setdefault(address, self.trace.steps)
        self.trace.say(f"{address} is unsubscribed")

    def click(self, click: Click) -> None:
        """In the order of their moments: while somebody waits for a page, somebody else may press another button."""
        bisect.insort(self.clicks, click, key=lambda one: one.at)

    def handled(self, event: str) -> None:
        """PHANTOM is done with an event: of what a provider told it knows now."""
        if event in self.shut:
            address, kind = self.shut[event]
            self.dead.setdefault(address, {}).setdefault(kind, self.trace.steps)

    def messages_on(self, on: bool) -> None:
        """The merchant switched all messages on or off, and PHANTOM said that it is so."""
        self.stopped_at = None if on else self.trace.steps
        self.interrupted |= not on
