"""What really happened, written down where it happens: the judge's only witness beside the vendors' own doubles."""

import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime

from core import clock

KEPT_STEPS = 40


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


@dataclass(frozen=True)
class Charge:
    """One attempt the bank decided. `source` is automatic (Stripe), api (PHANTOM) or customer."""

    at: datetime
    invoice: str
    method: str
    source: str
    approved: bool
    amount: int
    code: str = ""  # why the bank refused


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
    charges: list[Charge] = field(default_factory=list)
    renewed: set[str] = field(default_factory=set)  # cards that got new data, each worth one more charge at once
    unsubscribed: dict[str, int] = field(default_factory=dict)  # address: at which step
    stopped_at: int | None = None  # since which step the merchant wants no messages
    acknowledged: dict[str, datetime] = field(default_factory=dict)  # events, and when first
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
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

    def messages_on(self, on: bool) -> None:
        """The merchant switched all messages on or off, and PHANTOM said that it is so."""
        self.stopped_at = None if on else self.trace.steps
