"""Mails before a charge that may fail: off by default, one, after a fresh look, and honest about whose merit it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.ghost import GhostEvent, GhostState, ManualTask
from models.messaging import Click, LinkPurpose, Message, MessageState
from models.money import Recovery
from models.work import ScheduledTask
from sandbox.outbox.store import outbox_of
from sandbox.stripe.cards import APPROVED
from sandbox.stripe.store import Json
from services.handshake import renewals
from services.hunter.schemas import HuntRequest
from services.integrations.stripe.client import client_for
from services.merchants import service as merchants
from services.messaging.links import Link
from services.messaging.once import ABOVE_THE_LINE
from services.recovery import service
from services.recovery.messages import clicks, optout, settlement
from services.recovery.messages.destinations import Place
from services.recovery.plans import ahead
from tests.support import mailing
from tests.support.mailing import due, mailing_shop, mails, pulse
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

ENDS_BEFORE = {"exp_month": 3, "exp_year": 2026}  # the clock stands on 2 March, and a renewal comes on 2 April
A_WEEK_BEFORE = datetime(2026, 3, 26, 18, 0, tzinfo=UTC)  # when it is day from New York to Honolulu


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shop:
    policy = getattr(request, "param", {"protection_mails": True})
    return mailing_shop(clock, monkeypatch, **policy)


@pytest.fixture(autouse=True)
def _the_sums_agree(shop: Shop) -> Any:
    yield
    assert_sums_agree(shop.merchant)


def at_risk(shop: Shop, **card: Any) -> Json:
    """A paid subscriber whose card ends before the next charge, of which Stripe has told."""
    subscription = shop.subscriber()
    new = shop.actions.create_card(shop.account, **(card or ENDS_BEFORE))
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"], default=True)
    shop.pass_time(days=24, hours=1)  # Stripe announces an invoice seven days ahead: the 26th, 10:00
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.IMPENDING]
    return subscription


def send(shop: Shop, step: int = 0) -> dict[str, Any]:
    return mailing.send(shop, step)


def die_while_sending(shop: Shop, point: str) -> None:
    mailing.die_while_sending(shop, point, step=0)


def sent(shop: Shop) -> Json:
    """A charge at risk whose customer was written to; the subscription."""
    subscription = at_risk(shop)
    due(shop)
    assert send(shop)["sent"] is True
    return subscription


def give_card(shop: Shop, subscription: Json, **card: Any) -> None:
    new = shop.actions.create_card(shop.account, "visa", **card)
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"], default=True)


def default_card(shop: Shop, subscription: Json) -> str:
    customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
    return str(customer["invoice_settings"]["default_payment_method"])


def change_policy(shop: Shop, **changes: Any) -> None:
    with db.tenant_session(shop.merchant) as session:
        merchants.change_policy(session, shop.merchant, changes, actor_id="usr_1")
        service.replan_open(session, shop.merchant)


def link(shop: Shop, purpose: LinkPurpose = LinkPurpose.PAY) -> Link:
    (message,) = shop.rows(Message)
    return Link(shop.merchant, message.ghost_id, message.id, purpose)


class TestOff:
    """Banks and networks renew most cards by themselves."""

    @pytest.mark.parametrize("shop", [{}], indirect=True)
    def test_by_default_nothing_is_planned_and_nothing_goes(self, shop: Shop):
        at_risk(shop)
        (ghost,) = shop.ghosts
        assert (ghost.next_action, ghost.next_action_reason) == ("", "Nothing has failed yet.")
        shop.clock.current = A_WEEK_BEFORE
        pulse(shop, replan=True)
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.rows(Message), shop.rows(ScheduledTask)) == (0, [], [])

    def test_switching_it_off_takes_back_what_was_planned(self, shop: Shop):
        at_risk(shop)
        assert shop.ghosts[0].next_action == "send_message"
        change_policy(shop, protection_mails=False)
        assert (shop.ghosts[0].next_action, shop.ghosts[0].next_action_at) == ("", None)
        shop.clock.current = A_WEEK_BEFORE
        assert send(shop)["sent"] is False
        assert mails(shop) == 0

    def test_switching_it_on_plans_what_is_at_risk(self, shop: Shop):
        change_policy(shop, protection_mails=False)
        at_risk(shop)
        assert shop.ghosts[0].next_action == ""
        change_policy(shop, protection_mails=True)
        assert (shop.ghosts[0].next_action, shop.ghosts[0].next_action_at) == ("send_message", A_WEEK_BEFORE)


class TestSending:
    def test_one_mail_a_week_before_with_a_way_to_the_portal(self, shop: Shop):
        at_risk(shop)
        (ghost,) = shop.ghosts
        assert (ghost.next_action, ghost.next_action_at) == ("send_message", A_WEEK_BEFORE)
        assert ghost.next_action_reason.startswith("A word ")
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert mail.to == ["ada@example.com"]
        assert mail.subject == "Your card for Northwind Analytics ends before the next payment"
        assert "$49.00, which is due on April 2, 2026" in mail.body["text"]
        (message,) = shop.rows(Message)
        assert (message.step, message.template, message.state) == (0, "card_expires_soon", MessageState.SENT)
        with db.tenant_session(shop.merchant) as session:
            click = clicks.confirm(session, link(shop))
        assert (click.place, click.is_charged) == (Place.PORTAL, False)

    def test_a_pulse_gives_it_its_task_and_the_task_is_made_once(self, shop: Shop):
        at_risk(shop)
        shop.clock.current = A_WEEK_BEFORE - timedelta(minutes=30)
        assert pulse(shop)["messages"] == 1
        assert pulse(shop)["messages"] == 0
        (task,) = [task for task in shop.rows(ScheduledTask) if task.kind == "send_message"]
        assert (task.payload["step"], task.run_at) == (0, A_WEEK_BEFORE)

    def test_it_is_the_only_one(self, shop: Shop):
        sent(shop)
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action, ghost.next_action_at) == (GhostState.IMPENDING, "", None)
        assert ghost.next_action_reason == "The customer was told; PHANTOM waits for the charge."
        for step in (0, 1, 2):
            shop.clock.advance(timedelta(days=1))
            pulse(shop, replan=True)
            assert send(shop, step)["sent"] is False
        assert mails(shop) == 1

    def test_the_merchants_alert_line_has_words_of_its_own(self, shop: Shop):
        change_policy(shop, alert_lines={"usd": 4800})
        at_risk(shop, exp_month=12, exp_year=2030)
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert mail.subject == "Your next payment to Northwind Analytics"

    def test_no_card_at_all_has_words_of_its_own_and_the_card_that_is_given_is_the_mails(self, shop: Shop):
        subscription = shop.subscriber()
        shop.actions.detach_payment_method(shop.account, default_card(shop, subscription))
        shop.pass_time(days=24, hours=1)
        assert [(ghost.state, ghost.risk) for ghost in shop.ghosts] == [(GhostState.IMPENDING, "no_card")]
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert mail.subject == "A card is needed for your next payment to Northwind Analytics"
        assert "$49.00 for your subscription is due on April 2, 2026, and there is no card on file" in mail.body["text"]
        assert "a payment for your subscription is coming up" in mail.body["text"]
        with db.tenant_session(shop.merchant) as session:
            assert clicks.confirm(session, link(shop)).place is Place.PORTAL
        shop.clock.advance(timedelta(hours=1))
        give_card(shop, subscription)
        shop.deliver()
        assert [(row.kind, row.mechanism) for row in shop.rows(Recovery)] == [("protected", "click")]

    def test_above_the_high_value_line_no_mail_goes_and_nobody_is_said_to_decide(self, shop: Shop):
        """Nobody is asked before it fails: no task waits, and no screen says that somebody has it."""
        change_policy(shop, high_value_lines={"usd": 4899})
        at_risk(shop)
        assert shop.ghosts[0].next_action == ""
        assert shop.ghosts[0].next_action_reason == ABOVE_THE_LINE
        assert shop.rows(ManualTask) == []
        with db.tenant_session(shop.merchant) as session:
            (outlook,) = ahead.dry_run(session, shop.merchant).outlooks
        assert (outlook.standing, outlook.messages, outlook.ending) == (ahead.Standing.FREE, (), ABOVE_THE_LINE)
        shop.clock.current = A_WEEK_BEFORE
        assert send(shop)["sent"] is False

    def test_who_asked_for_no_messages_gets_none(self, shop: Shop):
        sent(shop)
        with db.tenant_session(shop.merchant) as session:
            assert optout.unsubscribe(session, link(shop, LinkPurpose.UNSUBSCRIBE))
        other = shop.subscriber()  # the same address, another customer
        give_card(shop, other, **ENDS_BEFORE)
        shop.pass_time(days=1)
        assert {ghost.next_action for ghost in shop.ghosts} == {""}

    def test_an_unsubscribe_is_seen_by_what_is_planned(self, shop: Shop):
        """From the message about one subscription, another one's is called off at once."""
        subscription = sent(shop)
        price = shop.actions.create_price(shop.account, unit_amount=900, currency="usd")
        shop.actions.create_subscription(shop.account, subscription["customer"], price["id"])
        shop.pass_time(days=27)
        planned = [ghost for ghost in shop.ghosts if ghost.next_action == "send_message"]
        assert planned
        with db.tenant_session(shop.merchant) as session:
            optout.unsubscribe(session, link(shop, LinkPurpose.UNSUBSCRIBE))
        assert [each.next_action for each in shop.ghosts if each.state == GhostState.IMPENDING] == [""]


