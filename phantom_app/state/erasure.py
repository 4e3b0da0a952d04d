"""Forgetting the customer of the page's ghost: asked twice, because nothing brings them back."""

import reflex as rx

from core import clock
from core.errors import NotFoundError, PhantomError
from phantom_app.guard import allow, principal
from phantom_app.state.access import as_tenant, change_as_tenant, named_last
from phantom_app.state.formats import plural
from services.identity.permissions import Permission
from services.recovery import purge


class Erasure(rx.State):
    """Whether the customer can be forgotten, and how far the question is: 0 not asked, 1 once, 2 twice."""

    can: str = ""
    may: bool = False
    asked: int = 0
    note: str = ""

    def _asked_for(self) -> str:
        return named_last(self.router.url.path)

    async def _fill(self) -> None:
        ghost_id = self._asked_for()
        self.asked, self.may = 0, Permission.DATA_PURGE in principal().permissions
        try:
            self.can = await as_tenant(lambda session, merchant: purge.erasable(session, merchant, ghost_id))
        except NotFoundError:
            self.can = ""

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        self.can = self.note = ""
        await self._fill()

    @rx.event
    @allow(Permission.DATA_PURGE)
    def ask(self) -> None:
        """The first question, and after its yes the second."""
        self.note, self.asked = "", min(self.asked + 1, 2)

    @rx.event
    @allow(Permission.DATA_PURGE)
    def keep(self) -> None:
        self.asked = 0

    @rx.event
    @allow(Permission.DATA_PURGE)
    async def erase(self) -> None:
        """Forget them at once and for ever; only after both questions."""
        if self.asked < 2:
            return
        ghost_id, actor, now = self._asked_for(), principal().user_id, clock.now()
        try:
            ghosts = await change_as_tenant(
                lambda session, merchant: purge.erase_customer_of(session, merchant, ghost_id, now, actor_id=actor)
            )
        except PhantomError as error:
            self.asked, self.note = 0, error.title + "."
            return
        await self._fill()
        keep = "keeps" if ghosts == 1 else "keep"
        self.note = f"Erased. {plural(ghosts, 'ghost')} of this customer {keep} amounts and dates alone."
