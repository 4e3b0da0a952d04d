"""PHANTOM's processes as the play drives them: intake, worker and Sentinel, each able to die."""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg

from core import clock, crash_points
from core.clock import from_timestamp
from core.config import settings
from jobs import janitor, registry, worker
from jobs.runner import Runner
from jobs.sentinel import Sentinel
from services.handshake import repository, service
from services.handshake.signature import verify
from services.tasks.schedules import DIGEST, HUNT, PULSE, Schedule
from tests.simulation.callbacks import Callbacks, finish
from tests.simulation.inplace import Inline
from tests.simulation.ledger import Ledger
from tests.simulation.process import Machine
from tests.simulation.wire import Webhook, Wire

MINUTE, HOUR, DAY = 60, 3600, 86_400
RESTART_SECONDS = 1.0
RESCUE_SECONDS = 3.5  # the janitor looks twice, three seconds apart
ROUNDS = 200

_WAITING = """
select (select extract(epoch from min(run_at)) from scheduled_tasks where state = 'pending' and lane = 'quick'),
       (select extract(epoch from min(run_at)) from scheduled_tasks where state = 'pending' and lane = 'long'),
       (select extract(epoch from min(leased_until)) from scheduled_tasks where state = 'running'),
       (select extract(epoch from least(min(next_action_at), min(next_retry_at))) from ghost_targets)"""


def new_sentinel() -> Sentinel:
    return Sentinel(watch=janitor.LeaseWatch(lambda: clock.now().timestamp()))


