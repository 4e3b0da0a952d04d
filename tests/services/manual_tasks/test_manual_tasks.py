"""Manual tasks: made with the ghost, told of once, worked on by one person at a time, over with the ghost."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from jobs import notify_action_required, runner, send_message
from models.audit import AuditLog, SystemLog
from models.ghost import GhostState, GhostTarget, ManualTask, ManualTaskState
from models.identity import Role
from models.merchant import Merchant
from models.messaging import Channel, Message, MessageState
from models.work import ScheduledTask, TaskState
from services.analytics import shards
from services.identity import people
from services.identity import repository as identity_repository
from services.integrations.resend import EmailKeyRefusedError, EmailKeyUsedError, EmailUnknownError
from services.manual_tasks import alerts, service
from services.manual_tasks.errors import (
    BadManualTaskError,
    ManualTaskMovedError,
    ManualTaskNotFoundError,
    NothingToReleaseError,
)
from services.messaging import consents, links, team_mail
from services.messaging import service as messaging
from services.messaging.schedule import DECIDED, STILL_COUNTS
from services.messaging.senders import pace, refusals
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import OutgoingMessage
from services.recovery import service as recovery
from services.recovery.manual import NOTHING_FOLLOWS
from services.recovery.plans import pulse
from services.recovery.work import Work, merchant_context
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask
from tests.services.recovery.credit.test_reopening import tell, undo
from tests.support.death import dying_at
from tests.support.factories import make_merchant
from tests.support.neighbours import impatient
from tests.support.shop import Shop

LARGE = 250_000


class Post:
    """A provider that takes one mail a key, at the platform's rate."""

    name = key_print = "post"
    paused = ""
    own, repeats_safely = False, True

    def __init__(self, rate: float = 0.0) -> None:
        self.taken: dict[str, OutgoingMessage] = {}
        self.silent = self.locked = False
        self.rate = rate

    def send(self, email: OutgoingMessage, *, idempotency_key: str) -> str:
        if self.locked:
            raise EmailKeyRefusedError("API key is invalid.")
        if self.taken.setdefault(idempotency_key, email) != email:
            raise EmailKeyUsedError
        if self.silent:
            raise EmailUnknownError
        return "post_1"


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(senders, "sender_for", lambda *_: None)  # messages rest in the outbox
    return Shop.open(clock, monkeypatch)


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    office = Post()
    monkeypatch.setattr(senders, "platform_sender", lambda _channel: office)
    return office


def join(shop: Shop, name: str, role: Role, *, confirmed: bool = True) -> str:
    with db.user_session() as session:
        user = people.create_person(session, email=f"{name}@example.com", name=name.title())
        if confirmed:
            identity_repository.set_verified(session, user, core_clock.now())
    with db.tenant_session(shop.merchant) as session:
        people.add_member(session, shop.merchant, user, role)
    return user


def waiting(shop: Shop, email: str = "ada@example.com") -> str:
    """A renewal above the line has failed; its task."""
    before = {task.id for task in shop.rows(ManualTask)}
    shop.subscriber(amount=LARGE, decline_code="insufficient_funds", email=email)
    shop.pass_time(days=31, hours=2)
    (task,) = [each for each in shop.rows(ManualTask) if each.id not in before]
    return str(task.id)


def act(shop: Shop, name: str, task_id: str, *given: Any, **named: Any) -> Any:
    with db.tenant_session(shop.merchant) as session:
        return getattr(service, name)(session, shop.merchant, task_id, *given, **named)


def listed(shop: Shop, state: ManualTaskState = ManualTaskState.OPEN) -> Any:
    with db.tenant_session(shop.merchant) as session:
        return service.list_tasks(session, shop.merchant, state)


def claimed(shop: Shop, task: ScheduledTask) -> ClaimedTask:
    """The task as it is by now, in the hands of a worker."""
    with db.system_session() as session:
        row = session.exec(select(ScheduledTask).where(ScheduledTask.id == task.id)).one()
        row.state, row.lease_owner, row.attempts = TaskState.RUNNING, "test", 1
        payload = dict(row.payload)
    return ClaimedTask(task.id or 0, task.kind, shop.merchant, payload, 1, 5, 0, "", "test", task.run_at, task.key)


