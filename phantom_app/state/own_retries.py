"""When PHANTOM charges a card again by itself: the merchant's choice, in plain words."""

import reflex as rx

from phantom_app.guard import allow, principal
from phantom_app.state.access import as_tenant, change_as_tenant
from services.identity.permissions import Permission
from services.merchants import service as merchants
from services.merchants.policies import OwnRetries as Choice

WORDS: dict[str, tuple[str, str]] = {
    Choice.AFTER_STRIPE: (
        "After Stripe",
        "PHANTOM waits until Stripe's own schedule is over, then tries a few more times, some days apart.",
    ),
    Choice.WITH_STRIPE: (
        "Between Stripe's attempts",
        "PHANTOM also tries between Stripe's attempts, never within a day of one.",
    ),
    Choice.OFF: ("Never", "PHANTOM charges only a new card that a customer has added."),
}


class OwnRetries(rx.State):
    """The choice, and whether this person may change it."""

    loaded: bool = False
    chosen: str = ""
    about: str = ""
    may_change: bool = False

    async def _fill(self) -> None:
        policy = await as_tenant(merchants.get_policy)
        self.chosen = policy.own_retries.value
        self.about = WORDS[policy.own_retries][1]
        self.may_change = Permission.SETTINGS_MANAGE in principal().permissions
        self.loaded = True

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def choose(self, choice: str) -> None:
        """Each ghost's plan follows within a day; a charge that is due is looked at again before it is made."""
        who = principal().user_id
        if choice in WORDS:
            await change_as_tenant(lambda s, m: merchants.change_policy(s, m, {"own_retries": choice}, actor_id=who))
        await self._fill()