class TestAFreshLook:
    """Stripe is asked right before; no webhook has been delivered of any of this."""

    @pytest.fixture
    def ready(self, shop: Shop) -> Json:
        subscription = at_risk(shop)
        due(shop)
        return subscription

    def nothing_went(self, shop: Shop, state: GhostState) -> None:
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.rows(Message)) == (0, [])
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action) == (state, "")

    def test_what_was_announced_decides_and_is_what_the_mail_says(self, shop: Shop):
        """The subscription alone would cost less than the alert line."""
        change_policy(shop, alert_lines={"usd": 5000})
        subscription = shop.subscriber()
        give_card(shop, subscription, exp_month=12, exp_year=2030)
        shop.pass_time(days=23)
        parent = {"subscription_details": {"subscription": subscription["id"]}}
        preview = {"id": "upcoming_in_1", "object": "invoice", "amount_due": 5831, "currency": "usd", "parent": parent}
        shop.actions.send_event(shop.account, "invoice.upcoming", preview)
        shop.deliver()
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert "The next payment for your subscription is $58.31;" in mail.body["text"]

    def test_an_amount_that_is_not_known_to_the_cent_is_said_so(self, shop: Shop):
        subscription = shop.subscriber()
        give_card(shop, subscription, **ENDS_BEFORE)
        taxed = {"automatic_tax": {"enabled": True}}
        shop.actions.edit_object(shop.account, "subscription", subscription["id"], taxed)
        shop.pass_time(days=20)
        hunt(shop.merchant, HuntRequest())
        due(shop)
        assert send(shop)["sent"] is True
        (mail,) = outbox_of(shop.world).messages()
        assert "the next payment of about $49.00" in mail.body["text"]

    def test_another_card_means_no_message(self, shop: Shop, ready: Json):
        give_card(shop, ready)
        self.nothing_went(shop, GhostState.PROTECTED)

    def test_a_card_the_network_renewed_means_no_message(self, shop: Shop, ready: Json):
        card = default_card(shop, ready)
        shop.actions.automatically_update_card(shop.account, card, exp_month=3, exp_year=2030)
        self.nothing_went(shop, GhostState.PROTECTED)

    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_a_cancellation_means_no_message(self, shop: Shop, ready: Json, at_period_end: bool):
        shop.actions.cancel_subscription(shop.account, ready["id"], at_period_end=at_period_end)
        self.nothing_went(shop, GhostState.LOST)

    def test_a_charge_that_was_moved_out_of_sight_means_no_message_now(self, shop: Shop, ready: Json):
        """Nothing is over, and what the mail would say of the day holds no longer."""
        found = shop.world.space(shop.account).table("subscription").objects[ready["id"]]
        for holder in (found, *found["items"]["data"]):
            if "current_period_end" in holder:
                holder["current_period_end"] += 45 * 86_400
        assert send(shop)["sent"] is False
        assert mails(shop) == 0
        (ghost,) = shop.ghosts
        assert ghost.next_action_reason.startswith("Held: the next charge is more than 30 days away.")

    def test_a_charge_that_failed_meanwhile_is_another_message(self, shop: Shop, ready: Json):
        """The task of the protection mail comes late: what it says holds no longer."""
        card = default_card(shop, ready)
        shop.actions.set_card_behaviour(shop.account, card, decline_code="expired_card")
        shop.pass_time(days=8)
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.OPEN]
        assert send(shop, 0)["sent"] is False
        assert mails(shop) == 0
        assert send(shop, 1)["sent"] is True

    def test_without_stripes_answer_it_waits(self, shop: Shop, ready: Json):
        shop.world.space(shop.account).table("subscription").objects.pop(ready["id"])
        assert send(shop)["sent"] is False
        (ghost,) = shop.ghosts
        assert ghost.next_action == "send_message"
        assert ghost.next_action_reason.startswith("Held: ")
        assert mails(shop) == 0


