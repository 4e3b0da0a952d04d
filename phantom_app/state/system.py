"""The machine room of one merchant: live log, schedules, queue, dead letters, webhooks, outbox and health."""

from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from core import clock
from core.config import settings
from models.work import TaskState
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant
from phantom_app.state.dead_letters import DeadLetters
from phantom_app.state.ghost import Letter, letter
from phantom_app.state.health_card import HealthCard
from phantom_app.state.machinery import Machinery
from services.audit import service as audit
from services.audit.schemas import LogLine
from services.hunter import service as hunter
from services.hunter.schemas import HuntProgress
from services.identity.permissions import Permission
from services.messaging import service as messaging
from services.tasks import upkeep
from services.tasks.schemas import QueueState, TaskView

TABS = ("log", "hunts", "tasks", "dead", "intake", "outbox", "health")


@dataclass(frozen=True)
class Line:
    """A line of the live intelligence log."""

    id: str
    when: str
    event: str
    message: str
    level: str
    tone: str


@dataclass(frozen=True)
class HuntView:
    id: str
    state: str
    tone: str
    trigger: str
    listed: str
    found: str
    updated: str
    unreadable: str
    requests: str
    took: str
    started: str
    error: str


@dataclass(frozen=True)
class Task:
    id: str
    kind: str
    state: str
    tone: str
    attempts: str
    when: str
    error: str


@dataclass(frozen=True)
class Count:
    """One number of the queue; `of_now` says that it is not of a period."""

    key: str
    label: str
    value: str
    tone: str


def line(entry: LogLine) -> Line:
    tone = words.LEVELS.get(entry.level)
    return Line(
        entry.id,
        formats.clock_time(entry.occurred_at),
        entry.event,
        entry.message,
        entry.level.capitalize() if tone else "",
        tone.value if tone else "neutral",
    )


def hunt_view(hunt: HuntProgress, now: datetime) -> HuntView:
    state, tone = words.of(words.HUNT_STATES, hunt.state)
    return HuntView(
        hunt.id,
        state,
        tone,
        words.plain(hunt.trigger),
        formats.count(hunt.listed),
        formats.count(hunt.found),
        formats.count(hunt.updated),
        formats.count(hunt.unreadable),
        formats.count(hunt.requests),
        formats.seconds(hunt.seconds),
        formats.distance(hunt.started_at, now),
        hunt.error,
    )


def task(view: TaskView, now: datetime) -> Task:
    state, tone = words.of(words.TASK_STATES, view.state.value)
    return Task(
        str(view.id),
        words.plain(view.kind),
        state,
        tone,
        f"{view.attempts} of {view.max_attempts}",
        formats.distance(view.finished_at or view.run_at, now),
        view.last_error,
    )


def counts(queue: QueueState, now: datetime) -> list[Count]:
    """What waits, runs and needs a person, and how late the queue is."""
    late = formats.distance(queue.oldest_due_at, now) if queue.oldest_due_at else "nothing waits"
    return [
        Count("pending", "Waiting", formats.count(queue.count(TaskState.PENDING)), "neutral"),
        Count("running", "Running", formats.count(queue.count(TaskState.RUNNING)), "in-recovery"),
        Count("dead", "Needs a person", formats.count(queue.count(TaskState.DEAD)), "leaking"),
        Count("oldest", "Longest due", late, "neutral"),
    ]


class System(rx.State):
    """What the chosen tab shows; the others are filled when they are chosen."""

    loaded: bool = False
    tab: str = "log"
    lines: list[Line] = []
    hunts: list[HuntView] = []
    tasks: list[Task] = []
    counts: list[Count] = []
    letters: list[Letter] = []
    may_read_messages: bool = False
    mailbox: str = ""
    as_of: str = ""

    async def _fill(self) -> None:
        now = clock.now()
        self.may_read_messages = Permission.MESSAGES_READ in principal().permissions
        if self.tab == "log":
            self.lines = [line(entry) for entry in await as_tenant(lambda s, m: audit.list_log(s, m, 100))]
        elif self.tab == "hunts":
            self.hunts = [hunt_view(hunt, now) for hunt in await as_tenant(lambda s, m: hunter.recent_hunts(s, m, 20))]
            await (await self.get_state(Machinery))._fill_schedules()
        elif self.tab == "dead":
            await (await self.get_state(DeadLetters))._fill()
        elif self.tab == "intake":
            await (await self.get_state(Machinery))._fill_intake()
        elif self.tab == "health":
            await (await self.get_state(HealthCard))._fill()
            await (await self.get_state(Machinery))._fill_health()
        elif self.tab == "tasks":
            queue = await as_tenant(lambda s, m: upkeep.queue_state(s, m, recent=50))
            self.counts = counts(queue, now)
            self.tasks = [task(view, now) for view in queue.recent]
        elif self.may_read_messages:
            # In the demo mail ends in the sandbox, where a visitor can read it and play the customer.
            self.mailbox = f"{settings().resend_api_base}/outbox" if settings().is_demo else ""
            self.letters = [letter(each, now) for each in await as_tenant(lambda s, m: messaging.outbox(s, m, 25))]
        self.as_of = formats.moment(now)
        self.loaded = True

    @rx.event
    @allow(Permission.SYSTEM_READ)
    async def load(self) -> None:
        live.watch(self, principal().merchant_id, System.refresh)
        asked = str(self.router.url.query_parameters.get("tab", ""))
        if asked in TABS:  # a link to one of them
            self.tab = asked
        await self._fill()

    @rx.event
    @allow(Permission.SYSTEM_READ)
    async def refresh(self) -> None:
        await self._fill()

    @rx.event
    @allow(Permission.SYSTEM_READ)
    async def choose(self, tab: str) -> None:
        self.tab = tab if tab in TABS else "log"
        (await self.get_state(DeadLetters)).note = ""
        await self._fill()
