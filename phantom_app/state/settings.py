"""The connected account, in words."""

import reflex as rx

from models.merchant import MerchantState
from phantom_app import live, runtime
from phantom_app.guard import allow
from phantom_app.state import formats
from phantom_app.state.access import as_tenant
from services.identity.permissions import Permission
from services.merchants import service as merchants


class Settings(rx.State):
    """What Settings says about the account."""

    connected: bool = False
    account: str = formats.NONE
    mode: str = formats.NONE
    since: str = formats.NONE
    currency: str = formats.NONE

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        live.forget(runtime.tab_token(self))
        merchant = await as_tenant(merchants.get_merchant)
        self.connected = bool(merchant.stripe_user_id) and merchant.state == MerchantState.ACTIVE
        self.account = merchant.stripe_user_id or formats.NONE
        self.mode = ("Live" if merchant.livemode else "Test") if merchant.stripe_user_id else formats.NONE
        self.since = formats.moment(merchant.connected_at)
        self.currency = merchant.default_currency.upper()
