"""The bugs that other dunning products shipped, each by its name."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from sqlalchemy import text
from sqlmodel import select

from core import db
from core.clock import ManualClock
from core.money import Money
from jobs.hunt import hunt
from jobs.runner import run_due
from models.ghost import FoundVia, GhostState, GhostTarget, Strategy
from models.merchant import StripeMails
from models.messaging import Message, MessageState
from models.money import PaymentAttempt, Recovery
from models.work import ScheduledTask, TaskState
from services.hunter.schemas import HuntRequest
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.messaging import consents
from services.messaging.brands import Brand
from services.messaging.languages import LANGUAGES
from services.messaging.lint import EMAIL, Source, Target, promises_again
from services.messaging.render import Occasion, render_mail, render_sms
from services.messaging.wording import Moment
from services.operations import health
from services.recovery.charging import charges
from services.recovery.messages import delivery, outreach, settlement
from services.recovery.observe import observe
from services.recovery.strategy import DeclineGroup
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_intent, raw_invoice
from tests.support.mailing import due, mailing_shop, mails, pulse, send
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

FAILED = parse_invoice(raw_invoice())
PAID = replace(FAILED, status="paid", amount_remaining=0, amount_paid=4900)
HELD = text(
    "select count(*) from pg_locks where locktype = 'advisory'"
    " and database = (select oid from pg_database where datname = current_database())"
)
CHASED = [group for group in DeclineGroup if group is not DeclineGroup.CUSTOMER_STOPPED]


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A merchant with one customer whose card is dead and whose renewal failed two hours ago."""
    return mailing_shop(clock, monkeypatch)


def failing(shop: Shop) -> Any:
    subscription = shop.subscriber(decline_code="expired_card")
    shop.pass_time(days=31, hours=2)
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.OPEN]
    return subscription


def pay(shop: Shop, subscription: Any) -> None:
    """The customer pays with another card; Stripe's webhooks are under way."""
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])


def see(merchant: str, facts: Any, via: FoundVia = FoundVia.WEBHOOK) -> None:
    with db.tenant_session(merchant) as session:
        observe(session, merchant_context(session, merchant), [facts], via, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


def rows(merchant: str, table: Any) -> list[Any]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())


def said(group: DeclineGroup, step: int, language: str) -> list[str]:
    """Everything a customer reads in one message, by mail and by SMS."""
    about = Occasion(group, step, 3, Money(4900, "usd"), "Ada Example", locale=language, strategy="card_refresh")
    brand = Brand("Northwind")
    mail = render_mail(about, brand=brand, pay_url="https://pay.example", unsubscribe_url="https://stop.example")
    return [mail.subject, mail.plain, mail.html, render_sms(about, brand=brand, pay_url="https://pay.example").text]


class TestMailSaysCancelledWhilePastDue:
    """A customer who still has access was told that it was over, and believed it."""

    ENDED = {
        "en": r"cancell?ed|terminated|has ended|was ended|expired subscription",
        "de": r"gekündigt|storniert|beendet|abgelaufenes abo",
        "es": r"cancelad|anulad|finalizad|dad[oa] de baja",
        "fr": r"résilié|annulé|pris fin|terminé",
        "pt": r"cancelad|encerrad|terminad",
    }

    def test_every_language_is_looked_at(self):
        assert set(self.ENDED) == set(LANGUAGES)

    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("step", [1, 2, 3])
    def test_no_message_to_who_still_has_access_says_that_it_is_over(self, language: str, step: int):
        for group in CHASED:
            for each in said(group, step, language):
                assert not re.search(self.ENDED[language], each, re.IGNORECASE), each


