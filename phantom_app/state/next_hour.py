"""What goes out within the hour, for the dashboard."""

import reflex as rx

from core import clock
from phantom_app.guard import allow
from phantom_app.state import formats
from phantom_app.state.access import as_tenant
from phantom_app.state.recoveries import GhostView, ghost_view
from services.identity.permissions import Permission
from services.recovery import service as recovery


class NextHour(rx.State):
    """The messages of the next hour, the first few by name."""

    loaded: bool = False
    count: str = ""
    rest: str = ""
    why_none: str = ""
    rows: list[GhostView] = []

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def load(self) -> None:
        await self._fill()

    async def _fill(self) -> None:
        found = await as_tenant(recovery.next_hour)
        now = clock.now()
        self.rows = [ghost_view(row, now) for row in found.first]
        more = "at least " if found.more else ""
        self.count = f"{more}{formats.plural(found.messages, 'message')} planned"
        left = found.messages - len(found.first)
        self.rest = f"and {more}{formats.count(left)} more" if left else ""
        self.why_none = found.why_none
        self.loaded = True