class TestNeverTwice:
    @pytest.mark.parametrize("point", ["message.intended", "message.handed_over"])
    def test_a_death_is_repeated_with_the_same_key(self, shop: Shop, point: str):
        at_risk(shop)
        due(shop)
        die_while_sending(shop, point)
        assert shop.rows(Message)[0].state == MessageState.SENDING
        assert send(shop)["sent"] is True
        assert mails(shop) == 1
        assert [message.state for message in shop.rows(Message)] == [MessageState.SENT]

    @pytest.mark.parametrize("point", ["message.intended", "message.handed_over"])
    def test_made_safe_between_death_and_repeat_nothing_more_goes(self, shop: Shop, point: str):
        subscription = at_risk(shop)
        due(shop)
        die_while_sending(shop, point)
        before = mails(shop)
        give_card(shop, subscription)
        assert send(shop)["sent"] is False
        assert mails(shop) == before
        assert [message.state for message in shop.rows(Message)] == [MessageState.UNCERTAIN]

    def test_what_a_death_left_open_takes_nothing_from_the_failed_charge(self, shop: Shop):
        subscription = at_risk(shop)
        due(shop)
        die_while_sending(shop, "message.intended")
        card = default_card(shop, subscription)
        shop.actions.set_card_behaviour(shop.account, card, decline_code="expired_card")
        shop.pass_time(days=8)
        assert send(shop, 0)["sent"] is False
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.messages_sent, ghost.contacted_at) == (GhostState.OPEN, 0, None)
        assert ghost.next_action == "send_message"

    def test_what_the_provider_refuses_is_not_tried_again(self, shop: Shop):
        at_risk(shop)
        due(shop)
        die_while_sending(shop, "message.intended")
        (message,) = shop.rows(Message)
        with db.tenant_session(shop.merchant) as session:
            settlement.settle_failed(session, shop.merchant, message.id, "no such domain")
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action) == (GhostState.IMPENDING, "")
        assert "The provider refused the message" in ghost.next_action_reason
        shop.clock.advance(timedelta(days=1))
        assert send(shop)["sent"] is False
        assert mails(shop) == 0