@dataclass
class Engine:
    """One PHANTOM. `owner` sees every table; `intake` is the hot path's own connection."""

    machine: Machine
    ledger: Ledger
    wire: Wire
    chance: Random
    owner: "psycopg.Connection[Any]"
    intake: "psycopg.Connection[Any]"
    sleep: Callable[[float], None]
    on_acknowledged: Callable[[Iterable[str]], None]
    last_event: Callable[[], str]
    """Of Stripe's: another one means that something has happened there."""
    callbacks: Callbacks
    sentinel: Sentinel = field(default_factory=new_sentinel)
    sentinel_away: tuple[float, float] = (0.0, 0.0)
    hunts_every: int = DAY // 2
    merchant: str = ""
    seldom: tuple[Schedule, ...] = ()
    """What else the Sentinel schedules in this seed; each is asked for once a period."""
    on_begin: Callable[[str], None] = lambda _kind: None
    hunted: str = "nothing yet"
    """Stripe's last event when the last whole hunt began."""
    _asked: set[tuple[str, int]] = field(default_factory=set)
    _periods: set[tuple[str, int]] = field(default_factory=set)
    _tick_at: float = 0.0
    _waiting: tuple[float, ...] = ()
    _read_at: int = -1
    _only_a_task: bool = False
    _lives: int = 0

    # -- webhooks -------------------------------------------------------------------------------------------------

    def deliver(self) -> bool:
        """Hand over what arrives now; whether anything did."""
        now = clock.now().timestamp()
        arrived = self.wire.take(now, 64)
        if not arrived:
            return False
        if not self.machine.run("web", lambda: self._accept(arrived)):
            self.wire.refused(arrived, now)
            return True
        for one in arrived:
            self.ledger.acknowledged.setdefault(one.event_id, clock.now())
        self.on_acknowledged([one.event_id for one in arrived])
        self.ledger.trace.say(f"acknowledged {', '.join(one.event_type for one in arrived)}")
        return True

    def told_at(self) -> float:
        """When the next webhook comes in, Stripe's or a provider's."""
        return min(self.wire.next_at(), self.callbacks.next_at())

    def _accept(self, arrived: list[Webhook]) -> None:
        """What intake does with deliveries that come together (services/handshake/intake.py)."""
        secrets, rows = settings().webhook_secrets(connect=True), []
        for one in arrived:
            header = self.wire.signed(one, secrets[0], clock.now().timestamp())
            verify(one.body, header, secrets, clock.now())
            known = service.read_envelope(one.body)
            handled = known.type in service.HANDLED_TYPES
            payload, outcome = (one.body, "") if handled else (None, "ignored")
            rows.append((known.id, known.type, known.account, known.livemode, payload, outcome))
        unique = list({row[0]: row for row in rows}.values())
        self.machine.point("commit", "before intake's commit")
        finish(repository.store(Inline(self.intake), unique, clock.now(), service.EVENT_PRIORITY))  # type: ignore[arg-type]
        self.machine.statements += 1
        crash_points.crash_point("intake.committed")
        self.machine.announce()

    # -- work -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Deliver and work until nobody has anything to do at this moment."""
        for _ in range(ROUNDS):
            self.wire.collect()
            delivered = self.deliver() | self.callbacks.deliver()
            if self.machine.awake:
                self.work()
            elif not delivered:
                return
        self.ledger.violated("work ends", f"after {ROUNDS} rounds there is still something to do at this moment")

    def work(self, limit: int = 1000, name: str = "worker") -> None:
        """A worker's lanes that were woken run what is due. One that dies is started anew."""
        awake = set(self.machine.awake)
        self.machine.awake -= awake
        for lane in registry.LANES:
            if lane.queue in awake and not self.machine.run(name, functools.partial(self._run_lane, lane, limit, name)):
                self.machine.wake()
                self.sleep(RESTART_SECONDS)
                return

    def _run_lane(self, lane: registry.Lane, limit: int, name: str) -> None:
        """What `jobs.worker.run_batch` does."""
        self._lives += 1
        life = Runner(owner=f"{name}:{self._lives}", chance=self.chance.random)
        life.run_due(limit, lane=lane.name, batch=lane.batch)
        worker._wake_in_time(lane, life)

    # -- the Sentinel ---------------------------------------------------------------------------------------------

    @property
    def hunt_finds_nothing(self) -> bool:
        """Whether nothing has happened at Stripe since the last whole hunt began."""
        return self.hunted == self.last_event()

    def scheduled_now(self) -> list[Schedule]:
        """Pulses, hunts while there may be something to find, and what is asked for once a period."""
        now = clock.now()
        due = [one for one in self.seldom if (one.kind, one.slot(self.merchant, now)) not in self._periods]
        self._asked = {(one.kind, one.slot(self.merchant, now)) for one in due}
        return [PULSE, *(() if self.hunt_finds_nothing else (HUNT,)), *due]

    def _next_week(self, now: float) -> float:
        """When a digest's next period begins, where there are digests; for what is daily nobody is woken."""
        if DIGEST not in self.seldom:
            return math.inf
        slot = DIGEST.slot(self.merchant, from_timestamp(now))
        if (DIGEST.kind, slot) not in self._periods:
            return (now // MINUTE + 1) * MINUTE  # a Sentinel schedules once a minute
        return DIGEST.begins(self.merchant, slot + 1).timestamp()

    def next_at(self) -> float:
        """When the Sentinel has something to do next. What would find nothing is passed over, a pulse or a hunt."""
        if self._tick_at:
            return self._tick_at
        now = clock.now().timestamp()
        quick, long, leased, action = self._what_waits()
        hunt_at = math.inf if self.hunt_finds_nothing else (int(now) // self.hunts_every + 1) * float(self.hunts_every)
        moments = [hunt_at, max(min(quick, long), now), self._next_week(now)]
        if leased < math.inf:
            moments.append(max(leased, now) + 0.1)
        if action < math.inf:
            moments.append((int(max(action, now)) // HOUR + (action > now or 1)) * float(HOUR))
        at = min(moments)
        self._only_a_task = at == moments[1] and at < math.inf
        begin, end = self.sentinel_away
        self._tick_at = end if begin <= at < end else at
        return self._tick_at

    def _what_waits(self) -> tuple[float, ...]:
        """First task due, first lease over, first message or charge; read again once PHANTOM has done anything."""
        if self._read_at != self.machine.statements:
            row = self.owner.execute(_WAITING).fetchone()
            assert row is not None
            self._waiting = tuple(float(value) if value is not None else math.inf for value in row)
            self._read_at = self.machine.statements
        return self._waiting

    def tick(self) -> None:
        """The Sentinel looks; twice where a lease is over, because it tells the dead from the slow by waiting.

        Where only a task became due, what it does to the rest of the world is mostly left out: it wakes a worker.
        """
        self._tick_at = 0.0
        if self._only_a_task and self.chance.random() < 0.85:
            now = clock.now().timestamp()
            for lane, due in zip(registry.LANES, self._what_waits(), strict=False):
                if due <= now:
                    self.machine.announce(lane.queue)
            return
        row = self.owner.execute("select count(*) from scheduled_tasks where state = 'running'").fetchone()
        self._tick()
        if row and row[0]:
            self.sleep(RESCUE_SECONDS)
            self._tick()

    def _tick(self) -> None:
        self._asked = set()
        if not self.machine.run("sentinel", lambda: self.sentinel.tick(clock.now())):
            self.sentinel = new_sentinel()
            self.sleep(RESTART_SECONDS)
        else:
            self._periods |= self._asked

    def look_again(self) -> None:
        """Something happened: when the Sentinel is needed next may have changed."""
        self._tick_at = 0.0
