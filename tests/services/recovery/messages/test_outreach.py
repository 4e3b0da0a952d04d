"""Sending: never twice, never after paying, and honest where it cannot be known."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostState, GhostTarget
from models.messaging import LinkPurpose, Message, MessageState
from models.money import DailyMetrics
from models.work import ScheduledTask
from services.integrations.stripe.parsing import parse_invoice
from services.messaging import links
from services.recovery import service
from services.recovery.messages import clicks, delivery, handover, optout, outreach, settlement
from services.recovery.observe import observe
from services.recovery.plans import pulse
from services.recovery.work import merchant_context
from tests.support import environment
from tests.support.factories import make_merchant, raw_invoice

FAILED = parse_invoice(raw_invoice())
PAID = replace(FAILED, status="paid", amount_remaining=0, amount_paid=4900)


class Story:
    """One merchant with one ghost, and the steps of sending."""

    def __init__(self, clock: ManualClock, **policy: Any) -> None:
        self.clock, self.merchant = clock, make_merchant(policy=policy)
        self.see(FAILED)

    def see(self, facts: Any) -> None:
        with db.tenant_session(self.merchant) as session:
            observe(session, merchant_context(session, self.merchant), [facts], FoundVia.WEBHOOK, self.clock.now())

    def prepare(self, fresh: Any = FAILED, step: int = 1) -> outreach.Prepared:
        with db.tenant_session(self.merchant) as session:
            return outreach.prepare(session, self.merchant, self.ghost.id, step, fresh)

    def take_back(self, prepared: outreach.Prepared) -> bool:
        with db.tenant_session(self.merchant) as session:
            return handover.take_back(session, self.merchant, prepared.message_id)

    def sent(self, prepared: outreach.Prepared) -> bool:
        with db.tenant_session(self.merchant) as session:
            return settlement.settle_sent(session, self.merchant, prepared.message_id, "resend", "re_1")

    def pulse(self) -> pulse.Pulsed:
        with db.tenant_session(self.merchant) as session:
            return pulse.plan_due(session, self.merchant, self.clock.now())

    def link(self, purpose: LinkPurpose = LinkPurpose.PAY) -> links.Link:
        message = self.messages[0]
        return links.Link(self.merchant, self.ghost.id, message.id, purpose)

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())

    @property
    def ghost(self) -> GhostTarget:
        return self.rows(GhostTarget)[0]

    @property
    def messages(self) -> list[Message]:
        return sorted(self.rows(Message), key=lambda message: message.step)  # PostgreSQL promises no order


@pytest.fixture
def story(database: object, clock: ManualClock) -> Story:
    return Story(clock)


class TestSending:
    def test_a_message_counts_once_and_the_next_is_planned(self, story: Story):
        prepared = story.prepare()
        assert prepared.message is not None
        assert (prepared.message.recipient, prepared.message.headers["X-Entity-Ref-ID"]) == (
            "customer1@example.com",
            prepared.message_id,
        )
        # Nothing else tells whose mail a webhook of the provider speaks of, and which.
        assert prepared.message.tags == {
            delivery.MESSAGE_TAG: prepared.message_id,
            delivery.MERCHANT_TAG: story.merchant,
        }
        assert story.sent(prepared)
        assert not story.sent(prepared)
        ghost = story.ghost
        assert (ghost.state, ghost.messages_sent, ghost.next_action) == (GhostState.CONTACTED, 1, "send_message")
        assert ghost.next_action_at >= story.clock.now() + timedelta(hours=72)
        assert sum(day.messages_count for day in story.rows(DailyMetrics)) == 1

    def test_one_click_unsubscribe_is_in_the_headers(self, story: Story):
        email = story.prepare().message
        assert email is not None
        assert email.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert "/u/" in email.headers["List-Unsubscribe"]

    def test_paid_a_moment_ago_means_no_message(self, story: Story):
        assert story.prepare(PAID).message is None
        assert (story.messages, story.ghost.state) == ([], GhostState.RECOVERED)

    def test_voided_a_moment_ago_means_no_message(self, story: Story):
        assert story.prepare(replace(FAILED, status="void")).message is None
        assert story.ghost.state == GhostState.LOST

    def test_a_slot_is_filled_once(self, story: Story):
        story.sent(story.prepare())
        assert story.prepare().message is None
        assert len(story.messages) == 1

    def test_steps_follow_one_another(self, story: Story):
        assert story.prepare(step=2).message is None
        assert story.messages == []

    def test_a_paused_ghost_gets_nothing(self, story: Story):
        with db.tenant_session(story.merchant) as session:
            assert service.pause(session, story.merchant, [story.ghost.id], "usr_1") == 1
        assert story.prepare().message is None

    def test_the_weekly_limit_counts_over_all_ghosts_of_a_customer(self, database: object, clock: ManualClock):
        story = Story(clock, messages_per_customer_week=1)
        story.sent(story.prepare())
        second = replace(parse_invoice(raw_invoice(2)), customer=FAILED.customer)
        story.see(second)
        other = next(ghost for ghost in story.rows(GhostTarget) if ghost.invoice_id == "in_2")
        with db.tenant_session(story.merchant) as session:
            prepared = outreach.prepare(session, story.merchant, other.id, 1, second)
        assert prepared.message is None
        assert "at most 1 message a week" in prepared.reason
        first, waiting = story.messages[0], next(ghost for ghost in story.rows(GhostTarget) if ghost.id == other.id)
        assert waiting.next_action_at >= first.sent_at + timedelta(days=7)  # planned to when a place is free, not tried

    def test_a_payment_under_way_is_waited_for(self, story: Story):
        assert story.prepare(replace(FAILED, payment_status="processing")).message is None
        ghost = story.ghost
        assert (story.messages, ghost.state, ghost.next_action) == ([], GhostState.OPEN, "send_message")
        assert ghost.next_action_at > story.clock.now()

    def test_a_paused_subscription_is_not_chased(self, story: Story):
        assert story.prepare(replace(FAILED, subscription_status="paused")).message is None

    def test_what_the_provider_refuses_ends_with_the_window(self, story: Story):
        prepared = story.prepare()
        with db.tenant_session(story.merchant) as session:
            settlement.settle_failed(session, story.merchant, prepared.message_id, "invalid address ada@example.com")
        assert [message.reason for message in story.messages] == ["invalid address [email]"]
        assert story.prepare().message is None
        story.see(replace(FAILED, attempt_count=2))
        story.prepare()
        assert story.ghost.next_action == "exhaust"
        story.clock.advance(timedelta(days=28))
        assert story.pulse().exhausted == 1

    def test_another_address_than_the_one_refused_is_written_to(self, story: Story):
        prepared = story.prepare()
        with db.tenant_session(story.merchant) as session:
            settlement.settle_failed(session, story.merchant, prepared.message_id, "invalid address")
        moved = replace(FAILED, customer=replace(FAILED.customer, email="ada@new.example"))
        assert story.prepare(moved, step=2).message is None  # it is night there
        assert story.ghost.next_action_at is not None
        story.clock.current = story.ghost.next_action_at
        again = story.prepare(moved, step=2)
        assert again.message is not None
        assert again.message.recipient == "ada@new.example"

    def test_a_send_that_died_is_tried_again_some_hours_later(self, story: Story):
        assert [task.kind for task in story.rows(ScheduledTask)] == ["send_message"]  # made with the ghost
        assert (story.pulse().messages, story.pulse().messages) == (0, 0)
        story.clock.advance(timedelta(hours=7))
        assert (story.pulse().messages, story.pulse().messages) == (1, 0)
        assert len({task.key for task in story.rows(ScheduledTask)}) == 2

    def test_a_ghost_that_never_got_its_message_ends_with_the_window(self, story: Story):
        story.clock.advance(timedelta(days=29))
        assert (story.pulse().exhausted, story.ghost.state) == (1, GhostState.EXHAUSTED)

    def test_and_says_that_its_time_was_up_and_not_that_messages_were_sent(self, story: Story):
        story.clock.advance(timedelta(days=29))
        story.pulse()
        assert story.ghost.next_action_reason == "Its 28 days are over. A payment still counts."
        with db.tenant_session(story.merchant) as session:
            service.replan_open(session, story.merchant)
        assert story.ghost.next_action_reason == "Its 28 days are over. A payment still counts."

    def test_who_cannot_be_written_to_ends_with_that_reason(self, database: object, clock: ManualClock):
        story = Story(clock)
        story.see(replace(FAILED, customer=replace(FAILED.customer, id="cus_mute", email=None), id="in_mute"))
        clock.advance(timedelta(days=29))
        story.pulse()
        (mute,) = [ghost for ghost in story.rows(GhostTarget) if ghost.invoice_id == "in_mute"]
        assert (mute.state, mute.messages_sent) == (GhostState.EXHAUSTED, 0)
        assert mute.next_action_reason == "Stripe knows no email address of this customer. A payment still counts."

    def test_a_merchant_who_takes_a_month_to_say_go_has_lost_nothing(self, database: object, clock: ManualClock):
        story = Story(clock, paused=True)
        clock.advance(timedelta(days=29))
        with db.tenant_session(story.merchant) as session:
            service.start_messages(session, story.merchant, "usr_1")
        assert (story.ghost.state, story.ghost.next_action) == (GhostState.OPEN, "send_message")
        assert story.sent(story.prepare())
        clock.advance(timedelta(days=29))
        assert (story.pulse().exhausted, story.ghost.state) == (1, GhostState.EXHAUSTED)

    @pytest.mark.parametrize("email", ["jordan@example.com", None])
    def test_who_stops_and_says_go_again_has_each_ghost_end_with_its_days_from_there(
        self, database: object, clock: ManualClock, email: str | None
    ):
        story = Story(clock, paused=True)
        story.see(replace(FAILED, customer=replace(FAILED.customer, email=email)))
        for act in (service.start_messages, service.stop_messages, service.start_messages):
            clock.advance(timedelta(days=10))
            with db.tenant_session(story.merchant) as session:
                act(session, story.merchant, "usr_1")
        clock.advance(timedelta(days=27))
        assert (story.pulse().exhausted, story.ghost.state) == (0, GhostState.OPEN)
        clock.advance(timedelta(days=1))
        assert (story.pulse().exhausted, story.ghost.state) == (1, GhostState.EXHAUSTED)


class TestQuietHours:
    """09:00 UTC is the middle of the night in the United States, where the card is from."""

    def second_due(self, story: Story) -> None:
        story.sent(story.prepare())
        story.clock.advance(timedelta(days=4))

    def test_the_first_message_goes_at_once(self, story: Story):
        assert story.prepare().message is not None

    def test_a_later_one_whose_task_runs_at_night_waits_for_the_day(self, story: Story):
        self.second_due(story)
        assert story.prepare(step=2).message is None
        due = story.ghost.next_action_at
        assert (len(story.messages), due > story.clock.now()) == (1, True)
        assert 8 <= due.astimezone(ZoneInfo("Pacific/Honolulu")).hour < due.astimezone(ZoneInfo("US/Eastern")).hour < 21
        story.clock.current = due
        assert story.prepare(step=2).message is not None

    def test_a_repeat_at_night_waits_too_and_keeps_its_key(self, story: Story):
        german = replace(FAILED, customer=replace(FAILED.customer, country="DE"))
        self.second_due(story)
        first = story.prepare(german, step=2)  # 10:00 in Berlin
        story.clock.advance(timedelta(hours=13))
        night = story.prepare(german, step=2)
        assert (night.message, story.messages[1].state) == (None, MessageState.SENDING)
        assert night.not_before is not None
        assert night.not_before.astimezone(ZoneInfo("Europe/Berlin")).hour == 8
        story.clock.current = night.not_before
        again = story.prepare(german, step=2)
        assert (again.message, again.idempotency_key) == (first.message, first.idempotency_key)


class TestCrashes:
    def test_after_the_intent_the_same_message_goes_with_the_same_key(self, story: Story):
        first = story.prepare()
        again = story.prepare()
        assert (again.idempotency_key, again.message) == (first.idempotency_key, first.message)

    def test_who_stood_still_takes_nothing_back_that_another_run_handed_over(self, story: Story):
        """A run is frozen past its lease, the next one hands the message over and dies; the first wakes to a 429."""
        first = story.prepare()
        again = story.prepare()
        assert (first.fresh, again.fresh, again.message is not None) == (True, False, True)
        assert not story.take_back(first)
        third = story.prepare()
        assert (third.idempotency_key, third.message is not None) == (first.idempotency_key, True)
        assert story.messages[0].reason == handover.REPEATED
        assert story.sent(third)
        assert story.messages[0].reason == ""

    def test_what_was_begun_and_handed_over_by_nobody_else_is_taken_back(self, story: Story):
        assert story.take_back(story.prepare())
        assert story.messages == []

    def test_so_is_what_was_begun_for_the_outbox_however_often(self, story: Story):
        with environment.changed(RESEND_API_KEY=""):
            story.prepare()
            again = story.prepare()
        assert again.key_print == ""
        assert story.take_back(again)

    def test_past_the_providers_memory_it_is_uncertain_and_never_sent_again(self, story: Story):
        story.prepare()
        story.clock.advance(timedelta(hours=24))
        assert story.prepare().message is None
        assert story.messages[0].state == MessageState.UNCERTAIN
        assert story.ghost.messages_sent == 1
        assert story.prepare().message is None

    def test_an_uncertain_one_keeps_its_place_in_the_week(self, database: object, clock: ManualClock):
        """The customer may have it: a crash must not become one message more than the week allows."""
        story = Story(clock, messages_per_customer_week=1)
        story.prepare()
        clock.advance(timedelta(hours=25))
        assert story.prepare().message is None
        (uncertain,) = story.messages
        assert (uncertain.state, uncertain.sent_at) == (MessageState.UNCERTAIN, None)

        second = replace(parse_invoice(raw_invoice(2)), customer=FAILED.customer)
        story.see(second)
        other = next(ghost for ghost in story.rows(GhostTarget) if ghost.invoice_id == "in_2")
        with db.tenant_session(story.merchant) as session:
            prepared = outreach.prepare(session, story.merchant, other.id, 1, second)
        assert prepared.message is None
        assert "at most 1 message a week" in prepared.reason

    def test_switched_off_between_crash_and_repeat_means_no_message(self, story: Story):
        story.prepare()
        with db.tenant_session(story.merchant) as session:
            service.stop_messages(session, story.merchant, "usr_1")
        assert story.prepare().message is None
        assert story.messages[0].state == MessageState.UNCERTAIN

    def test_a_slot_left_open_is_settled_when_nothing_follows(self, story: Story):
        story.prepare()
        story.see(PAID)
        with db.tenant_session(story.merchant) as session:
            outreach.hold(session, story.merchant, story.ghost.id, 1, "paid")
        assert (story.messages[0].state, story.ghost.messages_sent) == (MessageState.UNCERTAIN, 1)
        assert sum(day.messages_count for day in story.rows(DailyMetrics)) == 1

    def test_a_payment_under_way_stops_a_repeat_whatever_the_week_has_room_for(
        self, database: object, clock: ManualClock
    ):
        story = Story(clock, messages_per_customer_week=1)
        story.prepare()  # its own slot takes the week's one place
        repeat = story.prepare(replace(FAILED, payment_status="processing"))
        assert repeat.message is None
        assert story.messages[0].state == MessageState.UNCERTAIN

    def test_paid_between_crash_and_repeat_means_no_message(self, story: Story):
        story.prepare()
        assert story.prepare(PAID).message is None
        assert story.messages[0].state == MessageState.UNCERTAIN
        assert story.ghost.state == GhostState.RECOVERED


class TestClicks:
    def test_looking_records_nothing(self, story: Story):
        story.sent(story.prepare())
        with db.tenant_session(story.merchant) as session:
            view = clicks.landing(session, story.link())
        assert (view.open, view.amount) == (True, 4900)
        assert story.ghost.click_count == 0

    def test_a_confirmed_click_counts_and_claims_the_payment(self, story: Story):
        story.sent(story.prepare())
        with db.tenant_session(story.merchant) as session:
            clicks.confirm(session, story.link())
        assert (story.ghost.state, story.ghost.click_count) == (GhostState.CLICKED, 1)
        story.see(PAID)
        assert story.ghost.mechanism == "click"

    def test_after_paying_the_link_says_so(self, story: Story):
        story.sent(story.prepare())
        story.see(PAID)
        with db.tenant_session(story.merchant) as session:
            assert clicks.landing(session, story.link()).paid
            with pytest.raises(clicks.LinkClosedError):
                clicks.confirm(session, story.link())

    def test_the_address_that_opted_out_stays_out_when_it_returns(self, story: Story):
        story.sent(story.prepare())
        elsewhere = replace(FAILED, customer=replace(FAILED.customer, email="new@example.com"))
        story.see(elsewhere)
        with db.tenant_session(story.merchant) as session:
            optout.unsubscribe(session, story.link(LinkPurpose.UNSUBSCRIBE))
        story.clock.advance(timedelta(days=4))
        for facts in (FAILED, elsewhere):
            story.see(facts)
            assert story.prepare(facts, step=2).message is None

    def test_who_opted_out_stays_out_when_their_address_changes(self, story: Story):
        """The page said "will not write to you any more": the next invoice and the next address are still theirs."""
        story.sent(story.prepare())
        with db.tenant_session(story.merchant) as session:
            optout.unsubscribe(session, story.link(LinkPurpose.UNSUBSCRIBE))
        moved = replace(FAILED, customer=replace(FAILED.customer, email="ada@new.example"))
        another = replace(parse_invoice(raw_invoice(2)), customer=moved.customer)
        story.clock.advance(timedelta(days=4))
        for facts in (moved, another):
            story.see(facts)
        assert story.prepare(moved, step=2).message is None
        ghosts = story.rows(GhostTarget)
        assert [ghost.customer_email for ghost in ghosts] == ["ada@new.example"] * 2
        assert {ghost.next_action for ghost in ghosts} == {"exhaust"}

    def test_after_an_unsubscribe_nothing_goes_out(self, story: Story):
        story.sent(story.prepare())
        with db.tenant_session(story.merchant) as session:
            assert optout.unsubscribe(session, story.link(LinkPurpose.UNSUBSCRIBE))
            assert not optout.unsubscribe(session, story.link(LinkPurpose.UNSUBSCRIBE))
        assert story.ghost.next_action == "exhaust"
        story.clock.advance(timedelta(days=4))
        assert story.prepare(step=2).message is None
        assert story.ghost.next_action == "exhaust"
        story.clock.advance(timedelta(days=25))
        with db.tenant_session(story.merchant) as session:
            assert pulse.plan_due(session, story.merchant, story.clock.now()).exhausted == 1


class TestTokens:
    def _token(self, story: Story) -> str:
        with db.tenant_session(story.merchant) as session:
            return links.create(session, story.merchant, "gh_1", "msg_1", LinkPurpose.PAY).rsplit("/", 1)[-1]

    def test_a_genuine_one_resolves(self, story: Story):
        token = self._token(story)
        with db.system_session() as session:
            assert links.resolve(session, token, LinkPurpose.PAY).ghost_id == "gh_1"

    def test_for_another_purpose_it_is_worthless(self, story: Story):
        token = self._token(story)
        with db.system_session() as session, pytest.raises(links.LinkNotFoundError):
            links.resolve(session, token, LinkPurpose.UNSUBSCRIBE)

    @pytest.mark.parametrize("nonsense", ["", "x", "A" * 43, "ä" * 43, "A" * 5000, "../../etc", "%00" * 14, "=" * 43])
    def test_nonsense_is_not_found(self, story: Story, nonsense: str):
        with db.system_session() as session, pytest.raises(links.LinkNotFoundError):
            links.resolve(session, nonsense, LinkPurpose.PAY)

    def test_every_flipped_character_is_noticed(self, story: Story):
        token = self._token(story)
        for index in range(len(token) - 1):
            forged = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
            with pytest.raises(links.LinkNotFoundError):
                links.identity_of(forged, LinkPurpose.PAY)


class TestPulse:
    def test_plans_a_message_once_and_for_its_own_moment(self, story: Story):
        story.sent(story.prepare())
        due = story.ghost.next_action_at
        story.clock.current = due - timedelta(minutes=40)
        assert (story.pulse().messages, story.pulse().messages) == (1, 0)
        (task,) = [task for task in story.rows(ScheduledTask) if task.payload["step"] == 2]
        assert (task.run_at, story.ghost.next_action_at) == (due, due)

    def test_leaves_what_is_due_after_the_next_one_to_that(self, story: Story):
        story.sent(story.prepare())
        story.clock.current = story.ghost.next_action_at - timedelta(minutes=61)
        assert story.pulse() == pulse.Pulsed(0, 0, 0, None)

    def test_what_was_missed_until_night_is_planned_for_the_day_without_a_task(self, story: Story):
        story.sent(story.prepare())
        story.clock.advance(timedelta(days=5))  # 9:00 UTC: no hour to write to the United States
        assert story.pulse() == pulse.Pulsed(0, 0, 1, None)
        assert story.ghost.next_action_at > story.clock.now()
        assert story.pulse() == pulse.Pulsed(0, 0, 0, None)

    def test_ends_with_exhaustion_and_a_payment_still_counts(self, database: object, clock: ManualClock):
        story = Story(clock, messages_per_ghost=1)
        story.sent(story.prepare())
        clock.advance(timedelta(days=4))
        with db.tenant_session(story.merchant) as session:
            assert pulse.plan_due(session, story.merchant, clock.now()).exhausted == 1
        assert story.ghost.state == GhostState.EXHAUSTED
        story.see(PAID)
        assert story.ghost.state == GhostState.RECOVERED
