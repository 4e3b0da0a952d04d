"""The funnel narrows in every period, whatever customers do in whatever order: real messages, clicks and payments."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock, from_timestamp
from models.ghost import FunnelStep, GhostKind, GhostState, GhostTarget
from models.messaging import LinkPurpose, Message
from models.money import DailyMetrics
from sandbox.stripe.store import Json
from services.analytics import service
from services.integrations.stripe.client import client_for
from services.messaging.links import Link
from services.recovery.credit import funnel
from services.recovery.messages import clicks, fresh, outreach, settlement
from tests.support import mailing
from tests.support.mailing import mailing_shop
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

Counts = tuple[int, int, int, int]


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = mailing_shop(clock, monkeypatch, protection_mails=True)
    shop.actions.set_rules(shop.account, retry_days=[])
    return shop


@pytest.fixture(autouse=True)
def _the_sums_agree(shop: Shop) -> Any:
    yield
    assert_sums_agree(shop.merchant)
    counts(shop)


@pytest.fixture
def subscription(shop: Shop) -> Json:
    """Its renewal has failed just now."""
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.pass_time(days=31, hours=2)
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.OPEN]
    return subscription


def counts(shop: Shop, days: int = 30) -> Counts:
    """Found, messaged, clicked, recovered; they narrow, and in each of the periods that can be asked for."""
    shown = {}
    with db.tenant_session(shop.merchant) as session:
        for period in service.PERIODS:
            told = service.dashboard(session, shop.merchant, days=period).funnel
            shown[period] = (told.found, told.messaged, told.clicked, told.recovered)
    assert all(list(each) == sorted(each, reverse=True) for each in shown.values()), shown
    return shown[days]


def send(shop: Shop, step: int = 1) -> None:
    assert mailing.send(shop, step)["sent"] is True


def follow(shop: Shop, step: int = 1) -> None:
    with db.tenant_session(shop.merchant) as session:
        message = session.exec(select(Message).where(Message.step == step)).one()
        clicks.confirm(session, Link(shop.merchant, message.ghost_id, message.id, LinkPurpose.PAY))


def pay(shop: Shop, subscription: Json) -> str:
    """Paid on Stripe's page with another card; nobody has told PHANTOM yet. The charge."""
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
    charges = shop.world.space(shop.account).table("charge").objects.values()
    return str([each for each in charges if each["paid"]][-1]["id"])


def later(shop: Shop, **time: float) -> None:
    """Some time passes for everybody, and nothing falls due."""
    shop.clock.advance(timedelta(**time))
    shop.world.clockwork.advance_to(int(shop.clock.now().timestamp()))


class TestOneAfterTheOther:
    def test_each_step_counts_when_it_is_taken(self, shop: Shop, subscription: Json):
        assert counts(shop) == (1, 0, 0, 0)
        send(shop)
        assert counts(shop) == (1, 1, 0, 0)
        later(shop, hours=1)
        follow(shop)
        assert counts(shop) == (1, 1, 1, 0)
        later(shop, minutes=5)
        pay(shop, subscription)
        shop.deliver()
        assert counts(shop) == (1, 1, 1, 1)

    def test_a_click_at_the_second_of_the_payment_came_before_it(self, shop: Shop, subscription: Json):
        """Stripe cuts its times to whole seconds."""
        send(shop)
        shop.clock.advance(timedelta(minutes=5, milliseconds=700))
        follow(shop)
        pay(shop, subscription)
        shop.deliver()
        paid_at = shop.invoice(subscription)["status_transitions"]["paid_at"]
        clicked_at = shop.ghosts[0].clicked_at
        assert clicked_at is not None
        assert timedelta() < clicked_at - from_timestamp(paid_at) < timedelta(seconds=1)
        assert counts(shop) == (1, 1, 1, 1)

    def test_it_belongs_to_the_day_of_finding(self, shop: Shop, subscription: Json):
        send(shop)
        later(shop, days=4)
        follow(shop)
        later(shop, days=5)
        pay(shop, subscription)
        shop.deliver()
        assert (counts(shop, 7), counts(shop, 30)) == ((0, 0, 0, 0), (1, 1, 1, 1))


class TestNoStep:
    def test_paid_before_anybody_wrote(self, shop: Shop, subscription: Json):
        pay(shop, subscription)
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        assert counts(shop) == (1, 0, 0, 0)

    def test_paid_without_a_click(self, shop: Shop, subscription: Json):
        send(shop)
        later(shop, hours=1)
        pay(shop, subscription)
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        assert counts(shop) == (1, 1, 0, 0)

    def test_a_click_after_a_payment_of_which_was_heard_late(self, shop: Shop, subscription: Json):
        send(shop)
        later(shop, hours=1)
        pay(shop, subscription)
        shop.clock.advance(timedelta(minutes=5))
        follow(shop)  # "did it arrive?"
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        assert counts(shop) == (1, 1, 1, 0)

    def test_a_click_on_what_was_said_before_the_failure(self, shop: Shop):
        """Its link still leads to paying: more had clicked than were written to."""
        subscription = shop.subscriber()
        card = shop.actions.create_card(shop.account, exp_month=3, exp_year=2026)  # the clock stands on 2 March
        shop.actions.attach_payment_method(shop.account, card["id"], subscription["customer"], default=True)
        shop.pass_time(days=24, hours=9)
        send(shop, step=0)
        shop.pass_time(days=8)
        assert shop.ghosts[0].kind == GhostKind.FAILED
        follow(shop, step=0)
        assert (shop.ghosts[0].click_count, counts(shop)) == (1, (1, 0, 0, 0))
        pay(shop, subscription)
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        assert counts(shop) == (1, 0, 0, 0)