def run_alerts(shop: Shop) -> list[Any]:
    """What is due of the alerts, each task once."""
    done: list[Any] = []
    seen: set[int | None] = set()
    while new := [t for t in shop.rows(ScheduledTask) if t.kind == "notify_action_required" and t.id not in seen]:
        for task in new:
            seen.add(task.id)
            try:
                done.append(notify_action_required.run(claimed(shop, task)))
            except Discard as nothing:
                done.append(nothing.reason)
    return done


class TestList:
    def test_shows_who_and_how_much_and_pages_on_the_server(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        waiting(shop)
        monkeypatch.setattr(service, "PAGE_SIZE", 1)
        waiting(shop, "bob@example.com")
        found = listed(shop)
        assert (found.total, found.pages, len(found.lines)) == (2, 2, 1)
        assert (found.lines[0].customer, found.lines[0].amount, found.lines[0].currency) == (
            "Ada Example",
            LARGE,
            "usd",
        )
        assert "high-value line" in found.lines[0].reason

    def test_another_merchants_task_is_as_unknown_as_none(self, shop: Shop):
        task = waiting(shop)
        other = make_merchant(name="Elsewhere")
        with db.tenant_session(other) as session, pytest.raises(ManualTaskNotFoundError):
            service.close(session, other, task, "mine now", actor_id="usr_x")
        with db.tenant_session(other) as session:
            assert service.list_tasks(session, other, ManualTaskState.OPEN).total == 0


class TestWorkingOnIt:
    def test_each_act_is_audited_with_who_did_it(self, shop: Shop):
        task, member = waiting(shop), join(shop, "mia", Role.MEMBER)
        act(shop, "assign", task, member, seen="", actor_id="usr_a")
        act(shop, "close", task, "  called them,   they  pay ", actor_id="usr_a")
        act(shop, "reopen", task, actor_id=member)
        kept = [(row.action, row.actor_id, row.target) for row in shop.rows(AuditLog)]
        assert ("manual_task.assigned", "usr_a", task) in kept
        assert ("manual_task.closed", "usr_a", task) in kept
        assert ("manual_task.reopened", member, task) in kept
        assert listed(shop).lines[0].assignee == "Mia"

    def test_who_may_not_work_on_tasks_gets_none(self, shop: Shop):
        task, analyst = waiting(shop), join(shop, "ann", Role.ANALYST)
        for nobody in (analyst, "usr_unknown"):
            with pytest.raises(BadManualTaskError):
                act(shop, "assign", task, nobody, seen="", actor_id="usr_a")

    @pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
    def test_closing_wants_a_reason(self, shop: Shop, reason: str):
        task = waiting(shop)
        with pytest.raises(BadManualTaskError):
            act(shop, "close", task, reason, actor_id="usr_a")

    def test_what_a_person_closed_is_shown_with_the_reason(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "they pay by wire", actor_id=join(shop, "mia", Role.MEMBER))
        (line,) = listed(shop, ManualTaskState.DONE).lines
        assert (line.closed_reason, line.closed_by, listed(shop).total) == ("they pay by wire", "Mia", 0)

    def test_what_a_person_is_done_with_ends_with_its_days(self, shop: Shop):
        act(shop, "close", waiting(shop), "they will not pay", actor_id="usr_a")
        (ghost,) = shop.ghosts
        assert (ghost.next_action, ghost.next_action_at) == ("exhaust", ghost.found_at + timedelta(days=28))
        shop.clock.advance(timedelta(days=29))
        with db.tenant_session(shop.merchant) as session:
            assert pulse.plan_due(session, shop.merchant, core_clock.now()).exhausted == 1
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action_reason) == (GhostState.EXHAUSTED, f"{DECIDED}{STILL_COUNTS}")

    def test_it_may_be_written_off_with_its_task_and_a_payment_still_counts(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "they will not pay", actor_id="usr_a", write_off=True)
        assert shop.ghosts[0].state == GhostState.LOST
        with pytest.raises(BadManualTaskError, match="over"):
            act(shop, "reopen", task, actor_id="usr_a")
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card["id"])
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED


