"""Every kind of event, told once more a month after everything it was about: objects have moved on, and they decide."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from core import db
from core.clock import ManualClock
from models.ghost import GhostTarget, ManualTask
from models.merchant import Merchant, MerchantTotals, OpenLeakage
from models.messaging import Message, Suppression
from models.money import DailyMetrics, PaymentAttempt, Recovery
from models.work import ProcessedEvent, ScheduledTask
from services.handshake.handlers import HANDLERS
from tests.services.recovery.charging.test_retrying import charges, claimed, dunning_retry
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

WATCHED: tuple[type[SQLModel], ...] = (
    GhostTarget, Recovery, DailyMetrics, MerchantTotals, OpenLeakage, PaymentAttempt, Merchant,
    Message, Suppression, ManualTask,
)  # fmt: skip


class Story:
    """A merchant's two months in which each kind of event happens, to customers of whom some end and some do not."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.told = shop, list[ProcessedEvent]()

    def hear(self) -> None:
        """Handle what is due, run the payments it leads to, and keep each event for later."""
        while stored := self.shop.take():
            for each in stored:
                self.told.append(each)
                self.shop.handle(each)
            self.work()

    def work(self) -> None:
        for task in self.shop.rows(ScheduledTask):
            if "payment_method_id" in task.payload:
                outcome(lambda task=task: dunning_retry.run(claimed(self.shop, task)))

    def wait(self, **time: float) -> None:
        self.shop.world.clockwork.advance_to(self.shop.world.now() + int(timedelta(**time).total_seconds()))
        self.hear()

    def subscriber(self, name: str, **card: Any) -> Any:
        return self.shop.subscriber(email=f"{name}@example.com", **card)

    def card(self, subscription: Any, *, default: bool = False, **given: Any) -> str:
        """A card that is saved an hour after whatever was before."""
        self.wait(hours=1)
        card = self.shop.actions.create_card(self.shop.account, **given)
        self.shop.actions.attach_payment_method(
            self.shop.account, card["id"], subscription["customer"], default=default
        )
        return str(card["id"])

    def invoice(self, subscription: Any) -> str:
        return next(ghost.invoice_id for ghost in self.shop.ghosts if ghost.subscription_id == subscription["id"])

    def pay(self, subscription: Any) -> str:
        """Paid on the hosted page; the charge."""
        card = self.shop.actions.create_card(self.shop.account, "visa")
        self.shop.actions.pay_invoice(self.shop.account, self.invoice(subscription), card["id"])
        self.hear()
        made = self.shop.world.space(self.shop.account).table("charge").objects.values()
        return next(str(each["id"]) for each in made if each["payment_method"] == card["id"])

    def play(self) -> None:
        shop, actions, account = self.shop, self.shop.actions, self.shop.account
        actions.set_rules(account, retry_days=[])
        dead = {"decline_code": "expired_card"}
        paid, refunded, disputed, void, written_off, gone, deleted, cards, renewed = (
            self.subscriber(name, **dead)
            for name in ("paid", "refunded", "disputed", "void", "off", "gone", "deleted", "cards", "renewed")
        )
        asked = self.subscriber("asked", requires_action=True)
        self.wait(days=31, hours=2)
        self.pay(paid)
        charge = self.pay(refunded)
        actions.refund(account, charge, 1000)
        failing_refund = actions.refund(account, charge, 500)
        dispute = actions.open_dispute(account, self.pay(disputed))
        self.hear()
        actions.fail_refund(account, failing_refund["id"])
        actions.close_dispute(account, dispute["id"], won=False)
        actions.void_invoice(account, self.invoice(void))
        actions.mark_uncollectible(account, self.invoice(written_off))
        actions.cancel_subscription(account, gone["id"], at_period_end=True)
        self.hear()
        actions.keep_subscription(account, gone["id"])
        self.pay(asked)
        shop.api.handle(request_to_delete(shop, deleted["customer"]))
        first = self.card(cards, decline_code="insufficient_funds")
        self.hear()
        self.card(cards, default=True, decline_code="insufficient_funds")
        self.hear()
        actions.detach_payment_method(account, first)
        failing = shop.world.space(account).table("customer").objects[renewed["customer"]]
        method = failing["invoice_settings"]["default_payment_method"]
        actions.automatically_update_card(account, method, exp_year=2036)
        actions.set_card_behaviour(account, method, decline_code="expired_card")
        self.hear()
        self._say_the_rest(cards, gone, method)
        self.hear()

    def _say_the_rest(self, cards: Any, paused: Any, method: str) -> None:
        """What the sandbox has no act for, told of objects as they are."""
        objects = self.shop.world.space(self.shop.account)
        subscription = objects.table("subscription").objects[paused["id"]]
        said = {each.type for each in self.told}
        by_kind = {
            "customer.subscription.": subscription,
            "payment_method.": objects.table("payment_method").objects[method],
            "customer.source.expiring": objects.table("payment_method").objects[method],
            "customer.updated": objects.table("customer").objects[cards["customer"]],
            "invoice.": objects.table("invoice").objects[self.invoice(cards)],
        }
        for kind in sorted(set(HANDLERS) - said - {"account.application.deauthorized"}):
            about = next(obj for start, obj in by_kind.items() if kind.startswith(start))
            self.shop.actions.send_event(self.shop.account, kind, about)


