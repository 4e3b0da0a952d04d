"""Writing off the ghost of the page: asked once more first, because nobody is written to after it."""

import reflex as rx

from phantom_app.guard import allow, principal
from phantom_app.state.access import change_as_tenant, named_last
from phantom_app.state.ghost import Ghost
from services.identity.permissions import Permission
from services.recovery import service as recovery


class WriteOff(rx.State):
    """Whether the question is open."""

    asking: bool = False

    @rx.event
    @allow(Permission.GHOSTS_READ)
    def load(self) -> None:
        self.asking = False

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    def ask(self) -> None:
        self.asking = True

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    def keep(self) -> None:
        self.asking = False

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def act(self) -> None:
        """Count it as lost, if that was asked and it still can be."""
        if not self.asking:
            return
        self.asking = False
        ghost_id, actor = named_last(self.router.url.path), principal().user_id
        await change_as_tenant(lambda session, merchant: recovery.mark_lost(session, merchant, [ghost_id], actor))
        await (await self.get_state(Ghost))._fill()
