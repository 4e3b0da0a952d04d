"""A world of its own for each test, on a clock that stands still, reached by the real SDK without sockets."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from core import clock
from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api
from sandbox.stripe.inprocess import InProcessClient
from sandbox.stripe.store import Json, Space
from sandbox.stripe.world import Settings, World

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = 86_400


@dataclass
class Play:
    """One merchant on one world, and the clients that look at it."""

    world: World
    api: Api
    actions: Actions
    account: str

    def client(self, key: str | None = None, **given: Any) -> stripe.StripeClient:
        """A real SDK client; the merchant's own test key by default."""
        default = f"sk_test_{self.account.removeprefix('acct_')}"
        return stripe.StripeClient(key or default, http_client=InProcessClient(self.api), **given)

    @property
    def space(self) -> Space:
        return self.world.space(self.account)

    def pass_time(self, *, days: float = 0, seconds: int = 0) -> int:
        """Let time pass with everything that falls due."""
        return self.world.clockwork.advance_to(self.world.now() + int(days * DAY) + seconds)

    def events(self, *names: str) -> list[str]:
        """Types of the events so far, oldest first; only the named ones when names are given."""
        types = [self.space.table("event").objects[key[2]]["type"] for key in self.space.table("event").order]
        return [name for name in types if not names or name in names]

    def customer(self, token: str = "visa", **card: Any) -> Json:  # noqa: S107 - a test card
        """A customer with a default card."""
        customer = self.actions.create_customer(self.account, name="Ada", email="ada@example.com")
        made = self.actions.create_card(self.account, token, **card)
        self.actions.attach_payment_method(self.account, made["id"], customer["id"], default=True)
        return customer

    def subscriber(self, token: str = "visa", **card: Any) -> tuple[Json, Json]:  # noqa: S107 - a test card
        """A customer with an active monthly subscription of 49.00; the card then behaves as given."""
        customer = self.customer()
        price = self.actions.create_price(self.account, unit_amount=4900, currency="usd")
        subscription = self.actions.create_subscription(self.account, customer["id"], price["id"])
        if token != "visa" or card:
            worse = self.actions.create_card(self.account, token, **card)
            self.actions.attach_payment_method(self.account, worse["id"], customer["id"], default=True)
        return customer, subscription

    def failed_invoice(self, **card: Any) -> tuple[Json, Json, Json]:
        """A subscriber whose first renewal has just failed; customer, subscription, invoice."""
        customer, subscription = self.subscriber(**(card or {"decline_code": "insufficient_funds"}))
        self.pass_time(days=31, seconds=3700)
        return customer, subscription, self.space.table("invoice").objects[subscription["latest_invoice"]]


@pytest.fixture
def manual_clock() -> Iterator[clock.ManualClock]:
    with clock.using(clock.ManualClock(START)) as installed:
        assert isinstance(installed, clock.ManualClock)
        yield installed


@pytest.fixture
def play(manual_clock: clock.ManualClock) -> Iterator[Play]:
    def move(moment: int) -> None:
        manual_clock.current = clock.from_timestamp(moment)

    world = World(Settings(deliver=False), move_clock=move)
    actions = Actions(world)
    account = actions.create_account(name="Acme", email="owner@acme.test")["id"]
    yield Play(world, Api(world), actions, account)
    world.close()