def outcome(act: Any) -> Any:
    from services.tasks.errors import Discard, Retry

    try:
        return act()
    except (Discard, Retry) as reason:
        return reason


def request_to_delete(shop: Shop, customer: str) -> Any:
    from sandbox.stripe.http import Request
    from tests.support.shop import _platform_key

    headers = {"authorization": f"Bearer {_platform_key()}", "stripe-account": shop.account}
    return Request("DELETE", f"/v1/customers/{customer}", "", headers)


def everything(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    seen = {table.__name__: [values(row) for row in shop.rows(table)] for table in WATCHED}
    mails = [{"key": task.key} for task in shop.rows(ScheduledTask) if task.kind == "send_message"]
    return seen | {"mails": sorted(mails, key=str)}


def values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__table__.columns.keys() if name != "updated_at"}  # noqa: SIM118  # no dict


@pytest.fixture
def story(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Story:
    """All of it was heard and settled, and then nothing happened for a month."""
    story = Story(Shop.open(clock, monkeypatch, paused=False))
    story.play()
    disconnected_and_back(story)
    story.shop.clock.advance(timedelta(days=30))
    return story


def disconnected_and_back(story: Story) -> None:
    """The merchant lets go of PHANTOM and connects again."""
    shop = story.shop
    shop.actions.disconnect(shop.account)
    story.told += [each for each in shop.take() if each.type == "account.application.deauthorized"]
    shop.clock.advance(timedelta(hours=1))
    shop.actions.connect(shop.account)
    with db.tenant_session(shop.merchant) as session:
        session.execute(update(Merchant).values(connected_at=shop.clock.now()))


def changed_by(story: Story, late: list[ProcessedEvent]) -> list[str]:
    """What is not as it was once these were handled, and what they led to is done."""
    before, made = everything(story.shop), charges(story.shop)
    for each in late:
        story.shop.handle(each)
    story.work()
    now = everything(story.shop)
    return [name for name in before if before[name] != now[name]] + ["charges"] * (charges(story.shop) != made)


def test_told_a_month_late_nothing_changes(story: Story) -> None:
    """One kind after the other, then everything that ever was, in any order."""
    assert everything(story.shop)["mails"]  # messages were planned, so that one more would be seen
    by_kind = {kind: [each for each in story.told if each.type == kind] for kind in HANDLERS}
    assert {kind for kind, late in by_kind.items() if not late} == set()
    assert {kind: changed_by(story, late) for kind, late in by_kind.items()} == {kind: [] for kind in HANDLERS}
    random.Random(7).shuffle(story.told)  # noqa: S311  # must be seeded, not secure
    assert changed_by(story, story.told) == []
    assert_sums_agree(story.shop.merchant, billed=False)