class TestTwoAtOnce:
    def test_one_assigns_and_the_other_is_told(self, shop: Shop):
        task, mia, tom = waiting(shop), join(shop, "mia", Role.MEMBER), join(shop, "tom", Role.ADMIN)
        act(shop, "assign", task, mia, seen="", actor_id=mia)
        with pytest.raises(ManualTaskMovedError):
            act(shop, "assign", task, tom, seen="", actor_id=tom)
        assert listed(shop).lines[0].assignee == "Mia"

    def test_one_closes_and_the_other_is_told(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "done", actor_id="usr_a")
        for name, given in (("close", ("done too",)), ("release", ()), ("assign", ("",))):
            with pytest.raises(ManualTaskMovedError):
                act(shop, name, task, *given, actor_id="usr_b", **({"seen": ""} if name == "assign" else {}))

    def test_one_opens_it_again_and_the_other_is_told(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "done", actor_id="usr_a")
        act(shop, "reopen", task, actor_id="usr_a")
        with pytest.raises(ManualTaskMovedError):
            act(shop, "reopen", task, actor_id="usr_b")


class TestRelease:
    def messages(self, shop: Shop) -> list[Message]:
        """Run what is to be sent now."""
        for task in shop.rows(ScheduledTask):
            if task.kind == "send_message" and task.run_at <= core_clock.now():
                send_message.run(claimed(shop, task))
        return shop.rows(Message)

    def test_a_high_value_ghost_gets_no_message_by_itself(self, shop: Shop):
        waiting(shop)
        shop.pass_time(days=3)
        assert self.messages(shop) == []

    def test_one_release_is_one_message_and_the_draft_is_what_goes(self, shop: Shop):
        task = waiting(shop)
        draft = act(shop, "draft", task)
        assert (draft.recipient, "2,500" in draft.plain, draft.step) == ("ada@example.com", True, 1)
        act(shop, "release", task, actor_id="usr_a")
        (message,) = self.messages(shop)
        assert (message.subject, message.step) == (draft.subject, 1)
        shop.pass_time(days=10)
        assert len(self.messages(shop)) == 1
        assert "manual_task.released" in [row.action for row in shop.rows(AuditLog)]

    def test_the_second_person_is_told_that_it_went(self, shop: Shop):
        task = waiting(shop)
        act(shop, "release", task, actor_id="usr_a")
        with pytest.raises(ManualTaskMovedError):
            act(shop, "release", task, actor_id="usr_b")
        assert len(self.messages(shop)) == 1

    def test_a_customer_who_paid_meanwhile_gets_nothing(self, shop: Shop):
        task = waiting(shop)
        act(shop, "release", task, actor_id="usr_a")
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card["id"])
        assert self.messages(shop) == []

    def test_goes_as_a_text_where_mail_cannot_and_the_customer_agreed(self, shop: Shop):
        task = waiting(shop)
        self.let_texts(shop)
        draft = act(shop, "draft", task)
        assert (draft.channel, draft.recipient, draft.html) == (Channel.SMS, "+12025550143", "")
        assert "Reply STOP" in draft.plain
        act(shop, "release", task, actor_id="usr_a")
        assert shop.ghosts[0].next_action == "send_message"
        assert "By SMS" in shop.ghosts[0].next_action_reason

    def test_is_refused_with_the_reason_where_no_way_is_open(self, shop: Shop):
        task = waiting(shop)
        with db.tenant_session(shop.merchant) as session:
            links.suppress(session, shop.merchant, Channel.EMAIL, "ada@example.com", "unsubscribed")
        for what in ("draft", "release"):
            with pytest.raises(NothingToReleaseError, match="asked for no more messages"):
                act(shop, what, task, **({"actor_id": "usr_a"} if what == "release" else {}))
        assert shop.rows(ManualTask)[0].released_at is None

    def let_texts(self, shop: Shop) -> None:
        """Mail to the customer comes back, and they agreed to texts."""
        agreed = consents.read(channel="sms", address="+12025550143", happened_at=shop.clock.now())
        with db.tenant_session(shop.merchant) as session:
            session.execute(update(GhostTarget).values(customer_phone="+1 202 555 0143"))
            session.execute(update(Merchant).values(policy={"paused": False, "sms": True}))
            links.suppress(session, shop.merchant, Channel.EMAIL, "ada@example.com", "bounced")
            consents.record(session, shop.merchant, [agreed], "usr_1")

    def test_nothing_goes_while_messages_are_off(self, shop: Shop):
        task = waiting(shop)
        with db.tenant_session(shop.merchant) as session:
            recovery.stop_messages(session, shop.merchant, "usr_a")
        with pytest.raises(NothingToReleaseError, match="off"):
            act(shop, "release", task, actor_id="usr_a")
        assert self.messages(shop) == []

    def test_is_refused_with_the_reason_once_its_days_are_over(self, shop: Shop):
        task = waiting(shop)
        shop.clock.advance(timedelta(days=29))
        for what, named in (("draft", {}), ("release", {"actor_id": "usr_a"})):
            with pytest.raises(NothingToReleaseError, match=r"Its 28 days are over\. You can still reach the customer"):
                act(shop, what, task, **named)
        self.pulse(shop)
        assert (shop.ghosts[0].state, listed(shop).total) == (GhostState.OPEN, 1)  # and a person may still decide

    def test_is_refused_where_it_could_not_go_before_its_days_are_over(self, shop: Shop):
        task = waiting(shop)
        shop.clock.advance(timedelta(days=27))
        act(shop, "release", task, actor_id="usr_a")
        assert len(self.messages(shop)) == 1
        shop.clock.advance(timedelta(seconds=5))
        with pytest.raises(NothingToReleaseError, match="over before that"):
            act(shop, "release", task, actor_id="usr_a")

    def test_there_is_no_fourth_message(self, shop: Shop):
        task = waiting(shop)
        for number in (1, 2, 3):
            act(shop, "release", task, actor_id="usr_a")
            shop.clock.current = max(shop.clock.now(), shop.ghosts[0].next_action_at)
            self.pulse(shop)
            assert len(self.messages(shop)) == number
            shop.clock.advance(timedelta(seconds=5))
        for what, named in (("draft", {}), ("release", {"actor_id": "usr_a"})):
            with pytest.raises(NothingToReleaseError, match="got all of 3 messages"):
                act(shop, what, task, **named)
        shop.clock.advance(timedelta(days=4))
        self.pulse(shop)
        assert (shop.ghosts[0].state, listed(shop).total) == (GhostState.CONTACTED, 1)

    def test_where_a_released_message_can_no_longer_go_the_task_ends_and_says_so(self, shop: Shop):
        task = waiting(shop)
        act(shop, "release", task, actor_id="usr_a")
        assert listed(shop).lines[0].goes_at is not None
        shop.clock.advance(timedelta(days=29))  # nothing ran meanwhile
        self.pulse(shop)
        (line,) = listed(shop, ManualTaskState.DONE).lines
        assert (shop.ghosts[0].state, line.id, line.is_released) == (GhostState.EXHAUSTED, task, False)
        assert line.closed_reason == f"{NOTHING_FOLLOWS} Its 28 days are over."

    def pulse(self, shop: Shop) -> None:
        with db.tenant_session(shop.merchant) as session:
            pulse.plan_due(session, shop.merchant, core_clock.now())

    def test_closing_the_task_takes_back_what_did_not_go_yet(self, shop: Shop):
        task = waiting(shop)
        act(shop, "release", task, actor_id="usr_a")
        assert len(self.messages(shop)) == 1
        shop.clock.advance(timedelta(seconds=5))
        act(shop, "release", task, actor_id="usr_a")  # the second one has to wait for three days
        assert shop.ghosts[0].next_action == "send_message"
        act(shop, "close", task, "they pay by wire", actor_id="usr_b")
        assert (shop.ghosts[0].next_action, shop.ghosts[0].next_action_reason) == ("exhaust", DECIDED)
        act(shop, "reopen", task, actor_id="usr_b")
        assert (shop.ghosts[0].next_action, listed(shop).lines[0].is_released) == ("", False)

    def test_a_payment_takes_it_back_too_and_it_does_not_go_when_that_is_undone(
        self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(senders, "sender_for", lambda *_: None)
        shop = Shop.open(clock, monkeypatch, quiet_first_message=True)
        task = waiting(shop)
        shop.clock.advance(timedelta(hours=12))  # night: it waits for the morning
        act(shop, "release", task, actor_id="usr_a")
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card["id"])
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        undo(shop)
        shop.actions.edit_object(shop.account, "invoice", shop.ghosts[0].invoice_id, {"amount_remaining": LARGE})
        tell(shop, "invoice.updated")
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action) == (GhostState.OPEN, "")
        assert (listed(shop).total, listed(shop).lines[0].is_released) == (1, False)


