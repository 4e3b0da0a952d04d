"""Load on a business, and what happens to PHANTOM meanwhile: seeded, bounded, in one thread."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.support.wait import wait_until


@dataclass
class Load:
    """Failures are told one after another, and every third customer adds a card once they have been written to."""

    business: Business
    pause: float = 0.1
    _next: int = 0
    _owing: list[str] = field(default_factory=list)

    def turn(self) -> None:
        """One thing that happens."""
        invoices = self.business.invoices
        if self._next >= len(invoices):
            return
        invoice = invoices[self._next]
        self.business.announce(invoice)
        self._next += 1
        if self._next % 3 == 1:
            self._owing.append(invoice)
        if self._owing and self._next % 3 == 0 and self.business.mails(self._owing[0]):
            self.business.new_card(self._owing.pop(0))

    def run(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Turn by turn for so long; `meanwhile` is called between two turns."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
            meanwhile()
            wait_for(self.pause)

    def finish(self) -> None:
        """Tell the rest of the failures, and have the owing pay."""
        while self._next < len(self.business.invoices):
            self.turn()
        while self._owing:
            self.business.wait_for_mail(self._owing[0])
            self.business.new_card(self._owing.pop(0))


def wait_for(seconds: float) -> None:
    """Let the others have the processor for a moment: the pace of a load, never a wait for something to be so."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, timeout=seconds + 5)


@dataclass
class Killer:
    """Kills one of `victims` again and again at random moments; the same seed, the same victims in the same order."""

    arena: Arena
    seed: int
    victims: Sequence[str]
    shortest: float = 0.8
    longest: float = 2.5
    killed: list[str] = field(default_factory=list)
    _due: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # which process dies is no secret
        self._plan()

    def _plan(self) -> None:
        self._due = time.monotonic() + self._random.uniform(self.shortest, self.longest)

    def __call__(self) -> None:
        if time.monotonic() >= self._due:
            victim = self._random.choice(self.victims)
            if self._kill(victim):
                self.killed.append(victim)
            self._plan()

    def _kill(self, victim: str) -> bool:
        """Whether there was one to kill."""
        name = "web" if victim == "web worker" else victim
        pid = self.arena.states()[name].pid
        try:
            if victim == "web worker" and pid is not None:
                pid = self._random.choice([child.pid for child in psutil.Process(pid).children()] or [None])
            if pid is None:
                return False
            os.kill(pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        return True