class TestWhoseMerit:
    def ledger(self, shop: Shop) -> list[tuple[str, int, str, str | None]]:
        return [(row.kind, row.amount_cents, row.mechanism, row.message_id) for row in shop.rows(Recovery)]

    def test_another_card_after_the_message_is_the_messages(self, shop: Shop):
        subscription = sent(shop)
        shop.clock.advance(timedelta(days=1))
        give_card(shop, subscription)
        shop.deliver()
        assert self.ledger(shop) == [("protected", 4900, "message", shop.rows(Message)[0].id)]

    def test_another_card_that_is_heard_of_with_its_charge_is_the_messages_too(self, shop: Shop):
        subscription = sent(shop)
        shop.clock.advance(timedelta(days=1))
        give_card(shop, subscription)
        shop.take()
        shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 8)
        told = [shop.handle(each) for each in shop.take() if each.type == "invoice.paid"]
        assert told == ["risk_changed"]
        assert self.ledger(shop) == [("protected", 4900, "message", shop.rows(Message)[0].id)]

    def test_a_click_outranks_it(self, shop: Shop):
        subscription = sent(shop)
        with db.tenant_session(shop.merchant) as session:
            clicks.confirm(session, link(shop))
        shop.clock.advance(timedelta(hours=1))
        give_card(shop, subscription)
        shop.deliver()
        assert self.ledger(shop) == [("protected", 4900, "click", shop.rows(Message)[0].id)]
        with db.tenant_session(shop.merchant) as session:
            assert clicks.landing(session, link(shop)).standing is clicks.Standing.SAFE

    def test_what_the_network_renewed_is_nobodys(self, shop: Shop):
        subscription = sent(shop)
        card = default_card(shop, subscription)
        shop.actions.automatically_update_card(shop.account, card, exp_month=3, exp_year=2030)
        shop.deliver()
        assert self.ledger(shop) == [("protected", 4900, "organic", None)]

    def test_what_goes_through_from_the_same_card_is_nobodys_either(self, shop: Shop):
        """Written to, and nothing touched: a bank may take an old card's number for as long as it likes."""
        sent(shop)
        shop.take()
        shop.world.decide = lambda _attempt: APPROVED
        shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 8)
        told = [shop.handle(each) for each in shop.take() if each.type == "invoice.paid"]
        assert told == ["risk_changed"]
        assert shop.ghosts[0].state == GhostState.PROTECTED
        assert self.ledger(shop) == [("protected", 4900, "organic", None)]

    def test_an_amount_above_the_line_that_simply_pays_is_no_money_guarded(self, shop: Shop):
        change_policy(shop, alert_lines={"usd": 4800})
        at_risk(shop, exp_month=12, exp_year=2030)
        due(shop)
        assert send(shop)["sent"] is True
        shop.pass_time(days=8)
        assert self.ledger(shop) == []

    def test_a_card_given_before_any_message_is_nobodys(self, shop: Shop):
        subscription = at_risk(shop)
        give_card(shop, subscription)
        shop.deliver()
        assert self.ledger(shop) == [("protected", 4900, "organic", None)]