class TestRenewedAndFailedBothSent:
    """Somebody paid, and a mail that their payment failed came after the receipt."""

    def test_paid_before_the_webhook_came_means_no_message(self, shop: Shop):
        subscription = failing(shop)
        pay(shop, subscription)  # nothing is delivered yet: only a fresh look can know
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.ghosts[0].state) == (0, GhostState.RECOVERED)

    def test_paid_between_two_messages_ends_them(self, shop: Shop):
        subscription = failing(shop)
        assert send(shop)["sent"] is True
        pay(shop, subscription)
        shop.clock.advance(timedelta(days=4))
        assert send(shop, 2)["sent"] is False
        assert mails(shop) == 1

    def test_a_card_that_was_renewed_is_not_said_to_end(self, shop: Shop):
        subscription = self.coming(shop)
        shop.actions.automatically_update_card(shop.account, self.card(shop, subscription), exp_month=3, exp_year=2030)
        assert send(shop, 0)["sent"] is False
        assert (mails(shop), shop.ghosts[0].state) == (0, GhostState.PROTECTED)

    def test_a_charge_that_went_through_is_not_said_to_come(self, shop: Shop):
        self.coming(shop)
        shop.world.clockwork.advance_to(shop.world.now() + int(timedelta(days=8).total_seconds()))
        assert send(shop, 0)["sent"] is False  # no webhook has been delivered
        assert mails(shop) == 0

    def test_a_charge_that_failed_is_not_said_to_come(self, shop: Shop):
        subscription = self.coming(shop)
        shop.actions.set_card_behaviour(shop.account, self.card(shop, subscription), decline_code="expired_card")
        shop.world.clockwork.advance_to(shop.world.now() + int(timedelta(days=8).total_seconds()))
        assert send(shop, 0)["sent"] is False
        assert mails(shop) == 0
        shop.deliver()
        assert send(shop, 1)["sent"] is True
        assert mails(shop) == 1

    @staticmethod
    def coming(shop: Shop) -> Any:
        """A charge at risk whose customer is to be told now; messages before a charge are on."""
        with db.tenant_session(shop.merchant) as session:
            merchants.change_policy(session, shop.merchant, {"protection_mails": True}, actor_id="usr_1")
        subscription = shop.subscriber()
        card = shop.actions.create_card(shop.account, exp_month=3, exp_year=2026)
        shop.actions.attach_payment_method(shop.account, card["id"], subscription["customer"], default=True)
        shop.pass_time(days=24, hours=10)
        assert [ghost.next_action for ghost in shop.ghosts] == ["send_message"]
        shop.clock.current = shop.ghosts[0].next_action_at
        return subscription

    @staticmethod
    def card(shop: Shop, subscription: Any) -> str:
        customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
        return str(customer["invoice_settings"]["default_payment_method"])


def nobody_got(merchant: str, prepared: outreach.Prepared, told: str) -> None:
    """A mail is refused in the answer, or comes back, or cannot be delivered."""
    assert prepared.message is not None
    if told == "refused":
        with db.tenant_session(merchant) as session:
            settlement.settle_failed(session, merchant, prepared.message_id, "No such recipient.")
        return
    with db.tenant_session(merchant) as session:
        settlement.settle_sent(session, merchant, prepared.message_id, "resend", "re_1")
    why = {"bounce": {"type": "Permanent"}, "failed": {"reason": "No such recipient."}}
    delivery.handle(merchant, told, {"email_id": "re_1", "tags": prepared.message.tags, **why})


