"""The Pulse Engine at work: about one task a mail, ways to a customer, plans that follow what happens."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from jobs import pulse as pulse_job
from models.ghost import FoundVia, GhostState, GhostTarget, ManualTask, ManualTaskState, Strategy
from models.merchant import Merchant
from models.messaging import Channel, Message, MessageState
from models.work import ScheduledTask
from services.integrations.stripe.connect import AccountFacts, Grant
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.merchants.joining import Joining, _attach
from services.messaging import consents, links
from services.messaging.once import DISCONNECTED
from services.recovery import service
from services.recovery.messages import outreach, settlement
from services.recovery.observe import observe
from services.recovery.plans import plan_repository, pulse
from services.recovery.work import merchant_context
from services.tasks.schemas import ClaimedTask
from services.vault.secret import Secret
from tests.support.factories import make_merchant, raw_intent, raw_invoice

PHONE = "+4915112345678"


def german(number: int = 1, customer: int = 1, **changes: Any) -> Any:
    """A failed invoice of a customer in Germany, where it is ten in the morning at the clock's 9:00 UTC."""
    facts = parse_invoice(raw_invoice(number))
    who = replace(
        facts.customer, id=f"cus_{customer}", email=f"customer{customer}@example.com", country="de", phone=PHONE
    )
    return replace(facts, customer=who, **changes)


class Story:
    """A merchant whose tasks somebody runs at their moments, each with what Stripe says then."""

    def __init__(self, clock: ManualClock, **policy: Any) -> None:
        self.clock, self.merchant = clock, make_merchant(policy=policy)
        self.invoices: dict[str, Any] = {}
        self.tried = 0

    def find(self, *facts: Any) -> None:
        self.invoices |= {each.id: each for each in facts}
        with db.tenant_session(self.merchant) as session:
            observe(session, merchant_context(session, self.merchant), list(facts), FoundVia.HUNT, self.clock.now())

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())

    @property
    def ghost(self) -> GhostTarget:
        return self.rows(GhostTarget)[0]

    def send(self, ghost_id: str, step: int) -> outreach.Prepared:
        """As jobs/send_message does it, with a provider that takes everything."""
        self.tried += 1
        ghost = next(each for each in self.rows(GhostTarget) if each.id == ghost_id)
        with db.tenant_session(self.merchant) as session:
            prepared = outreach.prepare(session, self.merchant, ghost_id, step, self.invoices[ghost.invoice_id])
        if prepared.message is not None:
            with db.tenant_session(self.merchant) as session:
                settlement.settle_sent(
                    session, self.merchant, prepared.message_id, "resend", f"re_{prepared.message_id}"
                )
        return prepared

    def pulse(self, **payload: Any) -> dict[str, Any]:
        return pulse_job.run(ClaimedTask(1, "pulse", self.merchant, payload, 1, 5, 0, "", "test", self.clock.now()))

    def live(self, days: int) -> None:
        """Each task at its own moment, and a pulse at the beginning of every hour in which something is due."""
        ends, done = self.clock.now() + timedelta(days=days), set[int]()
        while True:
            waiting = [ghost.next_action_at for ghost in self.rows(GhostTarget) if ghost.next_action_at is not None]
            if not waiting or min(waiting) > ends:
                return
            hour = min(waiting).replace(minute=0, second=0, microsecond=0)
            if hour > self.clock.now():
                self.clock.current = hour
            before = self.tried
            self.pulse()
            while due := self._due(self.clock.now() + timedelta(hours=1), done):
                self.clock.current = max(self.clock.now(), due.run_at)
                done.add(due.id)
                if due.kind == "send_message":
                    self.send(due.payload["ghost_id"], due.payload["step"])
                else:
                    self.pulse(**due.payload)
            if before == self.tried:  # what is over is given up by the next pulse
                self.clock.advance(timedelta(hours=1))

    def _due(self, ends: datetime, done: set[int]) -> Any:
        waiting = [task for task in self.rows(ScheduledTask) if task.id not in done and task.run_at < ends]
        return min(waiting, key=lambda task: (task.run_at, task.id), default=None)


@pytest.fixture
def story(database: object, clock: ManualClock) -> Story:
    return Story(clock)