class TestWhereStripeLooksFirst:
    """A subscription with a card of its own is charged from that one, whatever the customer's default is."""

    def with_a_card_of_its_own(self, shop: Shop) -> Json:
        subscription = at_risk(shop)
        own = default_card(shop, subscription)
        shop.actions.set_default_payment_method(
            shop.account, subscription["customer"], own, subscription=subscription["id"]
        )
        shop.deliver()
        due(shop)
        send(shop)
        return subscription

    def test_a_card_given_after_the_link_becomes_the_subscriptions_too(self, shop: Shop):
        subscription = self.with_a_card_of_its_own(shop)
        with db.tenant_session(shop.merchant) as session:
            clicks.confirm(session, link(shop))
        give_card(shop, subscription)
        shop.deliver()
        kept = shop.world.space(shop.account).table("subscription").objects[subscription["id"]]
        assert kept["default_payment_method"] == default_card(shop, subscription)
        assert [(row.kind, row.mechanism) for row in shop.rows(Recovery)] == [("protected", "click")]
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.PROTECTED]

    def test_given_left_and_chosen_again_on_the_same_day_it_is_the_subscriptions_again(self, shop: Shop):
        """Stripe answers a key it knows with what it did then: the second choice would be done in our books alone."""
        subscription = self.with_a_card_of_its_own(shop)
        own, customer = default_card(shop, subscription), subscription["customer"]
        give_card(shop, subscription)
        shop.take()
        with db.tenant_session(shop.merchant) as session:
            stripe = client_for(session, shop.merchant)
        kept = shop.world.space(shop.account).table("subscription").objects[subscription["id"]]
        for event in ("evt_1", "evt_2"):
            renewals._prefer(stripe, subscription["id"], default_card(shop, subscription), event)
            assert kept["default_payment_method"] == default_card(shop, subscription) != own
            shop.actions.set_default_payment_method(shop.account, customer, own, subscription=subscription["id"])

    def test_a_card_of_somebody_who_followed_no_link_is_left_where_it_is(self, shop: Shop):
        subscription = self.with_a_card_of_its_own(shop)
        give_card(shop, subscription)
        shop.deliver()
        kept = shop.world.space(shop.account).table("subscription").objects[subscription["id"]]
        assert kept["default_payment_method"] != default_card(shop, subscription)
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.IMPENDING]


