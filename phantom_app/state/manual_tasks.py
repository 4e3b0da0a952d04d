"""What waits for a person: one page of it, the draft or the question that is open, and what was done last."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import reflex as rx
from sqlmodel import Session

from core import clock
from core.errors import PhantomError
from models.ghost import OPEN_STATES, ManualTaskState
from phantom_app import live, routes
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, change_as_tenant, identifier, words_of
from phantom_app.state.paging import Numbered, turned_by
from phantom_app.state.shell import Shell
from services.identity.permissions import Permission
from services.manual_tasks import service
from services.manual_tasks.schemas import Draft, TaskLine, TaskPage

DRAFT, CLOSING = "draft", "closing"
_BY_ITSELF = "Closed by itself: "  # how a reason begins that no person gave


@dataclass(frozen=True)
class TaskView:
    """One task in words."""

    id: str
    link: str
    customer: str
    reach: list[str]  # where a person can write or call
    amount: str
    age: str
    since: str
    reason: str
    ghost_state: str
    tone: str
    assignee_id: str
    assignee: str
    released: str
    closed: str
    closed_why: str
    reopens: bool  # whether anything could follow if it were open again


@dataclass(frozen=True)
class Person:
    id: str
    name: str


def task_view(line: TaskLine, now: datetime) -> TaskView:
    state, tone = words.of(words.STATES, line.ghost_state.value)
    return TaskView(
        id=line.id,
        link=routes.ghost(line.ghost_id),
        customer=line.customer,
        reach=[way for way in (line.email, line.phone) if way and way != line.customer],
        amount=formats.money(line.amount, line.currency),
        age=formats.distance(line.created_at, now),
        since=formats.moment(line.created_at),
        reason=line.reason,
        ghost_state=state,
        tone=tone,
        assignee_id=line.assignee_id,
        assignee=line.assignee,
        released=_released(line, now),
        closed=_closed(line, now),
        closed_why=line.closed_reason.removeprefix(_BY_ITSELF),
        reopens=line.ghost_state in OPEN_STATES,
    )


def _closed(line: TaskLine, now: datetime) -> str:
    """When it was closed, and by whom; empty while it is open."""
    if line.closed_at is None:
        return ""
    said = "Closed by itself" if line.closed_reason.startswith(_BY_ITSELF) else "Closed"
    who = f" by {line.closed_by}" if line.closed_by else ""
    return f"{said} {formats.distance(line.closed_at, now)}{who}"


def _released(line: TaskLine, now: datetime) -> str:
    """When a message that was let go goes out, or why it does not yet."""
    if not line.is_released:
        return ""
    said = f"Released {formats.distance(line.released_at, now)}"
    if line.goes_at is None:
        return f"{said}. {line.why_next}"
    return f"{said}: it goes out {formats.distance(line.goes_at, now) if line.goes_at > now else 'now'}."


@turned_by(Permission.GHOSTS_READ)
class ManualTasks(Numbered, rx.State):
    """The list, what is open in it, and the last word."""

    loaded: bool = False
    rows: list[TaskView] = []
    people: list[Person] = []
    done: bool = False
    may_manage: bool = False
    note: str = ""
    open_id: str = ""
    open_part: str = ""
    subject: str = ""
    recipient: str = ""
    html: str = ""
    plain: str = ""

    async def _fill(self) -> None:
        state, page = ManualTaskState.DONE if self.done else ManualTaskState.OPEN, self.page

        def read(session: Session, merchant: str) -> tuple[TaskPage, dict[str, str]]:
            return service.list_tasks(session, merchant, state, page), service.assignable(session, merchant)

        found, people = await as_tenant(read)
        now = clock.now()
        self.rows = [task_view(line, now) for line in found.lines]
        self.people = [Person(user_id, name) for user_id, name in people.items()]
        self._stand_at(
            found.page, found.pages, size=service.PAGE_SIZE, shown=len(self.rows), total=found.total, none="No tasks"
        )
        self.may_manage = Permission.MANUAL_TASKS_MANAGE in principal().permissions
        if self.open_id not in {row.id for row in self.rows}:
            self._put_away()
        self.loaded = True

    def _put_away(self) -> None:
        self.open_id = self.open_part = self.subject = self.recipient = self.html = self.plain = ""

    async def _recount(self) -> None:
        shell = await self.get_state(Shell)
        shell.open_tasks = await as_tenant(service.count_open)

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        live.watch(self, principal().merchant_id, ManualTasks.refresh)
        self.note, self.page = "", 1
        self._put_away()
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def refresh(self) -> None:
        """Something changed while somebody looks; what is open stays open."""
        await self._fill()
        await self._recount()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def show_done(self, done: bool) -> None:
        self.done, self.page, self.note = bool(done), 1, ""
        self._put_away()
        await self._fill()

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    async def assign(self, task_id: str, user_id: str) -> None:
        """Give a task to a member, or to nobody, if it still is with whom the list shows."""
        task, to, who = identifier(task_id), identifier(user_id), principal().user_id
        seen = next((row.assignee_id for row in self.rows if row.id == task), "")
        name = next((person.name for person in self.people if person.id == to), "")
        await self._act(
            lambda s, m: service.assign(s, m, task, to, seen=seen, actor_id=who),
            f"It is with {name} now." if name else "It is with nobody now.",
        )

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    async def review(self, task_id: str) -> None:
        """Show the message that a release would send."""
        task = identifier(task_id)
        self._put_away()
        try:
            found: Draft = await as_tenant(lambda s, m: service.draft(s, m, task))
        except PhantomError as error:
            self.note = error.detail or error.title
            await self._fill()
            return
        self.note, self.open_id, self.open_part = "", task, DRAFT
        self.subject, self.recipient, self.html, self.plain = found.subject, found.recipient, found.html, found.plain

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    async def release(self, task_id: str) -> None:
        """Send the message that was reviewed, through everything a message goes through."""
        task, who = identifier(task_id), principal().user_id
        await self._act(
            lambda s, m: service.release(s, m, task, actor_id=who),
            "Released. It goes out at once, or at the customer's hour.",
        )

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    def ask_close(self, task_id: str) -> None:
        """Ask why before a task is closed."""
        self._put_away()
        self.note, self.open_id, self.open_part = "", identifier(task_id), CLOSING

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    async def close(self, form: dict[str, str]) -> None:
        task, reason, who = self.open_id, words_of(form.get("reason", "")), principal().user_id
        lost = bool(form.get("write_off"))
        said = "Closed, and written off." if lost else "Closed."
        await self._act(lambda s, m: service.close(s, m, task, reason, actor_id=who, write_off=lost), said)

    @rx.event
    @allow(Permission.MANUAL_TASKS_MANAGE)
    async def reopen(self, task_id: str) -> None:
        task, who = identifier(task_id), principal().user_id
        await self._act(lambda s, m: service.reopen(s, m, task, actor_id=who), "It waits for a person again.")

    @rx.event
    @allow(Permission.GHOSTS_READ)
    def put_away(self) -> None:
        self._put_away()

    async def _act(self, work: Callable[[Session, str], None], said: str) -> None:
        """Do something to a task; whoever was too late reads why, and sees how it is now."""
        try:
            await change_as_tenant(work)
            self.note = said
            self._put_away()
        except PhantomError as error:
            self.note = error.detail or error.title
        await self._fill()
        await self._recount()