class TestOneTaskAMail:
    def test_a_ghost_gets_three_messages_and_three_tasks(self, story: Story):
        story.find(german())
        story.live(16)
        sent = sorted(message.sent_at for message in story.rows(Message))
        assert (len(sent), story.tried) == (3, 3)
        assert all(later - former >= timedelta(hours=72) for former, later in pairwise(sent))
        assert story.ghost.state == "exhausted"

    def test_forty_ghosts_of_one_customer_too(self, story: Story):
        """They were tried and held every six hours each: hundreds of tasks for four mails."""
        story.find(*[german(number) for number in range(1, 41)])
        story.live(8)
        sent = sorted(message.sent_at for message in story.rows(Message))
        assert len(sent) == 4
        assert story.tried <= len(sent) + 2
        assert all(later - former >= timedelta(days=7) for former, later in zip(sent, sent[2:], strict=False))
        assert len({message.ghost_id for message in story.rows(Message)}) == len(sent)  # each told once before a second

    def test_what_a_paid_one_leaves_the_others_move_up_to(self, story: Story):
        story.find(*[german(number) for number in (1, 2, 3)])
        first, second, third = sorted(story.rows(GhostTarget), key=lambda ghost: ghost.id)
        assert third.next_action_at >= story.clock.now() + timedelta(days=7)
        story.find(replace(german(1), status="paid", amount_remaining=0, amount_paid=4900))
        assert second.next_action_at == next(
            ghost.next_action_at for ghost in story.rows(GhostTarget) if ghost.id == third.id
        )
        assert first.id != third.id

    def test_a_plan_within_the_hour_has_its_task_in_the_same_transaction(self, story: Story):
        story.find(german())
        (task,) = story.rows(ScheduledTask)
        assert (task.kind, task.run_at, task.payload["step"]) == ("send_message", story.clock.now(), 1)

    def test_a_hunts_many_share_one_pulse(self, story: Story):
        for page in range(3):
            story.find(*[german(number, number) for number in range(10 * page + 1, 10 * page + 11)])
        (task,) = story.rows(ScheduledTask)
        assert task.kind == "pulse"
        assert story.clock.now() < task.run_at <= story.clock.now() + timedelta(seconds=15)
        assert (story.pulse()["messages"], story.pulse()["messages"]) == (30, 0)


