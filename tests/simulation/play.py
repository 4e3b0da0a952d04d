"""One seed from beginning to end: thirty days with everything that can go wrong, then peace until every ghost ended."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core import clock
from core.clock import ManualClock, from_timestamp
from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api
from sandbox.stripe.store import Space
from sandbox.stripe.world import Settings, World
from tests.simulation import ending, judge, opening
from tests.simulation.chance import Streams, seeded
from tests.simulation.engine import Engine
from tests.simulation.ledger import Ledger
from tests.simulation.people import People
from tests.simulation.place import Place
from tests.simulation.process import Machine
from tests.simulation.providers import Providers
from tests.simulation.rules import Rules
from tests.simulation.scenario import DAY, Customer, Scenario
from tests.simulation.shop import Shop, platform_key
from tests.simulation.staff import Staff
from tests.simulation.team import Team
from tests.simulation.vendors import SenderWire, Trouble
from tests.simulation.wire import Wire

DAYS = 30
MEANWHILE = 0.04
STILL = 500  # steps without time passing: somebody asks for the same thing for ever


class InvariantError(AssertionError):
    """Something that must hold did not; the text names it."""


@dataclass
class Play:
    """Everything of one seed."""

    seed: int
    place: Place
    days: int = DAYS
    streams: Streams = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    merchant: str = ""
    by_id: dict[str, Customer] = field(default_factory=dict)  # customers by their id at Stripe
    by_address: dict[str, Customer] = field(default_factory=dict)  # and by the ways they are written to
    draining: bool = False
    quiet_at: float = 0.0  # from then on nothing is scheduled any more
    last_purge_at: float = 0.0  # who comes of age after this purge waits for a next one, which there is not
    troubles: list[Trouble] = field(default_factory=list)
    world: World = field(init=False)
    actions: Actions = field(init=False)
    api: Api = field(init=False)
    account: str = ""
    machine: Machine = field(init=False)
    engine: Engine = field(init=False)
    wire: Wire = field(init=False)
    senders: SenderWire = field(init=False)
    shop: Shop = field(init=False)
    people: People = field(init=False)
    staff: Staff = field(init=False)
    rules: Rules = field(init=False)
    team: Team = field(init=False)
    providers: Providers = field(init=False)
    _still: int = 0
    _agenda: list[tuple[float, int, str, Callable[[], Any]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.streams = Streams(self.seed)
        self.scenario = Scenario.draw(self.streams("scenario"), self.days)
        self.clock = ManualClock(from_timestamp(self.scenario.begins))
        self.shop = Shop(self)
        self.rules = Rules(self)
        self.ends = self.scenario.begins + self.days * DAY

    # -- time -----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.clock.current.timestamp()

    def move(self, moment: float) -> None:
        """It is `moment` now, unless it is later already; a trifle after it, as rounding may not make it earlier."""
        if moment > self.now():
            self.clock.current = from_timestamp(moment) + timedelta(microseconds=10)

    def sleep(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def plan(self, at: float, what: str, act: Callable[[], Any]) -> None:
        heapq.heappush(self._agenda, (at, next(self._numbers), what, act))

    # -- the whole ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play it. Raises `InvariantError`."""
        with clock.using(self.clock), seeded(self.streams):
            self.world = World(
                Settings(platform_secret_key=platform_key(), seed=f"simulation-{self.seed}", deliver=False),
                decide=self.shop.decide,
            )
            self.world.move_clock = self.move
            try:
                with opening.stage(self):
                    self.live(self.ends)
                    ending.drain(self)
                    judge.at_the_end(self)
                    self.check()
            finally:
                self.world.close()

    def forget(self) -> None:
        """The seed is over: everybody lets go of everybody, which is quicker than to have the circles found."""
        mine = (self.world, self.shop, self.people, self.staff, self.rules, self.team, self.providers, self.engine)
        for one in (*vars(self.world).values(), *mine, self):
            if hasattr(one, "__dict__"):
                vars(one).clear()

    # -- steps ----------------------------------------------------------------------------------------------------

    def live(self, until: float) -> None:
        self.machine.wake()
        self.engine.settle()
        while (moment := self.next_moment()) <= until:
            self.step(moment)
            self.check()
        self.move(until)

    def next_moment(self) -> float:
        planned = self._agenda[0][0] if self._agenda else math.inf
        due = self.world.clockwork.next_due()
        return min(planned, math.inf if due is None else due, self.engine.next_at(), self.engine.told_at())

    def step(self, moment: float) -> None:
        self._still = self._still + 1 if moment <= self.now() else 0
        if self._still > STILL:
            self.ledger.violated("time goes on", f"{STILL} steps at one moment")
        self.move(moment)
        now = self.now()
        if self._agenda and self._agenda[0][0] <= now:
            _, _, what, act = heapq.heappop(self._agenda)
            self.ledger.trace.say(what)
            act()
        elif (self.world.clockwork.next_due() or math.inf) <= now:
            self.world.clockwork.step(int(now))
        elif self.engine.next_at() <= now:
            self.ledger.trace.say("tick")
            self.engine.tick()
        self.engine.settle()
        self.engine.look_again()

    def check(self) -> None:
        if self.ledger.violations:
            raise InvariantError(self.ledger.violations[0])

    def meanwhile(self) -> None:
        """While a worker waits for a vendor, others act: seconds pass, people, webhooks, a second worker."""
        chance = self.streams("meanwhile")
        if self.draining or len(self.machine.stack) != 1 or chance.random() >= MEANWHILE:
            return
        self.sleep(chance.uniform(0, 1.5))
        what = chance.choice(("person", "webhooks", "worker", "worker", "nothing"))
        self.ledger.trace.say(f"meanwhile: {what}")
        if what == "person" and self._agenda and self._agenda[0][0] < self.now() + DAY:
            _, _, planned, act = heapq.heappop(self._agenda)
            self.ledger.trace.say(planned)
            act()
        elif what == "webhooks":
            self.wire.collect()
            self.engine.deliver()
        elif what == "worker":
            awake = set(self.machine.awake)
            self.machine.wake()
            self.engine.work(limit=5, name="second worker")
            self.machine.awake |= awake

    @property
    def space(self) -> Space:
        """What stands at Stripe in the merchant's account."""
        return self.world.space(self.account)
