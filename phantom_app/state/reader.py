"""The one message that is being read; a list holds subjects only, so that it stays light while it refreshes."""

import reflex as rx

from phantom_app.guard import allow
from phantom_app.state.access import as_tenant, identifier
from services.identity.permissions import Permission
from services.messaging import service as messaging


class Reader(rx.State):
    """A message as it was rendered. `html` goes into a sandboxed frame and nowhere else."""

    open: str = ""
    html: str = ""
    plain: str = ""

    @rx.event
    @allow(Permission.GHOSTS_READ)
    def close(self) -> None:
        self.open = self.html = self.plain = ""

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def toggle(self, ghost_id: str, message_id: str) -> None:
        """Show a message, or put it away when it is shown already."""
        if self.open == message_id:
            self.open = self.html = self.plain = ""
            return
        letters = await as_tenant(
            lambda session, merchant: messaging.messages_of_ghost(session, merchant, identifier(ghost_id))
        )
        found = next((each for each in letters if each.id == message_id), None)
        if found is not None:
            self.open, self.html, self.plain = found.id, found.html, found.plain