class TestWaysToACustomer:
    """Mail first; SMS where mail cannot, with the merchant's switch and recorded consent, never in the same slot."""

    @pytest.fixture
    def texting(self, database: object, clock: ManualClock) -> Story:
        story = Story(clock, sms=True)
        story.find(german())
        return story

    def consent(self, story: Story, **how: Any) -> None:
        with db.tenant_session(story.merchant) as session:
            given = consents.read(channel="sms", address=PHONE, happened_at=story.clock.now(), **how)
            consents.record(session, story.merchant, [given], "usr_1")

    def bounce(self, story: Story) -> None:
        with db.tenant_session(story.merchant) as session:
            links.suppress(session, story.merchant, Channel.EMAIL, "customer1@example.com", "bounced")

    def test_mail_goes_first_whatever_was_agreed_to(self, texting: Story):
        self.consent(texting)
        prepared = texting.send(texting.ghost.id, 1)
        assert prepared.message is not None
        assert prepared.message.channel is Channel.EMAIL

    def test_after_a_bounce_the_next_message_is_a_text(self, texting: Story):
        self.consent(texting)
        texting.send(texting.ghost.id, 1)
        self.bounce(texting)
        texting.clock.advance(timedelta(days=4))
        prepared = texting.send(texting.ghost.id, 2)
        assert prepared.message is not None
        assert (prepared.message.channel, prepared.message.recipient) == (Channel.SMS, PHONE)
        assert prepared.message.plain
        written = {(message.step, message.channel) for message in texting.rows(Message)}
        assert (written, len(texting.rows(Message))) == ({(1, "email"), (2, "sms")}, 2)

    def test_never_without_consent(self, texting: Story):
        self.bounce(texting)
        prepared = texting.send(texting.ghost.id, 1)
        assert (prepared.message, texting.rows(Message)) == (None, [])
        assert "not agreed to messages by SMS" in texting.ghost.next_action_reason

    def test_never_after_consent_was_taken_back(self, texting: Story):
        self.consent(texting)
        texting.clock.advance(timedelta(minutes=1))
        self.consent(texting, state="withdrawn")
        self.bounce(texting)
        assert texting.send(texting.ghost.id, 1).message is None

    def test_never_while_the_merchants_switch_is_off(self, story: Story):
        story.find(german())
        self.consent(story)
        self.bounce(story)
        assert story.send(story.ghost.id, 1).message is None
        assert story.ghost.next_action == "exhaust"

    def test_consent_that_comes_later_is_planned_for(self, texting: Story):
        self.bounce(texting)
        texting.pulse(replan=True)
        assert texting.ghost.next_action == "exhaust"
        self.consent(texting)
        (task,) = [task for task in texting.rows(ScheduledTask) if task.kind == "pulse"]
        texting.pulse(**task.payload)
        assert texting.ghost.next_action == "send_message"
        assert "By SMS: mail to the customer's address comes back." in texting.ghost.next_action_reason

    def test_a_refused_mail_is_followed_by_a_text_in_a_slot_of_its_own(self, texting: Story):
        self.consent(texting)
        with db.tenant_session(texting.merchant) as session:
            prepared = outreach.prepare(session, texting.merchant, texting.ghost.id, 1, german())
        with db.tenant_session(texting.merchant) as session:
            settlement.settle_failed(session, texting.merchant, prepared.message_id, "no such domain")
        assert texting.ghost.next_action == "send_message"
        assert texting.send(texting.ghost.id, 1).message is None  # its slot is taken
        text = texting.send(texting.ghost.id, 2)
        assert text.message is not None
        assert text.message.channel is Channel.SMS

    def test_a_text_left_by_a_crash_is_uncertain_at_once_and_counts(self, texting: Story):
        self.consent(texting)
        self.bounce(texting)
        with db.tenant_session(texting.merchant) as session:
            prepared = outreach.prepare(session, texting.merchant, texting.ghost.id, 1, german())
        assert prepared.message is not None
        with db.tenant_session(texting.merchant) as session:
            message = session.exec(select(Message)).one()
            message.sender_key = "a-key"  # begun with a sender, so it may have been handed over
        again = texting.send(texting.ghost.id, 1)
        assert again.message is None
        assert [message.state for message in texting.rows(Message)] == [MessageState.UNCERTAIN]
        assert texting.ghost.messages_sent == 1

    @pytest.mark.parametrize(("country", "zones"), [
        ("", {"Australia/Sydney", "Australia/Perth"}),  # the card is American: that says nothing of where its owner is
        ("us", {"Australia/Sydney", "Australia/Perth", "America/New_York", "Pacific/Honolulu"}),
    ])  # fmt: skip
    def test_a_text_keeps_to_the_hours_of_the_numbers_country_and_of_the_address(
        self, database: object, clock: ManualClock, country: str, zones: set[str]
    ):
        clock.advance(timedelta(hours=9))  # 18:00 UTC: daytime in America, five in the morning in Sydney
        story, number = Story(clock, sms=True), "+61412345678"
        with db.tenant_session(story.merchant) as session:
            given = consents.read(channel="sms", address=number, happened_at=clock.now())
            consents.record(session, story.merchant, [given], "usr_1")
        facts = parse_invoice(raw_invoice(1, intent=raw_intent("expired_card")))
        story.find(replace(facts, customer=replace(facts.customer, email=None, phone=number, country=country)))
        assert (story.ghost.next_action, story.ghost.country_code) == ("send_message", "us")
        at = story.ghost.next_action_at
        assert at is not None
        assert {zone for zone in zones if 8 <= at.astimezone(ZoneInfo(zone)).hour < 21} == zones

    def test_a_number_nobody_can_dial_is_none(self, database: object, clock: ManualClock):
        story = Story(clock, sms=True)
        odd = replace(german().customer, phone="call me maybe", email=None)
        story.find(replace(german(), customer=odd))
        assert "No phone number" in story.ghost.next_action_reason


class TestAPersonsRelease:
    def test_lets_one_message_go(self, story: Story):
        story.find(german(1, 1, amount_remaining=500_000))
        assert (story.ghost.strategy, story.ghost.next_action) == (Strategy.HIGH_VALUE_MANUAL, "")
        with db.tenant_session(story.merchant) as session:
            task = session.exec(select(ManualTask)).one()
            task.released_at, task.state = story.clock.now(), ManualTaskState.OPEN
        story.clock.advance(timedelta(seconds=1))
        assert story.send(story.ghost.id, 1).message is not None
        story.clock.advance(timedelta(days=4))
        assert story.send(story.ghost.id, 2).message is None
        assert "A person decides" in story.ghost.next_action_reason


