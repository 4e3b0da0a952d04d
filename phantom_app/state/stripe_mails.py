"""The question that Stripe's API does not answer: does Stripe itself write to customers about failed payments?"""

import reflex as rx

from models.merchant import StripeMails as Answer
from phantom_app.guard import allow, principal
from phantom_app.state.access import as_tenant, change_as_tenant
from phantom_app.state.health_card import stripe_page
from services.identity.permissions import Permission
from services.merchants import service as merchants

_GIVEN = frozenset({Answer.YES, Answer.NO, Answer.UNKNOWN})


class StripeMails(rx.State):
    """What was answered, and where Stripe's switch is."""

    loaded: bool = False
    answer: str = ""
    may_change: bool = False
    switch: str = ""

    async def _fill(self) -> None:
        merchant = await as_tenant(merchants.get_merchant)
        self.answer = merchant.stripe_mails.value
        self.switch = stripe_page("settings/billing/automatic", livemode=merchant.livemode)
        self.may_change = Permission.SETTINGS_MANAGE in principal().permissions
        self.loaded = True

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def choose(self, answer: str) -> None:
        """Keep an answer; anything but one of the three is no answer."""
        if answer not in _GIVEN:
            return
        actor = principal().user_id
        await change_as_tenant(
            lambda session, merchant: merchants.answer_stripe_mails(session, merchant, Answer(answer), actor_id=actor)
        )
        await self._fill()
