"""Building a history from nothing: the business opens, PHANTOM is connected a month later, and both live until now."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core import clock
from core.config import settings
from sandbox.history.engine import Engine, HistoryError, product_site
from sandbox.history.loopback import SandboxAdapter, SiteBrowser, sandbox_at
from sandbox.history.merchant import DemoMerchant, join_phantom, listen, start_messages
from sandbox.history.play import Play
from sandbox.history.timetravel import TravelClock
from sandbox.people import People, in_their_own_time
from sandbox.population.business import Business
from sandbox.population.persons import DAY
from sandbox.stripe.api import Api
from sandbox.stripe.world import Settings, World

PRELUDE = 35 * DAY  # the business before PHANTOM: so that the first hunt finds something
MONTH = 30.44 * DAY


@dataclass(frozen=True)
class Wanted:
    """How much history."""

    months: float = 6
    customers: int = 300
    seed: str = "phantom"
    data: Path | None = None
    ends: datetime | None = None  # the machine's present; a test wants the same months whenever it runs


@dataclass
class History:
    """A history under way, and what came of it."""

    wanted: Wanted
    world: World
    travel: TravelClock
    business: Business
    engine: Engine
    play: Play
    browser: SiteBrowser
    merchant: DemoMerchant | None = None
    began: int = 0
    _told: int = field(default=0)

    def run(self, tell: Callable[[float, int], None] = lambda share, moment: None) -> DemoMerchant:
        """Live all of it. `tell` is called about once a week of the history with the share done and the moment."""
        start = clock.timestamp()
        self.began = start + PRELUDE
        self.business.plan(self.play.agenda)
        self.play.progress = lambda moment: self._tell(tell, start, moment)
        self.play.until(lambda: self.began)
        self.travel.move_on(self.began)
        merchant = self._connect()
        self.play.until(self.travel.present)
        self.travel.arrive()
        self.play.turn()
        return merchant

    def _connect(self) -> DemoMerchant:
        listen(self.business, settings().public_url)
        self.merchant, owner = join_phantom(self.business)
        self.engine.merchant_id = self.merchant.merchant_id
        self.play.engine = self.engine
        self.engine.settle()  # the first hunt
        start_messages(self.merchant, owner)
        self.play.turn()
        return self.merchant

    def _tell(self, tell: Callable[[float, int], None], start: int, moment: int) -> None:
        if moment - self._told >= 7 * DAY:
            self._told = moment
            tell((moment - start) / max(1, self.travel.present() - start), moment)


@contextmanager
def history(wanted: Wanted) -> Iterator[History]:
    """Everything a history needs, with the process's clock set back; afterwards the world is closed and kept."""
    told = settings()
    if told.stripe_secret_key is None or told.stripe_client_id is None:
        raise HistoryError("STRIPE_SECRET_KEY and STRIPE_CLIENT_ID are not set")
    travel = TravelClock(home=wanted.ends - datetime.now(UTC) if wanted.ends else timedelta())
    span = int(wanted.months * MONTH) + PRELUDE
    with clock.using(travel), product_site() as site:
        travel.jump(travel.present() - span)
        world = World(
            Settings(
                platform_secret_key=told.stripe_secret_key.get_secret_value(),
                client_id=told.stripe_client_id,
                public_url=told.stripe_api_base,
                seed=wanted.seed,
                data=wanted.data,
                deliver=False,
            ),
            move_clock=travel.move_on,
        )
        try:
            api = Api(world)
            with sandbox_at(told.stripe_api_base, SandboxAdapter(world, api)):
                business = Business.open(world, seed=wanted.seed, customers=wanted.customers, span=span)
                engine = Engine(world, site, travel)
                play = Play(travel, business)
                browser = SiteBrowser(site)
                play.people = People(business, browser, play.agenda, in_their_own_time)
                yield History(wanted, world, travel, business, engine, play, browser)
        finally:
            world.close()


def write_demo_file(path: Path, merchant: DemoMerchant) -> None:
    """Say that the history is complete: the last step, all or nothing, for the owner's eyes only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".demo-")  # mkstemp makes it 0600
    with os.fdopen(handle, "w") as file:
        json.dump(merchant.as_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
