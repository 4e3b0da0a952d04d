"""A merchant of PHANTOM's and its account at the sandbox, in one process, on one standing clock.

The product talks through the real SDK to the sandbox's API; webhooks are taken from the sandbox, verified like
intake does, and handed to the real handlers.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import inspect as sa_inspect
from sqlmodel import select

from core import clock, db
from core.clock import ManualClock, from_timestamp
from core.config import settings
from models.ghost import GhostTarget
from models.work import ProcessedEvent
from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api
from sandbox.stripe.inprocess import InProcessClient
from sandbox.stripe.store import Json
from sandbox.stripe.world import Settings, World
from services.handshake import handlers, service
from services.integrations.stripe import client as stripe_client
from tests.support.factories import make_merchant

SECRET = "whsec_shop"
DAY = 86_400


@dataclass
class Shop:
    """One connected merchant and its customers."""

    world: World
    api: Api
    actions: Actions
    account: str
    merchant: str
    clock: ManualClock
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def open(
        cls, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, shape: str = "basil", **policy: Any
    ) -> "Shop":
        world = World(Settings(platform_secret_key=_platform_key(), deliver=False))
        world.move_clock = lambda to: setattr(clock, "current", from_timestamp(to))
        actions = Actions(world)
        account = actions.create_account(name="Northwind", email="owner@example.com", shape=shape)["id"]
        actions.connect(account)
        actions.create_webhook_endpoint(
            world.settings.platform_account, "https://phantom.example/hook", connect=True, secret=SECRET
        )
        api = Api(world)
        monkeypatch.setattr(stripe_client, "shared_client", lambda _patience: InProcessClient(api))
        return cls(world, api, actions, account, make_merchant(stripe_user_id=account, policy=policy), clock)

    def subscriber(
        self, *, amount: int = 4900, currency: str = "usd", email: str = "ada@example.com", **card: Any
    ) -> Json:
        """A customer with a paid monthly subscription, whose card from now on behaves as given; the subscription."""
        customer = self.actions.create_customer(self.account, name="Ada Example", email=email)
        good = self.actions.create_card(self.account, "visa")
        self.actions.attach_payment_method(self.account, good["id"], customer["id"], default=True)
        price = self.actions.create_price(self.account, unit_amount=amount, currency=currency)
        subscription = self.actions.create_subscription(self.account, customer["id"], price["id"])
        if card:
            bad = self.actions.create_card(self.account, **card)
            self.actions.attach_payment_method(self.account, bad["id"], customer["id"], default=True)
        self.deliver()
        return subscription

    def pass_time(self, *, days: float = 0, hours: float = 0) -> None:
        """Let time pass at the sandbox with all that falls due, then deliver."""
        self.world.clockwork.advance_to(self.world.now() + int(timedelta(days=days, hours=hours).total_seconds()))
        self.deliver()

    def take(self) -> list[ProcessedEvent]:
        """The webhooks that are due, as intake would have stored them."""
        stored = []
        for request in self.world.deliveries.take_deliveries():
            envelope = service.read_envelope(request.body)
            stored.append(
                ProcessedEvent(
                    id=envelope.id,
                    type=envelope.type,
                    account=envelope.account or self.account,
                    merchant_id=self.merchant,
                    payload=request.body,
                    received_at=clock.now(),
                )
            )
        return stored

    def deliver(self) -> None:
        """Hand over every webhook until none is due."""
        while stored := self.take():
            for each in stored:
                self.handle(each)

    def handle(self, stored: ProcessedEvent) -> str:
        outcome = handlers.handle(service.read_event(stored))
        self.outcomes.append((stored.type, outcome))
        return outcome

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            key = sa_inspect(table).primary_key  # PostgreSQL promises no order, and an updated row moves
            return list(session.exec(select(table).order_by(*key)).all())

    @property
    def ghosts(self) -> list[GhostTarget]:
        return self.rows(GhostTarget)

    def invoice(self, subscription: Json) -> Json:
        """The latest invoice of a subscription at the sandbox."""
        space = self.world.space(self.account)
        return space.table("invoice").objects[space.table("subscription").objects[subscription["id"]]["latest_invoice"]]


def _platform_key() -> str:
    key = settings().stripe_secret_key
    assert key is not None
    return key.get_secret_value()
