"""How the merchant shows itself in messages, as a form."""

from typing import Any

import reflex as rx

from phantom_app.guard import allow, principal
from phantom_app.state.access import as_tenant
from phantom_app.state.messages import Messages
from services.identity.permissions import Permission
from services.messaging import brand_service
from services.messaging.brand_service import BrandRefusedError, BrandSettings
from services.messaging.brands import DEFAULT_ACCENT, contrast, ink_on


class Branding(rx.State):
    """What is set now, and what was wrong with what was tried."""

    may_edit: bool = False
    form: dict[str, str] = dict.fromkeys((*brand_service.FIELDS, "reply_to"), "")
    business: str = ""
    accent: str = DEFAULT_ACCENT
    ink: str = "#ffffff"
    contrast: str = ""
    problems: dict[str, str] = dict.fromkeys((*brand_service.FIELDS, "reply_to"), "")
    note: str = ""
    edited: int = 0

    def _take(self, found: BrandSettings) -> None:
        self.form = {**found.stored, "reply_to": found.reply_to}
        self.business = found.business_name
        self.accent, self.ink = found.brand.accent, ink_on(found.brand.accent)
        self.contrast = f"{contrast(self.accent, self.ink):.1f} : 1"
        self.problems = dict.fromkeys(self.form, "")
        self.edited += 1

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        self.may_edit, self.note = Permission.SETTINGS_MANAGE in principal().permissions, ""
        self._take(await as_tenant(brand_service.get_brand))

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def save(self, form: dict[str, Any]) -> None:
        """Keep all of the form, or say by field what is wrong and keep nothing."""
        given = {field: str(form.get(field, ""))[:2_000] for field in self.form}
        actor = principal().user_id
        try:
            found = await as_tenant(
                lambda session, merchant: brand_service.save_brand(session, merchant, given, actor_id=actor)
            )
        except BrandRefusedError as error:
            self.problems = {field: error.problems.get(field, "") for field in given}
            self.note = "Not saved: see what is marked."
            return
        self._take(found)
        self.note = "Saved. Messages look like this from now on."
        messages = await self.get_state(Messages)
        if messages.may_read:
            await messages._look_again()
