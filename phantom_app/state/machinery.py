"""What keeps the engine going: webhooks as they come in, schedules, and whether each part is alive."""

from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from core import clock
from models.work import TaskState
from phantom_app.state import formats, words
from phantom_app.state.access import as_platform, as_tenant
from phantom_app.theme import Tone
from services.handshake.view import EventView, IntakeView, TypeCount, intake_view
from services.merchants import service as merchants
from services.operations.schedules import ScheduleView, schedule_views
from services.operations.signs import Health, Sign, merchant_signs, platform_signs


@dataclass(frozen=True)
class Figure:
    key: str
    label: str
    value: str
    note: str


@dataclass(frozen=True)
class EventRow:
    id: str
    type: str
    outcome: str
    tone: str
    received: str
    took: str


@dataclass(frozen=True)
class TypeRow:
    id: str
    type: str
    outcome: str
    tone: str
    count: str


@dataclass(frozen=True)
class Part:
    """One part of the whole: its name, how it is, and a sentence that says why."""

    key: str
    name: str
    word: str
    tone: str
    detail: str
    when: str


@dataclass(frozen=True)
class ScheduleRow:
    key: str
    name: str
    every: str
    upcoming: str
    last: str
    state: str
    tone: str
    error: str


_HEALTH = {
    Health.WORKING: ("Working", Tone.RECOVERED),
    Health.TROUBLE: ("Trouble", Tone.AT_RISK),
    Health.AWAY: ("Away", Tone.LEAKING),
    Health.NOT_SET_UP: ("Not set up", Tone.NEUTRAL),
}
_NAMES = {
    "stripe": "Stripe account",
    "mail": "Mail sender",
    "usage": "Usage reported",
    "workers": "Workers",
    "sentinel": "Sentinel",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
}
_SCHEDULES = {
    "hunt": "Ghost Hunter",
    "pulse": "Pulse Engine",
    "purge_pii": "Forgetting people",
    "send_weekly_digest": "Weekly digest",
    "report_usage": "Usage report",
}
_PERIODS = {1: "every hour", 24: "every day", 168: "every week"}


def figures(view: IntakeView, now: datetime) -> list[Figure]:
    cut = "the latest 1,000 of 24 hours" if view.is_cut else "last 24 hours"
    longest = f"longest {formats.duration(view.longest_delay)}" if view.longest_delay is not None else cut
    waits = f"since {formats.moment(view.oldest_waiting_at)}" if view.oldest_waiting_at else "nothing waits"
    usual = formats.duration(view.usual_delay) if view.usual_delay is not None else formats.NONE
    return [
        Figure("received", "Received", formats.count(view.received), cut),
        Figure("handled", "Handled", formats.count(view.handled), cut),
        Figure("waiting", "Waiting", formats.count(view.waiting), waits),
        Figure("delay", "Usual delay", usual, longest),
    ]


def event_row(event: EventView, now: datetime) -> EventRow:
    outcome, tone = words.event_outcome(event.outcome)
    took = (
        formats.duration((event.handled_at - event.received_at).total_seconds()) if event.handled_at else formats.NONE
    )
    return EventRow(event.id, event.type, outcome, tone, formats.clock_time(event.received_at), took)


def type_row(entry: TypeCount) -> TypeRow:
    outcome, tone = words.event_outcome(entry.outcome)
    return TypeRow(f"{entry.type}:{entry.outcome}", entry.type, outcome, tone, formats.count(entry.count))


def part(sign: Sign, now: datetime) -> Part:
    word, tone = _HEALTH[sign.health]
    return Part(sign.part, _NAMES[sign.part], word, tone.value, _detail(sign), _when(sign, now))


def _detail(sign: Sign) -> str:
    if sign.reason:
        return sign.reason
    found = _DETAILS.get((sign.part, sign.health)) or _DETAILS.get((sign.part, None), "")
    return found.format(number=formats.count(sign.number))


_DETAILS: dict[tuple[str, Health | None], str] = {
    ("stripe", Health.WORKING): "Connected; reads and webhooks go through.",
    ("stripe", Health.TROUBLE): "The last hunt did not get through.",
    ("stripe", Health.NOT_SET_UP): "No account is connected: nothing is found and nobody is written to.",
    ("mail", Health.WORKING): "Mail is handed over to Resend.",
    ("mail", Health.TROUBLE): "The last message was refused.",
    ("mail", Health.NOT_SET_UP): "No sender is set up: messages stay in the outbox, unsent.",
    ("usage", Health.WORKING): "Each day's recovered money is reported to the operator's meter once it is over.",
    ("usage", Health.TROUBLE): "The meter did not take a day's usage; a later day carries it.",
    ("workers", Health.WORKING): "{number} lanes take work.",
    ("workers", Health.TROUBLE): "Redis cannot be asked; workers go on without it, a little slower.",
    ("workers", Health.AWAY): "No worker has been heard of: work waits, and nothing of it is lost.",
    ("sentinel", Health.WORKING): "One leads and schedules what is due.",
    ("sentinel", Health.AWAY): "Nobody schedules at this moment; what is missed is caught up.",
    ("postgresql", None): "Answers within {number} ms.",
    ("redis", Health.WORKING): "Answers within {number} ms.",
    ("redis", Health.AWAY): "Does not answer: pages stand still until it is back, and no work is lost.",
}


def _when(sign: Sign, now: datetime) -> str:
    if sign.part == "workers":
        return ""  # heartbeats are in the machine's time, which a demo's clock is not
    good = f"Last good {formats.distance(sign.good_at, now)}" if sign.good_at else ""
    bad = f"last failure {formats.distance(sign.bad_at, now)}" if sign.bad_at else ""
    return "; ".join(text for text in (good, bad) if text)


def schedule_row(view: ScheduleView, now: datetime) -> ScheduleRow:
    state, tone = words.of(words.TASK_STATES, view.state) if view.state else ("Not yet", Tone.NEUTRAL.value)
    hours = int(view.every.total_seconds() // 3600)
    return ScheduleRow(
        view.kind,
        _SCHEDULES.get(view.kind, words.plain(view.kind)),
        _PERIODS.get(hours, f"every {hours} hours"),
        f"{formats.distance(view.next_at, now)} ({formats.moment(view.next_at)})" if view.next_at else "Not connected",
        formats.distance(view.last_at, now),
        state,
        tone,
        words.failure(view.error) if view.state == TaskState.DEAD else words.waits(view.error),
    )


class Machinery(rx.State):
    """Filled by the System page, tab by tab."""

    figures: list[Figure] = []
    types: list[TypeRow] = []
    events: list[EventRow] = []
    parts: list[Part] = []
    all_alive: bool = False
    schedules: list[ScheduleRow] = []

    async def _fill_intake(self) -> None:
        now = clock.now()
        view = await as_platform(intake_view)
        self.figures = figures(view, now)
        self.types = [type_row(entry) for entry in view.by_type]
        self.events = [event_row(event, now) for event in view.recent]

    async def _fill_health(self) -> None:
        now = clock.now()
        own = await as_tenant(merchant_signs)
        ours = await as_platform(lambda session, _merchant: platform_signs(session))
        self.parts = [part(sign, now) for sign in (*own, *ours)]
        self.all_alive = all(sign.health is Health.WORKING for sign in ours)

    async def _fill_schedules(self) -> None:
        now = clock.now()
        views = await as_tenant(lambda s, m: schedule_views(s, m, connected=merchants.get_merchant(s, m).is_connected))
        self.schedules = [schedule_row(view, now) for view in views]
