"""Who told their bank to stop gets one note at most; who cancelled, or ever asked for no messages, gets none."""

from datetime import timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from models.ghost import GhostState, Strategy
from models.messaging import Channel, LinkPurpose, Message, MessageState
from models.money import Recovery
from sandbox.outbox.store import outbox_of
from sandbox.stripe.store import Json
from services.merchants import service as merchants
from services.messaging import links
from services.messaging.links import Link
from services.recovery import service
from services.recovery.messages import clicks
from services.recovery.messages.destinations import Place
from services.recovery.plans import ahead
from tests.support.mailing import die_while_sending, due, mailing_shop, mails, pulse, send
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return mailing_shop(clock, monkeypatch)


@pytest.fixture(autouse=True)
def _the_sums_agree(shop: Shop) -> Any:
    yield
    assert_sums_agree(shop.merchant)


def stopping(shop: Shop, decline_code: str = "stop_payment_order") -> Json:
    """A customer who told the bank to stop, as the renewal two hours ago made known; the subscription goes on."""
    subscription = shop.subscriber(decline_code=decline_code)
    shop.actions.update_customer(shop.account, subscription["customer"], phone="+12025550143")
    shop.pass_time(days=31, hours=2)
    (ghost,) = shop.ghosts
    assert (ghost.state, ghost.strategy) == (GhostState.STOPPED, Strategy.STOPPED)
    return subscription


def nothing_follows(shop: Shop) -> None:
    assert {(ghost.next_action, ghost.next_action_at) for ghost in shop.ghosts} == {("", None)}
    shop.clock.advance(timedelta(days=2))
    pulse(shop, replan=True)
    assert send(shop)["sent"] is False


class TestTheNote:
    @pytest.mark.parametrize("code", ["stop_payment_order", "revocation_of_authorization"])
    def test_is_one_by_day_and_nothing_follows(self, shop: Shop, code: str):
        stopping(shop, code)
        (ghost,) = shop.ghosts
        assert ghost.next_action == "send_message"
        assert ghost.next_action_at is not None
        assert ghost.next_action_at > shop.clock.now()  # it is night in Honolulu: nothing of it is urgent
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert "this is the only message about it" in mail.body["text"]
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.messages_sent, ghost.last_action) == (GhostState.STOPPED, 1, "the polite note sent")
        for step in (1, 2, 3):
            nothing_follows(shop)
            assert send(shop, step)["sent"] is False
        assert mails(shop) == 1

    def test_its_link_leads_to_paying_if_it_was_an_oversight(self, shop: Shop):
        subscription = stopping(shop)
        due(shop)
        send(shop)
        (message,) = shop.rows(Message)
        link = Link(shop.merchant, message.ghost_id, message.id, LinkPurpose.PAY)
        with db.tenant_session(shop.merchant) as session:
            assert clicks.landing(session, link).standing is clicks.Standing.PAY
            click = clicks.confirm(session, link)
        assert (click.place, click.is_charged) == (Place.HOSTED_INVOICE, True)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        shop.deliver()
        assert [(row.kind, row.mechanism, row.message_id) for row in shop.rows(Recovery)] == [
            ("recovered", "click", message.id)
        ]

    def test_the_dry_run_shows_it(self, shop: Shop):
        stopping(shop)
        with db.tenant_session(shop.merchant) as session:
            dry = ahead.dry_run(session, shop.merchant)
        assert [[message.subject for message in outlook.messages] for outlook in dry.outlooks] == [
            ["About your payment to Northwind Analytics"]
        ]

    def test_a_merchant_may_want_none(self, shop: Shop):
        stopping(shop)
        with db.tenant_session(shop.merchant) as session:
            merchants.change_policy(session, shop.merchant, {"polite_note": False}, actor_id="usr_1")
            service.replan_open(session, shop.merchant)
        nothing_follows(shop)
        assert mails(shop) == 0

    @pytest.mark.parametrize("point", ["message.intended", "message.handed_over"])
    def test_a_death_makes_no_second_one(self, shop: Shop, point: str):
        stopping(shop)
        due(shop)
        die_while_sending(shop, point)
        assert send(shop)["sent"] is True
        assert mails(shop) == 1


class TestNobodyElse:
    @pytest.mark.parametrize(
        ("channel", "address", "reason"),
        [
            (Channel.EMAIL, "ada@example.com", "unsubscribed"),
            (Channel.EMAIL, "ada@example.com", "complained"),
            (Channel.EMAIL, "ada@example.com", "bounced"),
            (Channel.SMS, "+12025550143", "stopped"),  # though texts are off, and the note would be a mail
        ],
    )
    def test_who_asked_for_no_messages(self, shop: Shop, channel: Channel, address: str, reason: str):
        stopping(shop)
        with db.tenant_session(shop.merchant) as session:
            links.suppress(session, shop.merchant, channel, address, reason)
        due(shop)
        assert send(shop)["sent"] is False
        nothing_follows(shop)
        assert mails(shop) == 0

    @pytest.mark.parametrize("told", [True, False])
    def test_who_told_the_bank_and_cancelled(self, shop: Shop, told: bool):
        subscription = stopping(shop)
        due(shop)
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        if told:
            shop.deliver()
            assert shop.ghosts[0].next_action == ""
        assert send(shop)["sent"] is False
        nothing_follows(shop)
        assert mails(shop) == 0

    def test_who_cancelled_without_a_word_to_the_bank(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        shop.deliver()
        nothing_follows(shop)
        assert mails(shop) == 0

    def test_who_was_written_to_about_it_before(self, shop: Shop):
        """The bank said "no funds" first: a message went, and "this is the only one" would be a lie."""
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        assert send(shop)["sent"] is True
        customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
        card = customer["invoice_settings"]["default_payment_method"]
        shop.actions.set_card_behaviour(shop.account, card, decline_code="stop_payment_order")
        shop.pass_time(days=4)
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.STOPPED]
        nothing_follows(shop)
        assert send(shop, 2)["sent"] is False
        assert mails(shop) == 1

    def test_a_message_begun_before_the_bank_was_told_is_not_repeated_as_a_note(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        die_while_sending(shop, "message.intended")
        customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
        card = customer["invoice_settings"]["default_payment_method"]
        shop.actions.set_card_behaviour(shop.account, card, decline_code="stop_payment_order")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card)
        shop.deliver()
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.STOPPED]
        assert send(shop)["sent"] is False
        assert (mails(shop), [message.state for message in shop.rows(Message)]) == (0, [MessageState.UNCERTAIN])
        nothing_follows(shop)

    def test_who_paid_meanwhile(self, shop: Shop):
        subscription = stopping(shop)
        due(shop)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.ghosts[0].state) == (0, GhostState.RECOVERED)
