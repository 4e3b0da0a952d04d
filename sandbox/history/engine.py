"""The product as the history drives it: webhooks through its intake, its tasks, its Sentinel's schedules."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from fastapi import FastAPI
from sqlalchemy import func
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.routing import Mount

from core import clock, db
from jobs import runner, sentinel
from models.ghost import OPEN_STATES, GhostTarget
from models.work import ScheduledTask, TaskState
from phantom_app.api import hot, links
from sandbox.history.loopback import Site
from sandbox.history.timetravel import TravelClock
from sandbox.stripe.deliveries import SignedRequest
from sandbox.stripe.world import World
from services.tasks import upkeep
from services.tasks.schedules import SCHEDULES

# What PHANTOM handles, without what would only say a thing again (`invoice.updated`, `invoice.payment_succeeded`,
# `invoice_payment.paid`; `customer.subscription.updated` and `customer.updated`, whose every renewal and delinquency
# comes with an invoice event) or has no handler yet: each event is a task, and a start must not take minutes.
EVENTS = (
    "account.application.deauthorized",
    "charge.dispute.closed",
    "charge.refunded",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.voided",
    "payment_method.attached",
)
HOUR, DAY = 3600, 86_400
# How far back hunts keep their twelve hours. Before, one in three days catches up for the others, as after an outage.
THOROUGH = 30 * DAY


class HistoryError(Exception):
    """Something in the history went as it never should; the message says what."""


@dataclass
class Engine:
    """One merchant's PHANTOM. `merchant_id` is known once it is connected."""

    world: World
    site: Site
    travel: TravelClock
    merchant_id: str = ""
    tasks_run: int = 0
    webhooks: int = 0
    _hunt_at: int = 0
    _pulse_at: float = math.inf

    def settle(self) -> None:
        """Bring in what Stripe has to say and work until nobody has anything left to do at this moment."""
        while True:
            self._deliver()
            self.tasks_run += runner.run_due(limit=10_000)  # follow-ups included
            if not self.world.deliveries.pending()["due"]:
                return

    def _deliver(self) -> None:
        taken = self.world.deliveries.take_deliveries()
        if taken:
            self.site.wait(self._post(taken))
        self.webhooks += len(taken)

    async def _post(self, taken: list[SignedRequest]) -> None:
        calls = (self.site.call("POST", urlsplit(one.url).path, one.headers, one.body) for one in taken)
        for one, answer in zip(taken, await asyncio.gather(*calls), strict=True):
            if answer.status != 200:
                raise HistoryError(f"intake answered {answer.status} to {one.event_type}: {answer.body.decode()}")

    def tick(self) -> None:
        """What the Sentinel would schedule now; its whole round (sweeping, pruning) where a hunt is due."""
        now = clock.now()
        if now.timestamp() >= self._hunt_at:
            sentinel.tick(now)
            self._hunt_at = _boundary(now, 12 * HOUR if self.travel.present() - now.timestamp() < THOROUGH else 3 * DAY)
            return
        if now.timestamp() >= self._pulse_at:
            with db.system_session() as session:
                upkeep.schedule_present(session, [one for one in SCHEDULES if one.kind != "hunt"], now)

    def next_at(self) -> int:
        """When the engine has something to do next, a hunt at the latest; hours with nothing due are passed over."""
        now = clock.now()
        wanted = [self._hunt_at]
        with db.system_session() as session:
            pending = session.exec(
                select(func.min(ScheduledTask.run_at)).where(ScheduledTask.state == TaskState.PENDING)
            ).one()
        if pending is not None:
            wanted.append(math.ceil(pending.timestamp()))
        if self.merchant_id:
            with db.tenant_session(self.merchant_id) as session:
                action = session.exec(
                    select(func.min(GhostTarget.next_action_at)).where(
                        GhostTarget.merchant_id == self.merchant_id, col(GhostTarget.state).in_(OPEN_STATES)
                    )
                ).one()
            self._pulse_at = math.inf if action is None else _boundary(max(action, now), HOUR)
            if action is not None:
                wanted.append(int(self._pulse_at))
        return min(wanted)


def _boundary(moment: datetime, every: int) -> int:
    """The first slot boundary after `moment`: what is due within a slot is done when the next one begins."""
    return (int(moment.timestamp()) // every + 1) * every


@contextlib.contextmanager
def product_site() -> Iterator[Site]:
    """The routes the outside world needs: webhook intake, and the links in messages."""
    pages = FastAPI(openapi_url=None)
    pages.include_router(links.router)
    site = Site(Starlette(routes=[*hot.routes(), Mount("/", pages)]), asyncio.new_event_loop())
    life = contextlib.AsyncExitStack()
    try:
        site.wait(life.enter_async_context(hot.lifespan()))
        # The loop stands still between requests: let the intake's connections come up before the first of them.
        site.wait(asyncio.sleep(0.2))
        try:
            yield site
        finally:
            site.wait(life.aclose())
            site.wait(site.loop.shutdown_default_executor())
    finally:
        site.loop.close()