class TestOffByOneAttempt:
    """The second mail was worded as the third, and a card was given up an attempt too early."""

    @pytest.mark.parametrize("most", [1, 2, 3])
    def test_a_policy_of_n_messages_is_n_messages_the_last_one_worded_as_the_last(
        self, database: object, clock: ManualClock, most: int
    ):
        merchant = make_merchant(policy={"messages_per_ghost": most, "messages_per_customer_week": 7})
        see(merchant, replace(FAILED, customer=replace(FAILED.customer, language="en")))
        (ghost,) = rows(merchant, GhostTarget)
        for step in range(1, 6):
            with db.tenant_session(merchant) as session:
                prepared = outreach.prepare(session, merchant, ghost.id, step, FAILED)
            if prepared.message is None:
                break
            with db.tenant_session(merchant) as session:
                settlement.settle_sent(session, merchant, prepared.message_id, "resend", "re")
            (ghost,) = rows(merchant, GhostTarget)
            clock.current = ghost.next_action_at
        messages = sorted(rows(merchant, Message), key=lambda message: message.step)
        assert [message.step for message in messages] == list(range(1, most + 1))
        worded_as_last = ["our last message" in message.plain for message in messages]
        assert worded_as_last == [step == most and most > 1 for step in range(1, most + 1)]

    @pytest.mark.parametrize("most", [1, 3])
    @pytest.mark.parametrize("told", ["refused", "email.bounced", "email.failed"])
    def test_what_nobody_got_is_no_attempt_so_that_the_first_to_arrive_is_worded_as_the_first(
        self, database: object, clock: ManualClock, told: str, most: int
    ):
        """The text that follows a mail which came back was "a reminder", and where one was allowed "our last"."""
        merchant, ada = make_merchant(policy={"sms": True, "messages_per_ghost": most}), "+12025550143"
        known = replace(FAILED.customer, phone=ada, country="us", language="en")
        facts = replace(FAILED, customer=known)
        with db.tenant_session(merchant) as session:
            consents.record(session, merchant, [consents.read(channel="sms", address=ada, happened_at=clock.now())], "")
        see(merchant, facts)
        nobody_got(merchant, self.next(merchant, clock, facts), told)
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.next_action, ghost.next_action_reason.startswith("Message 1 ")) == (
            "send_message", told != "refused",
        )  # fmt: skip

        while (prepared := self.next(merchant, clock, facts)).message is not None:
            with db.tenant_session(merchant) as session:
                settlement.settle_sent(session, merchant, prepared.message_id, "twilio", "SM")
        lost, *texts = sorted(rows(merchant, Message), key=lambda message: message.step)
        assert (lost.channel, [each.channel for each in texts]) == ("email", ["sms"] * most)
        assert [self.worded(each.plain) for each in texts] == ["first", "reminder", "last"][:most]

    @staticmethod
    def worded(text: str) -> str:
        return "last" if "our last message" in text else "reminder" if "a reminder" in text else "first"

    @staticmethod
    def next(merchant: str, clock: ManualClock, facts: Any) -> outreach.Prepared:
        """What comes next, at its hour."""
        (ghost,) = rows(merchant, GhostTarget)
        clock.current = max(ghost.next_action_at, clock.now())
        with db.tenant_session(merchant) as session:
            return outreach.prepare(session, merchant, ghost.id, 1 + len(rows(merchant, Message)), facts)

    @pytest.mark.parametrize(("attempts", "strategy"), [(1, Strategy.SMART_RETRY), (2, Strategy.CARD_REFRESH)])
    def test_a_vague_decline_is_the_cards_after_two_attempts_and_not_after_one(
        self, database: object, clock: ManualClock, attempts: int, strategy: Strategy
    ):
        merchant = make_merchant()
        vague = raw_invoice(intent=raw_intent("do_not_honor"), attempt_count=attempts)
        see(merchant, parse_invoice(vague))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.attempt_count, ghost.strategy) == (attempts, strategy)


