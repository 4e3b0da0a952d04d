"""The switch that lets messages go out: off until somebody has seen what was found and says go."""

import reflex as rx

from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, change_as_tenant
from services.identity.permissions import Permission
from services.recovery import service as recovery


class Sending(rx.State):
    """Whether messages go out, and whether this person may change that."""

    loaded: bool = False
    on: bool = False
    may_change: bool = False
    busy: bool = False
    planned: str = ""

    async def _fill(self) -> None:
        self.on = await as_tenant(recovery.messages_are_on)
        self.may_change = Permission.SETTINGS_MANAGE in principal().permissions
        self.loaded = True

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def load(self) -> None:
        self.busy, self.planned = False, ""
        await self._fill()

    @rx.event(background=True)
    @allow(Permission.SETTINGS_MANAGE)
    async def start(self) -> None:
        """Plan every open ghost; in the background, because there may be thousands."""
        async with self:
            self.busy = True
        actor = principal().user_id
        try:
            number = await change_as_tenant(lambda session, merchant: recovery.start_messages(session, merchant, actor))
        finally:
            await self._rest()
        async with self:
            self.on = True
            self.planned = (
                f"{formats.count(number)} open {'ghost has a plan' if number == 1 else 'ghosts have a plan'}."
            )

    @rx.event(background=True)
    @allow(Permission.SETTINGS_MANAGE)
    async def stop(self) -> None:
        async with self:
            self.busy = True
        actor = principal().user_id
        try:
            await change_as_tenant(lambda session, merchant: recovery.stop_messages(session, merchant, actor))
        finally:
            await self._rest()
        async with self:
            self.on, self.planned = False, ""

    async def _rest(self) -> None:
        """Whatever it met, the button can be pressed again."""
        async with self:
            self.busy = False
