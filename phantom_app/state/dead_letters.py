"""Tasks that gave up: what they were, why, and the two things a person can do about them."""

from dataclasses import dataclass
from datetime import datetime

import reflex as rx
from sqlmodel import Session

from core import clock
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, change_as_tenant
from phantom_app.state.paging import Trailed, turned_by
from services.audit import service as audit
from services.identity.permissions import Permission
from services.tasks import deadletters
from services.tasks.errors import TaskNotFoundError
from services.tasks.schemas import TaskView

PAGE_SIZE = 20
EVERY = "every"  # asked about all of them
GONE = "That task is not waiting any more: somebody was faster, or it was never here."


@dataclass(frozen=True)
class DeadLetter:
    """A dead task in words; `detail` is the error as it was written down."""

    id: str
    kind: str
    why: str
    detail: str
    attempts: str
    when: str
    at: str


def dead_letter(view: TaskView, now: datetime) -> DeadLetter:
    deaths = f", {formats.plural(view.deaths, 'death')} of its process" if view.deaths else ""
    return DeadLetter(
        str(view.id),
        words.plain(view.kind),
        words.failure(view.last_error),
        view.last_error,
        formats.plural(view.attempts, "attempt") + deaths,
        formats.distance(view.finished_at, now),
        formats.moment(view.finished_at),
    )


def number_of(text: object) -> int:
    """A task's number as a browser names it; 0, which no task has, for anything else."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19 else 0


@turned_by(Permission.SYSTEM_READ)
class DeadLetters(Trailed, rx.State):
    """One page of them, newest first. Filled by the System page when its tab is open."""

    letters: list[DeadLetter] = []
    may_manage: bool = False
    asking: str = ""  # the one whose deletion waits for a yes, or `EVERY` before all are run again
    note: str = ""

    async def _fill(self) -> None:
        before = int(self._begins_after()) if self._trail else None
        found = await as_tenant(lambda s, m: deadletters.list_dead(s, m, limit=PAGE_SIZE + 1, before_id=before))
        if not found and self._trail:  # the last of this page went away
            self._trail = self._trail[:-1]
            await self._fill()
            return
        now = clock.now()
        self.letters = [dead_letter(view, now) for view in found[:PAGE_SIZE]]
        end = self.letters[-1].id if len(found) > PAGE_SIZE else ""
        self._stand_before(end, size=PAGE_SIZE, shown=len(self.letters))
        self.may_manage = Permission.TASKS_MANAGE in principal().permissions
        if self.asking not in {each.id for each in self.letters} | {EVERY if self.letters else ""}:
            self.asking = ""

    @rx.event
    @allow(Permission.TASKS_MANAGE)
    async def run_again(self, task_id: str) -> None:
        """Give a task its attempts back; it runs at once."""
        number, who = number_of(task_id), principal().user_id

        def replay(session: Session, merchant: str) -> None:
            deadletters.replay(session, number, merchant_id=merchant)
            audit.record_audit(session, merchant, "task.replayed", actor_id=who, target=f"task:{number}")

        try:
            await change_as_tenant(replay)
            self.note = f"Task #{number} runs again."
        except TaskNotFoundError:
            self.note = GONE
        await self._fill()

    @rx.event
    @allow(Permission.TASKS_MANAGE)
    def ask_every(self) -> None:
        """Ask before all of them are run again: after a long outage they can be thousands."""
        self.asking = EVERY

    @rx.event
    @allow(Permission.TASKS_MANAGE)
    async def run_every(self) -> None:
        """Give all of them their attempts back, the oldest first; those of other pages, too."""
        who = principal().user_id

        def replay(session: Session, merchant: str) -> int:
            number = deadletters.replay_all(session, merchant)
            audit.record_audit(
                session, merchant, "task.all_replayed", actor_id=who, target="tasks", facts={"tasks": number}
            )
            return number

        number = await change_as_tenant(replay)
        self.note = f"{formats.plural(number, 'task')} {'runs' if number == 1 else 'run'} again."
        if number == deadletters.REPLAY_AT_ONCE:
            self.note += " There may be more: look again."
        self.asking = ""
        await self._fill()

    @rx.event
    @allow(Permission.TASKS_MANAGE)
    def ask(self, task_id: str) -> None:
        """Ask before a task is deleted; an empty id takes the question back."""
        self.asking = str(number_of(task_id) or "")

    @rx.event
    @allow(Permission.TASKS_MANAGE)
    async def delete(self, task_id: str) -> None:
        """Lay a task aside for good. What it should have done is not done."""
        number, who = number_of(task_id), principal().user_id

        def lay_aside(session: Session, merchant: str) -> None:
            deadletters.delete_dead(session, number, merchant)
            audit.record_audit(session, merchant, "task.deleted", actor_id=who, target=f"task:{number}")

        try:
            await change_as_tenant(lay_aside)
            self.note = f"Task #{number} is deleted."
        except TaskNotFoundError:
            self.note = GONE
        self.asking = ""
        await self._fill()
