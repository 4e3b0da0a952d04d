"""Keys of the merchant's own programs: made, shown once, revoked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import reflex as rx

from core import clock
from core.errors import PhantomError
from phantom_app import runtime
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, identifier, words_of
from services.identity import api_keys
from services.identity.api_keys import ApiKeyView, ApiScope
from services.identity.permissions import Permission

SCOPES = {
    ApiScope.CONSENTS_READ.value: "read consents",
    ApiScope.CONSENTS_WRITE.value: "record consents",
    ApiScope.CUSTOMERS_ERASE.value: "erase customers for good",
}

ERASE = ApiScope.CUSTOMERS_ERASE.value


@dataclass(frozen=True)
class KeyLine:
    """A key that works, in words."""

    id: str
    name: str
    hint: str
    may: str
    made: str
    used: str


def key_line(view: ApiKeyView) -> KeyLine:
    now = clock.now()
    return KeyLine(
        view.id,
        view.name,
        view.hint,
        ", ".join(SCOPES.get(scope, scope) for scope in view.scopes),
        formats.moment(view.created_at),
        formats.distance(view.last_used_at, now) if view.last_used_at else "never",
    )


class Programs(rx.State):
    """The keys that work. `shown` tells the browser a new one, and holds it no longer than that takes."""

    loaded: bool = False
    may_manage: bool = False
    may_erase: bool = False
    keys: list[KeyLine] = []
    shown: str = ""
    note: str = ""
    asking: str = ""
    edited: int = 0

    async def _fill(self) -> None:
        views = await as_tenant(api_keys.keys_of)
        self.keys = [key_line(view) for view in views if view.revoked_at is None]
        self.may_manage = Permission.SECRETS_MANAGE in principal().permissions
        self.may_erase = Permission.DATA_PURGE in principal().permissions
        self.loaded, self.asking = True, ""

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        self.shown = self.note = ""
        await self._fill()

    @rx.event
    @allow(Permission.SECRETS_MANAGE)
    async def create(self, form: dict[str, Any]) -> AsyncIterator[None]:
        """Make a key that may do what is ticked; it is shown this once."""
        scopes = frozenset(scope for scope in ApiScope if form.get(scope.value))
        name, maker = words_of(form.get("name", "")), principal()
        try:
            made = await as_tenant(
                lambda session, merchant: api_keys.create(
                    session, merchant, name, scopes, maker.user_id, permissions=maker.permissions
                )
            )
        except PhantomError as error:
            self.shown, self.note = "", error.detail
        else:
            self.shown, self.note = made.key, "Copy it now: it is not shown again."
            self.edited += 1
        await self._fill()
        try:
            yield  # the browser has it now
        finally:
            runtime.put_quietly(self, "shown", "")  # Redis keeps this state, on its disk as well, and shall not know it

    @rx.event
    @allow(Permission.SECRETS_MANAGE)
    def ask(self, key_id: str) -> None:
        """Ask before a key is revoked; an empty id takes the question back."""
        self.asking = identifier(key_id)

    @rx.event
    @allow(Permission.SECRETS_MANAGE)
    async def revoke(self, key_id: str) -> None:
        """The key opens nothing from now on."""
        known, actor = identifier(key_id), principal().user_id
        try:
            await as_tenant(lambda session, merchant: api_keys.revoke(session, merchant, known, actor))
        except PhantomError as error:
            self.note = error.title + "."
        else:
            self.note = "Revoked: it opens nothing any more."
        self.shown = ""
        await self._fill()
