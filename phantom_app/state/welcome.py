"""Onboarding: the first hunt while it runs, and what it found."""

import reflex as rx

from models.merchant import MerchantState
from models.work import HuntState, TaskState
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, change_as_tenant
from services.analytics import service as analytics
from services.analytics.schemas import Dashboard as Figures
from services.hunter import service as hunter
from services.hunter.asking import ask_for_hunt, is_under_way
from services.hunter.schemas import HuntProgress
from services.identity.permissions import Permission
from services.merchants import service as merchants
from services.tasks import upkeep
from services.tasks.schemas import QueueState


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
    connected: bool = False

    async def _fill(self) -> None:
        merchant = await as_tenant(merchants.get_merchant)
        self.connected = bool(merchant.stripe_user_id) and merchant.state == MerchantState.ACTIVE
        hunts = await as_tenant(lambda session, merchant_id: hunter.recent_hunts(session, merchant_id, 10))
        queue = await as_tenant(lambda session, merchant_id: upkeep.queue_state(session, merchant_id, recent=1))
        # the page tells of the hunt somebody asked for; one of the schedule would hide what that found
        latest = next((hunt for hunt in hunts if hunt.trigger != "schedule"), hunts[0] if hunts else None)
        state = latest.state if latest else ""
        self.running = latest is not None and await as_tenant(
            lambda session, merchant_id: is_under_way(session, merchant_id, latest)
        )
        # one that was asked for stands in the queue until a worker takes it; the one before it is not it
        self.waiting = not self.running and is_queued(queue)
        self.finished = state == HuntState.DONE and not self.waiting
        # one that says it runs although nobody works on it was left behind: it can be started again
        left_behind = state == HuntState.RUNNING and not self.running
        self.failed = (state == HuntState.FAILED or left_behind) and not self.waiting
        self._count(None if self.waiting else latest)
        if self.finished:
            self._sum(await as_tenant(analytics.dashboard))
        self.loaded = True

    def _count(self, hunt: HuntProgress | None) -> None:
        self.error = hunt.error if hunt else ""
        self.listed, self.found = formats.count(hunt.listed if hunt else 0), formats.count(hunt.found if hunt else 0)
        self.updated = formats.count(hunt.updated if hunt else 0)
        self.requests = formats.count(hunt.requests if hunt else 0)
        self.took = formats.seconds(hunt.seconds) if hunt else ""

    def _sum(self, shown: Figures) -> None:
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
        """Ask for a hunt now; while one that was asked for waits or runs, that is it."""
        await change_as_tenant(ask_for_hunt)
        await self._fill()


def is_queued(queue: QueueState) -> bool:
    """Whether a hunt waits for a worker, or was just taken by one."""
    under_way = (TaskState.PENDING, TaskState.RUNNING)
    return any(entry.kind == "hunt" and entry.state in under_way and entry.count for entry in queue.counts)