class TestLockNeverReleased:
    """A worker that failed in the middle kept its lock, and that customer was never looked at again."""

    @pytest.mark.parametrize(
        ("where", "broken", "left", "gone"),
        [(outreach, "compose", [], 0), (settlement, "settle_sent", [MessageState.SENDING], 1)],
    )
    def test_what_fails_in_the_middle_is_begun_again_and_goes_once(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, where: Any, broken: str, left: list[str], gone: int
    ):
        """What could stay taken: the task by its lease, the message by its slot, the customer by a lock."""
        failing(shop)
        due(shop)
        pulse(shop)

        def break_down(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patched:
            patched.setattr(where, broken, break_down)
            assert run_due(kinds=["send_message"]) == 1
        (task,) = self.tasks()
        assert (task.state, task.attempts, task.lease_owner, task.leased_until) == (TaskState.PENDING, 1, None, None)
        assert [slot.state for slot in rows(shop.merchant, Message)] == left
        assert mails(shop) == gone
        with db.system_session() as session:
            assert session.connection().execute(HELD).scalar() == 0
        shop.clock.current = task.run_at
        assert run_due(kinds=["send_message"]) == 1
        assert [task.state for task in self.tasks()] == [TaskState.DONE]
        assert [slot.state for slot in rows(shop.merchant, Message)] == [MessageState.SENT]
        assert mails(shop) == 1

    @staticmethod
    def tasks() -> list[ScheduledTask]:
        with db.system_session() as session:
            return list(session.exec(select(ScheduledTask).where(ScheduledTask.kind == "send_message")).all())


class TestDunningAfterCancelling:
    """Somebody cancelled, and went on being asked to pay for what they no longer have."""

    def test_a_cancellation_nobody_told_us_of_means_no_message(self, shop: Shop):
        subscription = failing(shop)
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        assert send(shop)["sent"] is False
        assert mails(shop) == 0
        assert shop.ghosts[0].state == GhostState.STOPPED

    def test_nothing_follows_once_it_is_known(self, shop: Shop):
        subscription = failing(shop)
        assert send(shop)["sent"] is True
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        shop.deliver()
        assert (shop.ghosts[0].next_action, shop.ghosts[0].next_action_at) == ("", None)
        shop.clock.advance(timedelta(days=4))
        assert send(shop, 2)["sent"] is False
        assert mails(shop) == 1

    def test_dunning_after_cancelling_at_the_periods_end(self, shop: Shop):
        """How most people cancel: the subscription runs on to its end, and nobody is asked to pay for what follows."""
        subscription = failing(shop)
        assert send(shop)["sent"] is True
        shop.actions.cancel_subscription(shop.account, subscription["id"], at_period_end=True)
        shop.deliver()
        ghost = shop.ghosts[0]
        assert (ghost.state, ghost.subscription_status) == (GhostState.STOPPED, "past_due")
        assert (ghost.next_action, ghost.next_action_at, ghost.next_retry_at) == ("", None, None)
        shop.clock.advance(timedelta(days=4))
        assert send(shop, 2)["sent"] is False
        assert mails(shop) == 1
        pay(shop, subscription)
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED

    def test_a_cancellation_at_the_periods_end_nobody_told_us_of_means_no_message(self, shop: Shop):
        subscription = failing(shop)
        shop.actions.cancel_subscription(shop.account, subscription["id"], at_period_end=True)
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.ghosts[0].state) == (0, GhostState.STOPPED)

    def test_who_had_cancelled_before_the_charge_failed_is_no_ghost(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.world.clockwork.advance_to(shop.world.now() + int(timedelta(days=31, hours=2).total_seconds()))
        shop.actions.cancel_subscription(shop.account, subscription["id"], at_period_end=True)
        shop.deliver()
        hunt(shop.merchant, HuntRequest())
        assert shop.ghosts == []

    @pytest.mark.parametrize("reason", [None, "payment_failed", "payment_disputed", "canceled_by_retention_policy"])
    def test_an_end_that_is_not_the_customers_doing_stops_nothing(self, shop: Shop, reason: str | None):
        subscription = failing(shop)
        ending = {"cancel_at": shop.world.now() + 864_000, "cancellation_details": {"reason": reason}}
        shop.actions.edit_object(shop.account, "subscription", subscription["id"], ending)
        assert send(shop)["sent"] is True

    @pytest.mark.parametrize("told", [True, False])
    def test_who_takes_it_back_is_asked_again(self, shop: Shop, told: bool):
        subscription = failing(shop)
        shop.actions.cancel_subscription(shop.account, subscription["id"], at_period_end=True)
        shop.deliver()
        shop.clock.advance(timedelta(hours=1))
        shop.actions.keep_subscription(shop.account, subscription["id"])
        if told:
            shop.deliver()
        else:
            shop.take()
            hunt(shop.merchant, HuntRequest())
        ghost = shop.ghosts[0]
        assert (ghost.state, ghost.next_action, ghost.close_reason) == (GhostState.OPEN, "send_message", "")
        assert ghost.shadow_cents == 4900
        assert send(shop)["sent"] is True
        assert_sums_agree(shop.merchant)

    def test_who_told_the_bank_to_stop_hears_once_and_no_more(self, shop: Shop):
        shop.subscriber(decline_code="stop_payment_order")
        shop.pass_time(days=31, hours=2)
        assert shop.ghosts[0].state == GhostState.STOPPED
        shop.clock.current = shop.ghosts[0].next_action_at  # by day
        assert send(shop)["sent"] is True
        for step in (1, 2, 3):
            shop.clock.advance(timedelta(days=4))
            assert send(shop, step)["sent"] is False
        assert mails(shop) == 1

    def test_who_told_the_bank_and_cancelled_hears_nothing(self, shop: Shop):
        subscription = shop.subscriber(decline_code="stop_payment_order")
        shop.pass_time(days=31, hours=2)
        shop.clock.current = shop.ghosts[0].next_action_at
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        assert send(shop)["sent"] is False
        assert (mails(shop), shop.ghosts[0].next_action) == (0, "")

    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_who_cancelled_hears_nothing_of_a_charge_that_will_not_come(self, shop: Shop, at_period_end: bool):
        subscription = TestRenewedAndFailedBothSent.coming(shop)
        shop.actions.cancel_subscription(shop.account, subscription["id"], at_period_end=at_period_end)
        assert send(shop, 0)["sent"] is False
        assert (mails(shop), shop.ghosts[0].next_action) == (0, "")


class TestWeWillRetryOnTheLastMessage:
    """The last mail promised another attempt that never came."""

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_no_last_message_promises_one(self, language: str):
        for group in CHASED:
            subject, plain, _, sms = said(group, 3, language)
            for each in (subject, plain, sms):
                source = Source(subject="x", heading="x", body=each, button="x")
                assert not promises_again(source, Target("*", Moment.LAST, EMAIL, language)), each

    def test_the_lint_would_notice(self):
        source = Source(subject="x", heading="x", body="We will try your card again on Monday.", button="x")
        assert promises_again(source, Target("*", Moment.LAST, EMAIL, "en"))


class TestStaleEventRevivesAClosedGhost:
    """A webhook that was days late opened a paid invoice's case again, and the customer was chased."""

    def test_a_late_word_of_the_failure_changes_nothing(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.world.clockwork.advance_to(shop.world.now() + int(timedelta(days=31, hours=2).total_seconds()))
        late = [each for each in shop.take() if each.type == "invoice.payment_failed"]
        assert late
        for each in late:
            shop.handle(each)
        pay(shop, subscription)
        shop.deliver()
        before = shop.ghosts[0]
        assert before.state == GhostState.RECOVERED
        shop.clock.advance(timedelta(days=30))
        for each in late:
            shop.handle(each)
        after = shop.ghosts[0]
        assert (after.state, after.next_action, after.closed_at) == (before.state, "", before.closed_at)
        assert len(shop.rows(Recovery)) == 1
        assert_sums_agree(shop.merchant)

    @pytest.mark.parametrize("via", [FoundVia.WEBHOOK, FoundVia.HUNT])
    def test_a_snapshot_from_before_the_payment_changes_nothing(
        self, database: object, clock: ManualClock, via: FoundVia
    ):
        merchant = make_merchant()
        for facts in (FAILED, PAID, FAILED, replace(FAILED, attempt_count=4)):
            see(merchant, facts, via)
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.state, ghost.next_action, ghost.attempt_count) == (GhostState.RECOVERED, "", 1)
        assert_sums_agree(merchant)


class TestSameInvoiceFailedThenPaidBecomesTwo:
    """A failure and its payment became two cases, one of them open for ever."""

    @pytest.mark.parametrize("order", [(FAILED, PAID), (FAILED, PAID, FAILED), (FAILED, FAILED, PAID, PAID)])
    def test_it_is_one_ghost_whatever_is_heard(self, database: object, clock: ManualClock, order: tuple[Any, ...]):
        merchant = make_merchant()
        for number, facts in enumerate(order):
            see(merchant, facts, (FoundVia.WEBHOOK, FoundVia.HUNT)[number % 2])
        assert [(ghost.invoice_id, ghost.state) for ghost in rows(merchant, GhostTarget)] == [("in_1", "recovered")]
        assert_sums_agree(merchant)

    def test_paid_before_anybody_heard_of_the_failure_is_none(self, database: object, clock: ManualClock):
        merchant = make_merchant()
        see(merchant, PAID)
        assert rows(merchant, GhostTarget) == []


class TestRecoveredCountedTwiceByTwoHandlers:
    """Two webhooks told of one payment, and the dashboard showed twice the money."""

    def test_every_word_of_one_payment_is_one_recovery(self, shop: Shop):
        subscription = failing(shop)
        pay(shop, subscription)
        told = shop.take()
        kinds = {each.type for each in told}
        assert {"invoice.paid", "invoice.payment_succeeded"} <= kinds
        for each in (*told, *told):
            shop.handle(each)
        assert [row.amount_cents for row in shop.rows(Recovery)] == [4900]
        assert_sums_agree(shop.merchant)

    def test_both_at_the_same_moment(self, shop: Shop):
        subscription = failing(shop)
        pay(shop, subscription)
        told = [each for each in shop.take() if each.type.startswith("invoice.pa")]
        assert len(told) >= 2
        handle: Callable[[Any], str] = shop.handle
        with ThreadPoolExecutor(len(told)) as pool:
            list(pool.map(handle, told))
        assert [row.amount_cents for row in shop.rows(Recovery)] == [4900]
        assert_sums_agree(shop.merchant)


class TestCustomersOwnRetryEatsTheBudget:
    """What a person tries on the hosted page is theirs: it uses up neither our retries nor the networks' limits."""

    def test_thirty_tries_of_theirs_leave_ours_as_they_were(self, shop: Shop):
        shop.actions.set_rules(shop.account, retry_days=[])
        shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        (before,) = shop.ghosts
        for _ in range(30):
            shop.actions.pay_invoice(shop.account, before.invoice_id, before.payment_method_id)
            shop.deliver()
        (after,) = shop.ghosts
        with db.tenant_session(shop.merchant) as session:
            card = charges.of_ghost(session, shop.merchant, after.id)
        assert (card.used, card.by_customer, card.limit) == (1, 30, 20)
        assert (after.attempt_count, after.own_retries, after.next_retry_at) == (1, 0, before.next_retry_at)
        assert after.next_retry_at is not None

    def test_a_card_of_which_nothing_is_known_has_no_charges_of_others(self, shop: Shop):
        """Many ghosts have no known card: their charges are not those of one card."""
        shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        with db.tenant_session(shop.merchant) as session:
            (ghost,) = session.exec(select(GhostTarget))
            ghost.payment_method_id, ghost.card_fingerprint = None, ""
            for attempt in session.exec(select(PaymentAttempt)):
                attempt.payment_method_id, attempt.card_fingerprint = None, ""
        with db.tenant_session(shop.merchant) as session:
            card = charges.of_ghost(session, shop.merchant, shop.ghosts[0].id)
        assert (card.used, card.limit, card.reason) == (0, 20, "It is not known which card failed.")


class TestDoubleMailNextToStripesOwn:
    """Stripe can mail customers about failed payments itself; then each of ours is a second one."""

    def test_is_warned_of_from_the_first_message_until_the_merchant_says_no(
        self, database: object, clock: ManualClock
    ) -> None:
        merchant = make_merchant()  # messages are on, and nobody was asked
        assert self.warnings(merchant) == ["double_mails_unknown"]
        for answer, warned in (
            (StripeMails.YES, ["double_mails"]),
            (StripeMails.UNKNOWN, ["double_mails_unknown"]),
            (StripeMails.NO, []),
        ):
            with db.tenant_session(merchant) as session:
                merchants.answer_stripe_mails(session, merchant, answer, actor_id="usr_1")
            assert self.warnings(merchant) == warned

    @staticmethod
    def warnings(merchant: str) -> list[str]:
        with db.tenant_session(merchant) as session:
            found = health.judge(health.merchant_facts(session, merchant)).findings
        return [each.code for each in found if each.code.startswith("double_mails")]

    def test_stripe_still_has_no_field_that_tells(self) -> None:
        """An SDK that knows one would fail here: then it can be read instead of asked."""
        fields = set(stripe.Account.Settings.__annotations__)
        assert {"branding", "dashboard", "invoices", "payments"} <= fields
        inner = {
            name
            for each in vars(stripe.Account.Settings).values()
            if isinstance(each, type)
            for name in getattr(each, "__annotations__", {})
        }
        telling = ("email", "mail", "dunning", "recovery", "notif")
        assert [name for name in fields | inner if any(word in name for word in telling)] == []