class TestWhileAMessageIsUnderWay:
    """The provider has it, and so has the customer; PHANTOM does not know yet."""

    @pytest.fixture
    def message_id(self, shop: Shop, subscription: Json) -> str:
        with db.tenant_session(shop.merchant) as session:
            ghost = shop.ghosts[0]
            seen = fresh.look(client_for(session, shop.merchant), fresh.Subject(ghost.invoice_id))
            return outreach.prepare(session, shop.merchant, ghost.id, 1, seen).message_id

    @pytest.mark.parametrize("provider", ["resend", ""])
    def test_its_click_counts_once_the_message_does(
        self, shop: Shop, subscription: Json, message_id: str, provider: str
    ):
        follow(shop)
        assert counts(shop) == (1, 0, 0, 0)
        with db.tenant_session(shop.merchant) as session:
            assert settlement.settle_sent(session, shop.merchant, message_id, provider, "re_1")
        assert counts(shop) == (1, 1, 1, 0)

    def test_all_that_followed_counts_with_it(self, shop: Shop, subscription: Json, message_id: str):
        follow(shop)
        later(shop, minutes=5)
        pay(shop, subscription)
        shop.deliver()
        assert counts(shop) == (1, 0, 0, 0)
        with db.tenant_session(shop.merchant) as session:
            settlement.settle_sent(session, shop.merchant, message_id, "resend", "re_1")
        assert counts(shop) == (1, 1, 1, 1)

    def test_of_one_that_was_refused_nothing_counts(self, shop: Shop, subscription: Json, message_id: str):
        follow(shop)
        with db.tenant_session(shop.merchant) as session:
            settlement.settle_failed(session, shop.merchant, message_id, "The provider refused it.")
        assert counts(shop) == (1, 0, 0, 0)


class TestMoneyThatGoesBack:
    @pytest.fixture
    def charge(self, shop: Shop, subscription: Json) -> str:
        """Clicked and paid; the charge that paid it."""
        send(shop)
        later(shop, hours=1)
        follow(shop)
        later(shop, minutes=5)
        charge = pay(shop, subscription)
        shop.deliver()
        assert counts(shop) == (1, 1, 1, 1)
        return charge

    def test_a_refund_takes_the_last_step_back_and_its_failure_gives_it(self, shop: Shop, charge: str):
        made = shop.actions.refund(shop.account, charge)
        shop.deliver()
        assert counts(shop) == (1, 1, 1, 0)
        shop.pass_time(days=3)
        shop.actions.fail_refund(shop.account, made["id"])
        for each in shop.take() * 2:
            shop.handle(each)
        assert counts(shop) == (1, 1, 1, 1)

    def test_a_refund_in_part_leaves_it(self, shop: Shop, charge: str):
        shop.actions.refund(shop.account, charge, 1000)
        shop.deliver()
        assert counts(shop) == (1, 1, 1, 1)
        shop.actions.refund(shop.account, charge, 3900)
        shop.deliver()
        assert counts(shop) == (1, 1, 1, 0)

    def test_a_payment_undone_takes_it_and_the_next_one_gives_it(self, shop: Shop, subscription: Json, charge: str):
        invoice = shop.invoice(subscription)["id"]
        later(shop, days=3)
        told(shop, invoice, status="open", amount_paid=0, amount_remaining=4900)
        assert counts(shop) == (1, 1, 1, 0)
        later(shop, days=1)
        paid_at = {"paid_at": int(shop.clock.now().timestamp())}
        told(shop, invoice, status="paid", amount_paid=4900, amount_remaining=0, status_transitions=paid_at)
        assert counts(shop) == (1, 1, 1, 1)

    def test_of_a_payment_without_a_click_nothing_comes_forth(self, shop: Shop, subscription: Json):
        send(shop)
        charge = pay(shop, subscription)
        shop.clock.advance(timedelta(minutes=5))
        follow(shop)
        shop.deliver()
        made = shop.actions.refund(shop.account, charge)
        shop.deliver()
        shop.actions.fail_refund(shop.account, made["id"])
        shop.deliver()
        assert (shop.ghosts[0].state, counts(shop)) == (GhostState.RECOVERED, (1, 1, 1, 0))


def told(shop: Shop, invoice: str, **fields: Any) -> None:
    """Stripe changes an invoice and says so."""
    shop.actions.edit_object(shop.account, "invoice", invoice, fields)
    kind = "invoice.paid" if fields["status"] == "paid" else "invoice.updated"
    shop.actions.send_event(shop.account, kind, shop.world.space(shop.account).table("invoice").objects[invoice])
    shop.deliver()


class TestSums:
    def test_they_narrow_wherever_ghosts_go_from_wherever_they_stood(self):
        draw = random.Random(7)  # noqa: S311  # the same walk in every run
        cohort, sums = [FunnelStep.FOUND] * 9, dict.fromkeys(funnel.SUMS.values(), 0)
        for _ in range(500):
            place, step = draw.randrange(len(cohort)), draw.choice(list(FunnelStep))
            for column, gained in funnel.gained(cohort[place], step).items():
                sums[column] += gained
            cohort[place] = step
            told = [len(cohort), *sums.values()]
            assert told == sorted(told, reverse=True)
            assert sum(sums.values()) == sum(cohort)

    def test_each_has_its_column(self):
        assert set(funnel.SUMS.values()) <= DailyMetrics.model_fields.keys()
        assert list(funnel.SUMS) == sorted(FunnelStep)[1:]

    def test_what_has_not_failed_is_not_found(self):
        ghost = GhostTarget.fresh(kind=GhostKind.IMPENDING, messages_sent=1)
        assert funnel.step_of(ghost) is FunnelStep.FOUND
