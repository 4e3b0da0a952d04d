"""Which ghosts of the list somebody has chosen, and the one thing that is about to be done with all of them.

The choice outlives turning pages and filtering, so what it says before it acts is how many were chosen, wherever they
stand now. A person who comes back to the list begins with none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import reflex as rx
from sqlmodel import Session

from phantom_app.guard import allow, principal
from phantom_app.state.access import change_as_tenant, identifier
from phantom_app.state.recoveries import Recoveries
from services.identity.permissions import Permission
from services.recovery import service as recovery

MOST = recovery.MAX_PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done with many ghosts at once: in words before, after, and of those it could not be done with."""

    act: Callable[[Session, str, Sequence[str], str], int]
    question: str
    done: str
    left: str


DEEDS = {
    "pause": Deed(
        recovery.pause,
        "Pause {ghosts}? No message goes out until somebody resumes them.",
        "Paused {ghosts}.",
        "{ghosts} had nothing to pause.",
    ),
    "resume": Deed(
        recovery.resume,
        "Resume {ghosts}? Their messages go on where they were.",
        "Resumed {ghosts}.",
        "{ghosts} were not paused.",
    ),
    "write_off": Deed(
        recovery.mark_lost,
        "Write off {ghosts}? They count as lost, and no message goes out any more. A payment still counts.",
        "Wrote off {ghosts}.",
        "{ghosts} were over already.",
    ),
}


def _ghosts(number: int) -> str:
    return "1 ghost" if number == 1 else f"{number} ghosts"


def outcome(deed: Deed, wanted: int, done: int) -> str:
    """What came of it, in words; those that had moved on meanwhile are not passed over in silence."""
    said = deed.done.format(ghosts=_ghosts(done)) if done else "Nothing was changed."
    if left := wanted - done:
        words = deed.left.format(ghosts=_ghosts(left))
        said += " " + (words.replace(" were ", " was ", 1) if left == 1 else words)
    return said


class Selection(rx.State):
    """What is chosen, what was asked before acting, and what came of it."""

    chosen: list[str] = []
    counted: str = ""
    asked: str = ""
    question: str = ""
    told: str = ""
    may_manage: bool = False

    def _choose(self, ids: Sequence[str]) -> None:
        kept = list(dict.fromkeys(ids))
        self.told = f"At most {MOST} at once." if len(kept) > MOST else ""
        self.chosen = kept[:MOST]
        self.counted = f"{len(self.chosen)} chosen" if self.chosen else ""
        self.asked = self.question = ""

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        self._choose([])
        self.may_manage = Permission.GHOSTS_MANAGE in principal().permissions

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def turn(self, ghost_id: str) -> None:
        """Choose a ghost, or choose it no longer."""
        if wanted := identifier(ghost_id):
            others = [known for known in self.chosen if known != wanted]
            self._choose(others if wanted in self.chosen else [*others, wanted])

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def turn_page(self) -> None:
        """Choose all that the page shows, or none of them where all are chosen."""
        shown = [row.id for row in (await self.get_state(Recoveries)).rows]
        if set(shown) <= set(self.chosen):
            self._choose([known for known in self.chosen if known not in shown])
        else:
            self._choose([*self.chosen, *shown])

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def clear(self) -> None:
        self._choose([])

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def ask(self, what: str) -> None:
        """Say what is about to happen; nothing happens yet."""
        if what in DEEDS and self.chosen:
            self.asked, self.told = what, ""
            self.question = DEEDS[what].question.format(ghosts=_ghosts(len(self.chosen)))

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def keep(self) -> None:
        self.asked = self.question = ""

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def act(self) -> None:
        """Do what was asked with all that are chosen; then none are."""
        deed, ids, who = DEEDS.get(self.asked), list(self.chosen), principal().user_id
        if deed is None or not ids:
            return
        done = await change_as_tenant(lambda session, merchant: deed.act(session, merchant, ids, who))
        self._choose([])
        self.told = outcome(deed, len(ids), done)
        await (await self.get_state(Recoveries))._fill()