class TestEnd:
    def test_closes_itself_when_paid_and_nobody_opens_it_again(self, shop: Shop):
        task = waiting(shop)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card["id"])
        shop.deliver()
        (line,) = listed(shop, ManualTaskState.DONE).lines
        assert ("paid" in line.closed_reason, line.closed_by) == (True, "")
        with pytest.raises(BadManualTaskError):
            act(shop, "reopen", task, actor_id="usr_a")

    def test_opened_again_at_the_moment_of_the_payment_it_is_closed_by_it(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "done", actor_id="usr_a")
        (ghost,) = shop.ghosts
        with db.tenant_session(shop.merchant) as session:
            service.reopen(session, shop.merchant, task, actor_id="usr_a")
            session.flush()
            merchant, shard = merchant_context(session, shop.merchant), shards.of_customer(ghost.customer_id)
            with pytest.raises(OperationalError), impatient(shop.merchant) as payment:
                Work.begin(payment, merchant, shop.clock.now(), shard)  # it waits, and finds the task open
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, ghost.invoice_id, card["id"])
        shop.deliver()
        assert (listed(shop).total, listed(shop, ManualTaskState.DONE).total) == (0, 1)

    def test_closes_itself_when_lost(self, shop: Shop):
        waiting(shop)
        shop.actions.void_invoice(shop.account, shop.ghosts[0].invoice_id)
        shop.deliver()
        assert (listed(shop).total, listed(shop, ManualTaskState.DONE).total) == (0, 1)

    def test_an_amount_below_the_line_needs_no_person_and_above_it_one_again(self, shop: Shop):
        waiting(shop)
        invoice = shop.ghosts[0].invoice_id
        for amount, tasks in ((500, 0), (LARGE, 1)):
            fields = {"amount_remaining": amount}
            edited = shop.actions.edit_object(shop.account, "invoice", invoice, fields)
            shop.actions.send_event(shop.account, "invoice.updated", edited)
            shop.deliver()
            assert listed(shop).total == tasks

    def test_what_a_person_closed_stays_closed(self, shop: Shop):
        task = waiting(shop)
        act(shop, "close", task, "not worth it", actor_id="usr_a")
        shop.pass_time(days=4)  # Stripe's retry fails: seen again
        assert listed(shop).total == 0