class TestPolicyThatChanges:
    @pytest.mark.parametrize("at_once", [1_000, 0])
    def test_replans_every_open_ghost(self, story: Story, monkeypatch: pytest.MonkeyPatch, at_once: int):
        """Few at once, many by a pulse in pages; both come to the same."""
        monkeypatch.setattr(service, "REPLANNED_AT_ONCE", at_once)
        monkeypatch.setattr(pulse, "REPLANNED", 3)
        story.find(*[german(number, number) for number in range(1, 11)])
        with db.tenant_session(story.merchant) as session:
            assert service.stop_messages(session, story.merchant, "usr_1") == 10
        for task in story.rows(ScheduledTask):
            if task.payload.get("replan"):
                story.pulse(**task.payload)
        assert {ghost.next_action for ghost in story.rows(GhostTarget)} == {""}
        assert {ghost.next_action_reason for ghost in story.rows(GhostTarget)} == {
            "Messages are paused in the recovery policy."
        }

    def test_very_many_are_planned_in_parts_that_go_on_where_the_last_one_ended(
        self, story: Story, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(pulse, "REPLANNED", 3)
        monkeypatch.setattr(pulse_job, "PAGES_A_PART", 2)
        story.find(*[german(number, number) for number in range(1, 15)])
        with db.tenant_session(story.merchant) as session:  # and no plan is made anew
            merchants.change_policy(session, story.merchant, {"paused": True}, actor_id="usr_1")
        lock_ghosts, planned = plan_repository.lock_ghosts, list[str]()

        def locked(session: Any, merchant: str, ids: Any) -> Any:
            planned.extend(ids)
            return lock_ghosts(session, merchant, ids)

        monkeypatch.setattr(plan_repository, "lock_ghosts", locked)
        known = {task.id for task in story.rows(ScheduledTask)}
        assert [story.pulse(replan=True), story.pulse(replan=True)] == [{"goes_on": True}] * 2  # the first one died
        parts = [2 * 3]
        while waiting := [task for task in story.rows(ScheduledTask) if task.id not in known]:
            (task,) = waiting
            known.add(task.id)
            story.pulse(**task.payload)
            parts.append(len(set(planned)))
        assert parts == [6, 12, 14]
        assert len(planned) == 6 + 14
        assert {ghost.next_action for ghost in story.rows(GhostTarget)} == {""}

    def test_what_no_longer_stands_is_settled_slice_by_slice(self, story: Story, monkeypatch: pytest.MonkeyPatch):
        """A page of thousands may not hold the shards of all their customers, who click and pay meanwhile."""
        monkeypatch.setattr(pulse, "REPLANNED", 3)
        story.find(*[german(number, number) for number in range(1, 11)])
        with db.tenant_session(story.merchant) as session:  # and no plan is made anew
            merchants.change_policy(session, story.merchant, {"paused": True}, actor_id="usr_1")
        at_once: list[int] = []

        def locked(*given: Any) -> Any:
            at_once.append(len(given[2]))
            return lock_ghosts(*given)

        lock_ghosts = plan_repository.lock_ghosts
        monkeypatch.setattr(plan_repository, "lock_ghosts", locked)
        assert story.pulse()["moved"] == 10
        assert at_once == [3, 3, 3, 1]
        assert {ghost.next_action for ghost in story.rows(GhostTarget)} == {""}

    def test_who_was_planned_anew_between_look_and_lock_is_not_given_up(
        self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        """Each slice is a transaction of its own, and the merchant may allow more messages before its turn."""
        monkeypatch.setattr(pulse, "REPLANNED", 1)
        story = Story(clock, messages_per_ghost=1)
        story.find(german(1, 1), german(2, 2))
        for ghost in story.rows(GhostTarget):
            assert story.send(ghost.id, 1).message is not None
        clock.advance(timedelta(hours=73))
        now = clock.now()
        with db.tenant_session(story.merchant) as session:
            page = pulse.plan_due(session, story.merchant, now)
        assert (page.exhausted, len(page.left)) == (1, 1)
        with db.tenant_session(story.merchant) as session:
            merchants.change_policy(session, story.merchant, {"messages_per_ghost": 3}, actor_id="usr_1")
            service.replan_open(session, story.merchant)
        with db.tenant_session(story.merchant) as session:
            assert pulse.settle(session, story.merchant, page.left, now) == (0, 1)
        assert sorted((ghost.state, ghost.next_action) for ghost in story.rows(GhostTarget)) == [
            (GhostState.CONTACTED, "send_message"),
            (GhostState.EXHAUSTED, ""),
        ]

    def test_what_may_go_only_later_by_now_is_moved_and_makes_no_task(self, story: Story):
        story.find(german())
        due, known = story.ghost.next_action_at, len(story.rows(ScheduledTask))
        later = {"quiet_first_message": True, "quiet_until_hour": 12}
        with db.tenant_session(story.merchant) as session:  # and no plan is made anew
            merchants.change_policy(session, story.merchant, later, actor_id="usr_1")
        done = story.pulse()
        assert (done["messages"], done["moved"]) == (0, 1)
        assert len(story.rows(ScheduledTask)) == known
        assert due < story.ghost.next_action_at == story.clock.now().replace(hour=11)  # noon in Berlin

    def test_holds_before_the_plans_are_made_anew(self, story: Story, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(service, "REPLANNED_AT_ONCE", 0)
        story.find(german())
        with db.tenant_session(story.merchant) as session:
            service.stop_messages(session, story.merchant, "usr_1")
        assert story.ghost.next_action == "send_message"  # not planned anew yet
        assert story.send(story.ghost.id, 1).message is None

    def test_a_disconnected_account_waits(self, story: Story):
        story.find(german())
        with db.tenant_session(story.merchant) as session:
            merchants.mark_disconnected(session, story.merchant, at=story.clock.now(), reason="taken back")
        assert story.send(story.ghost.id, 1).message is None
        assert story.ghost.next_action_reason == DISCONNECTED


class TestDisconnected:
    def disconnect(self, story: Story) -> None:
        with db.tenant_session(story.merchant) as session:
            assert merchants.mark_disconnected(session, story.merchant, at=story.clock.now(), reason="taken back")

    def connect_again(self, story: Story) -> None:
        token = Secret("sk_test_again")
        facts = AccountFacts("acct_1", "Northwind", None, "US", "usd", "UTC", "")
        joining = Joining(Grant("acct_1", token, None, "read_write", False), facts, None, True, "again")
        with db.tenant_session(story.merchant) as session:
            merchant = session.get(Merchant, story.merchant)
            assert merchant is not None
            _attach(session, merchant, joining, "usr_1")

    def run_replans(self, story: Story) -> int:
        """The pulses that plan everything anew, as a worker runs them."""
        wanted = [task for task in story.rows(ScheduledTask) if task.kind == "pulse" and task.payload.get("replan")]
        for task in wanted:
            story.pulse(**task.payload)
        return len(wanted)

    def next_hour(self, story: Story) -> Any:
        with db.tenant_session(story.merchant) as session:
            return service.next_hour(session, story.merchant)

    def test_nothing_is_announced_from_that_moment_on(self, story: Story):
        story.find(german())
        assert self.next_hour(story).messages == 1
        self.disconnect(story)
        seen = self.next_hour(story)
        assert (seen.messages, seen.first, seen.why_none) == (0, (), DISCONNECTED)

    def test_no_plan_stands_and_each_says_why(self, story: Story):
        story.find(german(1, 1), german(2, 2))
        story.send(story.ghost.id, 1)
        story.clock.advance(timedelta(days=2))
        self.disconnect(story)
        assert self.run_replans(story) == 1
        assert {(ghost.next_action, ghost.next_action_at, ghost.next_action_reason)
                for ghost in story.rows(GhostTarget)} == {("", None, DISCONNECTED)}  # fmt: skip

    def test_connected_again_it_goes_on_where_it_was(self, story: Story):
        story.find(german())
        story.send(story.ghost.id, 1)
        planned = (story.ghost.next_action, story.ghost.next_action_at, story.ghost.next_action_reason)
        story.clock.advance(timedelta(hours=1))
        self.disconnect(story)
        self.run_replans(story)
        story.clock.advance(timedelta(hours=1))
        self.connect_again(story)
        assert self.run_replans(story) == 2
        assert (story.ghost.next_action, story.ghost.next_action_at, story.ghost.next_action_reason) == planned
        assert self.next_hour(story).why_none == ""

    def test_connected_again_after_its_days_it_ends(self, story: Story):
        story.find(german())
        self.disconnect(story)
        self.run_replans(story)
        story.clock.advance(timedelta(days=40))
        self.connect_again(story)
        self.run_replans(story)
        assert story.ghost.state == GhostState.EXHAUSTED
        assert story.rows(Message) == []


class TestNextHour:
    def test_is_what_goes_within_it_first_first(self, story: Story):
        story.find(*[german(number, number) for number in range(1, 8)])
        with db.tenant_session(story.merchant) as session:
            seen = service.next_hour(session, story.merchant)
        assert (seen.messages, seen.more, len(seen.first)) == (7, False, 5)
        assert all(row.next_action_reason.startswith("Golden Hour") for row in seen.first)

    def test_is_empty_while_nothing_is_due_in_it(self, story: Story):
        story.find(german())
        story.send(story.ghost.id, 1)
        with db.tenant_session(story.merchant) as session:
            assert service.next_hour(session, story.merchant).messages == 0
        story.clock.current = story.ghost.next_action_at - timedelta(minutes=59)
        with db.tenant_session(story.merchant) as session:
            assert service.next_hour(session, story.merchant).messages == 1

    def test_is_empty_while_messages_are_off(self, story: Story):
        story.find(german())
        with db.tenant_session(story.merchant) as session:
            service.stop_messages(session, story.merchant, "usr_1")
            assert service.next_hour(session, story.merchant).messages == 0
