"""Turning the pages of a list: what every list's state shares, and who may do it.

A state takes one of the two mixins, fills itself in `_fill`, and says with `turned_by` who may turn its pages. Where it
does not say so, the guard refuses both handlers as it does any that declares nothing.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import reflex as rx

from phantom_app.guard import allow
from phantom_app.state import formats

State = TypeVar("State", bound=type[Any])
TURNING = ("go_back", "go_forward")


def turned_by(permission: str) -> Callable[[State], State]:
    """Declare for a state's inherited handlers what `allow` declares for those that stand in it."""

    def mark(state: State) -> State:
        for name in TURNING:
            allow(permission)(state.event_handlers[name].fn)  # a copy of the mixin's: each state has its own
        return state

    return mark


class Numbered(rx.State, mixin=True):
    """A list that is counted: page so and so of so many."""

    page: int = 1
    pages: int = 1
    range_text: str = ""

    async def _fill(self) -> None:
        raise NotImplementedError

    def _stand_at(self, page: int, pages: int, *, size: int, shown: int, total: int, none: str = "") -> None:
        """Where the list stands now; `none` is said of an empty one."""
        self.page, self.pages = page, pages
        first = (page - 1) * size + 1
        self.range_text = f"{first}–{first + shown - 1} of {formats.count(total)}" if shown else none

    @rx.event
    async def go_back(self) -> None:
        self.page = max(1, self.page - 1)
        await self._fill()

    @rx.event
    async def go_forward(self) -> None:
        self.page = min(self.pages, self.page + 1)
        await self._fill()


class Trailed(rx.State, mixin=True):
    """A list that is not counted: each page goes on where the one before it ended, and knows the way back."""

    has_more: bool = False
    has_former: bool = False
    range_text: str = ""
    _trail: list[str] = []  # what each page before this one ended with
    _end: str = ""  # what this page ends with; empty where nothing follows

    async def _fill(self) -> None:
        raise NotImplementedError

    def _begins_after(self) -> str:
        return self._trail[-1] if self._trail else ""

    def _stand_before(self, end: str, *, size: int, shown: int) -> None:
        """Where the list stands now; `end` is what the next page begins after, empty where there is none."""
        self._end, self.has_more, self.has_former = end, bool(end), bool(self._trail)
        first = len(self._trail) * size + 1
        self.range_text = f"{first}–{first + shown - 1}" + (", and more" if end else "") if shown else ""

    def _from_the_start(self) -> None:
        self._trail, self._end = [], ""

    @rx.event
    async def go_back(self) -> None:
        self._trail = self._trail[:-1]
        await self._fill()

    @rx.event
    async def go_forward(self) -> None:
        if self._end:
            self._trail = [*self._trail, self._end]
            await self._fill()