class TestAlerts:
    def test_owners_and_admins_are_told_once_in_one_mail(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        join(shop, "adam", Role.ADMIN)
        join(shop, "mia", Role.MEMBER)
        join(shop, "ursula", Role.ADMIN, confirmed=False)
        waiting(shop)
        run_alerts(shop)
        run_alerts(shop)
        assert sorted(mail.recipient for mail in post.taken.values()) == ["adam@example.com", "olga@example.com"]
        mail = next(iter(post.taken.values()))
        assert "$2,500.00" in mail.subject
        assert "/tasks" in mail.plain
        assert "Ada Example" in mail.html

    def test_several_found_together_are_one_mail(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        waiting(shop)
        waiting(shop, "bob@example.com")
        run_alerts(shop)
        (mail,) = post.taken.values()
        assert mail.subject.startswith("2 unpaid")

    def test_what_is_more_than_a_mail_takes_is_told_of_in_the_next(
        self, shop: Shop, post: Post, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        """Each task of the queue once: nothing new has to come for the rest to be told of."""
        monkeypatch.setattr(alerts, "MOST", 2)
        join(shop, "olga", Role.OWNER)
        for number in range(3):
            shop.subscriber(amount=LARGE, decline_code="insufficient_funds", email=f"one{number}@example.com")
        shop.pass_time(days=31, hours=2)
        for _ in range(3):
            clock.advance(timedelta(minutes=2))
            runner.run_due(kinds=["notify_action_required"])
        assert [task.alerted_at is not None for task in shop.rows(ManualTask)] == [True] * 3
        assert [mail.subject.split()[0] for mail in post.taken.values()] == ["2", "$2,500.00"]

    def test_the_assignee_alone_is_told(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        mia = join(shop, "mia", Role.MEMBER)
        act(shop, "assign", waiting(shop), mia, seen="", actor_id=mia)
        run_alerts(shop)
        assert [mail.recipient for mail in post.taken.values()] == ["mia@example.com"]

    def test_who_is_given_it_later_is_told_once(self, shop: Shop, post: Post):
        olga, mia = join(shop, "olga", Role.OWNER), join(shop, "mia", Role.MEMBER)
        task = waiting(shop)
        run_alerts(shop)
        act(shop, "assign", task, mia, seen="", actor_id=olga)
        act(shop, "assign", task, olga, seen=mia, actor_id=olga)  # who takes it themselves knows
        act(shop, "assign", task, mia, seen=olga, actor_id=olga)
        run_alerts(shop)
        team, own = post.taken.values()
        assert (team.recipient, own.recipient) == ("olga@example.com", "mia@example.com")
        assert "$2,500.00" in own.subject

    def test_who_is_given_it_before_the_team_heard_gets_that_mail_alone(self, shop: Shop, post: Post):
        olga, mia = join(shop, "olga", Role.OWNER), join(shop, "mia", Role.MEMBER)
        act(shop, "assign", waiting(shop), mia, seen="", actor_id=olga)
        run_alerts(shop)
        assert [mail.recipient for mail in post.taken.values()] == ["mia@example.com"]

    def test_what_nobody_could_be_told_of_is_told_once_somebody_can(self, shop: Shop, post: Post):
        waiting(shop)
        run_alerts(shop)
        assert post.taken == {}
        join(shop, "olga", Role.OWNER)
        waiting(shop, "bob@example.com")
        run_alerts(shop)
        (mail,) = post.taken.values()
        assert mail.subject.startswith("2 unpaid")

    def test_who_can_be_reached_is_read_once_for_all_tasks(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        olga, reads = join(shop, "olga", Role.OWNER), []
        for number in range(3):
            act(shop, "assign", waiting(shop, f"one{number}@example.com"), olga, seen="", actor_id=olga)
        read = identity_repository.list_team_addresses
        monkeypatch.setattr(
            identity_repository, "list_team_addresses", lambda *given: reads.append(given) or read(*given)
        )
        with db.tenant_session(shop.merchant) as session:
            assert alerts.address(session, shop.merchant, core_clock.now()) == 1
        assert len(reads) == 2  # the team, and everybody

    def test_an_answer_that_was_lost_is_asked_again_under_the_same_key(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        waiting(shop)
        first = next(task for task in shop.rows(ScheduledTask) if task.kind == "notify_action_required")
        notify_action_required.run(claimed(shop, first))
        mail = next(task for task in shop.rows(ScheduledTask) if "user_id" in task.payload)
        post.silent = True
        with pytest.raises(Retry):
            notify_action_required.run(claimed(shop, mail))
        post.silent = False
        assert notify_action_required.run(claimed(shop, mail)) == {"sent": True}
        assert len(post.taken) == 1

    def test_a_process_that_dies_once_the_provider_has_it_alerts_nobody_twice(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        waiting(shop)
        first = next(task for task in shop.rows(ScheduledTask) if task.kind == "notify_action_required")
        notify_action_required.run(claimed(shop, first))
        mail = next(task for task in shop.rows(ScheduledTask) if "user_id" in task.payload)
        with dying_at("team_mail.handed_over"):
            notify_action_required.run(claimed(shop, mail))
        assert notify_action_required.run(claimed(shop, mail)) == {"sent": True}
        assert [one.recipient for one in post.taken.values()] == ["olga@example.com"]

    def test_what_was_settled_before_the_mail_goes_is_not_told(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        act(shop, "close", waiting(shop), "done", actor_id="usr_a")
        run_alerts(shop)
        assert post.taken == {}

    @pytest.mark.parametrize("doubt", ["no_answer", "death"])
    def test_past_the_providers_memory_nothing_is_sent_twice(
        self, shop: Shop, post: Post, clock: ManualClock, redis_url: str, doubt: str
    ):
        join(shop, "olga", Role.OWNER)
        (mail,) = self.mails(shop)
        post.silent = doubt == "no_answer"
        with dying_at("team_mail.handed_over") if doubt == "death" else pytest.raises(Retry):
            notify_action_required.run(claimed(shop, mail))
        post.silent, post.locked = False, True
        with pytest.raises(Retry):  # which says nothing of the first one
            notify_action_required.run(claimed(shop, mail))
        clock.current += timedelta(hours=24)
        post.locked = False
        assert run_alerts(shop)[-1] == ("it is too late: the provider may no longer know whether it has sent this one")
        assert len(post.taken) == 1
        assert [row.event for row in shop.rows(SystemLog)].count("manual_task.alert_uncertain") == 1

    def test_what_certainly_nobody_got_in_a_day_is_told_once_sending_works_again(
        self, shop: Shop, post: Post, clock: ManualClock, redis_url: str
    ):
        join(shop, "olga", Role.OWNER)
        (mail,) = self.mails(shop)
        post.locked = True
        for _ in range(3):
            for task in self.unsent(shop):
                with pytest.raises((Retry, Discard)):
                    notify_action_required.run(claimed(shop, task))
            clock.current += timedelta(hours=24)
        post.locked = False
        for _ in range(2):  # the second time as after a death before the task was settled
            with pytest.raises(Discard):
                notify_action_required.run(claimed(shop, mail))
        run_alerts(shop)
        (sent,) = post.taken.values()
        assert (sent.recipient, "$2,500.00" in sent.subject) == ("olga@example.com", True)

    def test_what_was_settled_meanwhile_is_not_told_anew(self, shop: Shop, post: Post, clock: ManualClock):
        join(shop, "olga", Role.OWNER)
        (mail,) = self.mails(shop)
        clock.current += timedelta(hours=24)
        (task,) = shop.rows(ManualTask)
        act(shop, "close", task.id, "done", actor_id="usr_a")
        with pytest.raises(Discard):
            notify_action_required.run(claimed(shop, mail))
        run_alerts(shop)
        assert post.taken == {}

    def unsent(self, shop: Shop) -> list[ScheduledTask]:
        """The last of each person's."""
        return [task for task in shop.rows(ScheduledTask) if "user_id" in task.payload][-1:]

    def test_alerted_once_though_it_closes_and_opens_again(self, shop: Shop, post: Post):
        join(shop, "olga", Role.OWNER)
        task = waiting(shop)
        run_alerts(shop)
        act(shop, "close", task, "done", actor_id="usr_a")
        act(shop, "reopen", task, actor_id="usr_a")
        run_alerts(shop)
        assert len(post.taken) == 1
        with db.tenant_session(shop.merchant) as session:
            assert session.exec(select(ManualTask.alerted_at)).one() is not None

    def mails(self, shop: Shop) -> list[ScheduledTask]:
        """The tasks of people's mails, once what is new was gathered."""
        waiting(shop)
        for task in shop.rows(ScheduledTask):
            if task.kind == "notify_action_required" and "user_id" not in task.payload:
                notify_action_required.run(claimed(shop, task))
        return [task for task in shop.rows(ScheduledTask) if "user_id" in task.payload]

    def test_without_a_key_they_lie_in_the_outbox_with_one_line_each(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        monkeypatch.setattr(senders, "platform_sender", lambda _channel: None)
        join(shop, "olga", Role.OWNER)
        join(shop, "adam", Role.ADMIN)
        mails = self.mails(shop)
        with caplog.at_level("INFO", logger="jobs.team_mail"):
            for task in (*mails, *mails):  # the second time as after a death before the task was settled
                assert notify_action_required.run(claimed(shop, task)) == {"sent": False, "reason": "outbox"}
        with db.tenant_session(shop.merchant) as session:
            lying = messaging.outbox(session, shop.merchant)
        assert sorted(letter.recipient for letter in lying) == ["adam@example.com", "olga@example.com"]
        assert all("$2,500.00" in letter.subject and "/tasks" in letter.plain for letter in lying)
        assert {letter.state for letter in lying} == {MessageState.OUTBOX}
        lines = [record for record in caplog.records if record.message == "messaging.outbox"]
        assert len(lines) == 2
        assert all("olga@" not in str(record.__dict__) for record in lines)

    def test_one_that_stays_in_the_outbox_names_nobody_whom_an_erasure_would_have_to_find(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(senders, "platform_sender", lambda _channel: None)
        join(shop, "olga", Role.OWNER)
        for task in self.mails(shop):
            notify_action_required.run(claimed(shop, task))
        (ghost,) = shop.ghosts
        with db.tenant_session(shop.merchant) as session:
            (letter,) = messaging.outbox(session, shop.merchant)
            kept = session.exec(select(Message).where(Message.id == letter.id)).one()
        words = f"{kept.subject} {kept.html} {kept.plain}"
        assert ghost.customer_name
        assert ghost.customer_name not in words
        assert ghost.customer_email not in words
        assert str(ghost.customer_id) in kept.plain

    def test_the_outbox_keeps_a_bounded_number_of_them(self, shop: Shop, clock: ManualClock):
        for number in range(team_mail.KEPT + 3):
            clock.current += timedelta(minutes=1)
            mail = team_mail.TeamMail(f"alert:{number}", "alert", "olga@example.com", f"No. {number}", "", "")
            with db.tenant_session(shop.merchant) as session:
                assert team_mail.keep_in_outbox(session, shop.merchant, mail)
        with db.tenant_session(shop.merchant) as session:
            lying = messaging.outbox(session, shop.merchant, limit=100)
        assert [letter.subject for letter in lying][:1] == [f"No. {team_mail.KEPT + 2}"]
        assert len(lying) == team_mail.KEPT

    def test_they_wait_in_the_same_line_as_other_mail_of_the_platforms_key(
        self, shop: Shop, clock: ManualClock, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        post = Post(rate=2)
        monkeypatch.setattr(senders, "platform_sender", lambda _channel: post)
        join(shop, "olga", Role.OWNER)
        (task,) = self.mails(shop)
        assert pace.turn(post.key_print, "a customer's", post.rate, shop.merchant) == 0
        with pytest.raises(Retry, match="sender_rate") as asked:
            notify_action_required.run(claimed(shop, task))
        assert asked.value.at == clock.now() + timedelta(seconds=0.5)
        assert post.taken == {}
        clock.current += timedelta(seconds=0.5)
        assert notify_action_required.run(claimed(shop, task)) == {"sent": True}

    def test_a_key_that_is_refused_makes_them_wait_and_keeps_them(self, shop: Shop, post: Post, redis_url: str):
        join(shop, "olga", Role.OWNER)
        (task,) = self.mails(shop)
        post.locked = True
        with pytest.raises(Retry):
            notify_action_required.run(claimed(shop, task))
        assert refusals.reason_of(post.key_print) == "API key is invalid."  # for the health card
        post.locked = False
        assert notify_action_required.run(claimed(shop, task)) == {"sent": True}
