"""Onboarding: the first hunt while it runs, and what it found."""

import reflex as rx

from core import clock
from models.work import HuntState
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, change_as_tenant
from services.analytics import service as analytics
from services.hunter import service as hunter
from services.identity.permissions import Permission
from services.tasks import service as tasks


class Welcome(rx.State):
    """The latest hunt of the merchant, live."""

    loaded: bool = False
    running: bool = False
    finished: bool = False
    failed: bool = False
    waiting: bool = False
    error: str = ""
    listed: str = "0"
    found: str = "0"
    updated: str = "0"
    requests: str = "0"
    took: str = ""
    leaking: str = ""
    shadow: str = ""
    currency: str = ""

    async def _fill(self) -> None:
        hunts = await as_tenant(lambda session, merchant: hunter.recent_hunts(session, merchant, 1))
        self.loaded = True
        if not hunts:
            return
        hunt = hunts[0]
        self.running, self.failed = hunt.state == HuntState.RUNNING, hunt.state == HuntState.FAILED
        self.finished = hunt.state == HuntState.DONE
        self.waiting = self.waiting and not self.running
        self.error = hunt.error
        self.listed, self.found = formats.count(hunt.listed), formats.count(hunt.found)
        self.updated, self.requests = formats.count(hunt.updated), formats.count(hunt.requests)
        self.took = formats.seconds(hunt.seconds)
        if self.finished:
            shown = await as_tenant(lambda session, merchant: analytics.dashboard(session, merchant))
            self.currency = shown.currency.upper()
            self.leaking = formats.money(shown.hero.leakage_now, shown.currency)
            self.shadow = formats.money(shown.hero.shadow_leakage, shown.currency)

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def load(self) -> None:
        live.watch(self, principal().merchant_id, Welcome.refresh)
        await self._fill()

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def refresh(self) -> None:
        await self._fill()

    @rx.event
    @allow(Permission.HUNTS_RUN)
    async def start_hunt(self) -> None:
        """Ask for a hunt now. One a minute at most: the key of the second is taken."""
        minute = int(clock.now().timestamp()) // 60
        await change_as_tenant(
            lambda session, merchant: tasks.schedule(
                session,
                kind="hunt",
                merchant_id=merchant,
                key=f"hunt:{merchant}:person:{minute}",
                payload={"trigger": "person"},
                priority=10,
            )
        )
        self.waiting, self.finished, self.failed = True, False, False