class TestWhenItFailsAllTheSame:
    @pytest.fixture
    def failed(self, shop: Shop) -> Json:
        subscription = sent(shop)
        with db.tenant_session(shop.merchant) as session:
            clicks.confirm(session, link(shop))
        card = default_card(shop, subscription)
        shop.actions.set_card_behaviour(shop.account, card, decline_code="expired_card")
        shop.pass_time(days=8)
        return subscription

    def test_the_failure_has_three_messages_of_its_own_and_no_cooldown_from_before(self, shop: Shop, failed: Json):
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.messages_sent, ghost.click_count) == (GhostState.OPEN, 0, 0)
        assert send(shop, 1)["sent"] is True
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.messages_sent) == (GhostState.CONTACTED, 1)
        assert [message.step for message in sorted(shop.rows(Message), key=lambda each: each.step)] == [0, 1]
        assert len(shop.rows(Click)) == 1

    def test_the_protection_mails_link_leads_to_where_it_is_paid_now(self, shop: Shop, failed: Json):
        with db.tenant_session(shop.merchant) as session:
            assert clicks.landing(session, link(shop)).standing is clicks.Standing.CARD
            assert clicks.confirm(session, link(shop)).is_charged

    def test_both_count_in_the_customers_week(self, shop: Shop):
        change_policy(shop, messages_per_customer_week=1)
        at_risk(shop)
        shop.clock.current = datetime(2026, 3, 31, 18, 0, tzinfo=UTC)  # a pulse that comes late
        assert send(shop)["sent"] is True
        card = shop.ghosts[0].payment_method_id
        shop.actions.set_card_behaviour(shop.account, str(card), decline_code="expired_card")
        shop.pass_time(days=3)
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.OPEN]
        assert send(shop, 1)["sent"] is False
        assert "at most 1 message a week" in shop.ghosts[0].next_action_reason


class TestWhatIsShown:
    def test_the_next_hour_and_the_dry_run_know_of_it(self, shop: Shop):
        at_risk(shop)
        shop.clock.current = A_WEEK_BEFORE - timedelta(minutes=30)
        with db.tenant_session(shop.merchant) as session:
            coming, dry = service.next_hour(session, shop.merchant), ahead.dry_run(session, shop.merchant)
        assert [(row.state, row.next_action_at) for row in coming.first] == [(GhostState.IMPENDING, A_WEEK_BEFORE)]
        ((message,),) = [outlook.messages for outlook in dry.outlooks]
        assert (message.step, message.at, message.recipient) == (0, A_WEEK_BEFORE, "ada@example.com")
        assert "ends before the next payment" in message.subject
        assert dry.messages == 1

    def test_the_dry_run_is_silent_about_it_while_it_is_off(self, shop: Shop):
        change_policy(shop, protection_mails=False)
        at_risk(shop)
        with db.tenant_session(shop.merchant) as session:
            dry = ahead.dry_run(session, shop.merchant)
        assert (dry.outlooks, dry.ghosts, dry.messages) == ((), 0, 0)

    def test_the_story_calls_it_by_its_name(self, shop: Shop):
        sent(shop)
        assert shop.ghosts[0].last_action == "the protection message sent"
        told = [event.reason for event in shop.rows(GhostEvent) if event.name == "message_sent"]
        assert told == ["The protection message sent: card expires soon."]
