"""The weekly digest: when it goes, what it says, and whom it reaches."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select

from core import clock as core_clock
from core import db, queue
from core.clock import ManualClock
from jobs import runner, team_mail
from models.audit import SystemLog
from models.ghost import FoundVia
from models.identity import Role, User
from models.work import ScheduledTask
from services.analytics import digest
from services.identity import repository as identity
from services.integrations.resend import EmailKeyUsedError, EmailLaterError, EmailRefusedError, EmailUnknownError
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.messaging import service as messaging
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import OutgoingMessage
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from services.tasks import service as tasks
from services.tasks import upkeep
from services.tasks.schedules import DIGEST
from tests.support.death import dying_at
from tests.support.factories import make_merchant, raw_invoice


class Post:
    """A provider: one mail a key, other contents under it a 409; refuses, is unwell, or takes so many at a time."""

    name = key_print = "post"
    rate, paused = 0.0, ""
    own, repeats_safely = False, True

    def __init__(self) -> None:
        self.taken: dict[str, OutgoingMessage] = {}
        self.refuses: set[str] = set()
        self.unheard: set[str] = set()  # takes their mail, and the answer is lost
        self.room = 1000

    def send(self, email: OutgoingMessage, *, idempotency_key: str) -> str:
        if not self.room:
            raise EmailLaterError
        self.room -= 1
        if email.recipient in self.refuses:
            raise EmailRefusedError
        if self.taken.setdefault(idempotency_key, email) != email:
            raise EmailKeyUsedError
        if email.recipient in self.unheard:
            raise EmailUnknownError
        return "id"

    def reached(self) -> list[str]:
        return sorted(mail.recipient for mail in self.taken.values())


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    post = Post()
    monkeypatch.setattr(senders, "platform_sender", lambda _channel: post)
    return post


def member(merchant: str, email: str, role: Role = Role.OWNER, *, verified: bool = True) -> None:
    now = core_clock.now()
    with db.tenant_session(merchant) as session:
        user = User(id=f"usr_{email[:20]}", email=email, created_at=now, updated_at=now)
        user.email_verified_at = now if verified else None
        identity.insert_user(session, user)
        identity.put_membership(session, merchant, user.id, role, now)


def see(merchant: str, **changed: Any) -> None:
    with db.tenant_session(merchant) as session:
        facts = parse_invoice(raw_invoice(**changed))
        observe(session, merchant_context(session, merchant), [facts], FoundVia.WEBHOOK, core_clock.now())


def tick() -> None:
    """What the Sentinel schedules of digests."""
    with db.system_session() as session:
        upkeep.schedule_present(session, [DIGEST], core_clock.now())


def work() -> None:
    runner.run_due(limit=100, kinds=[DIGEST.kind])


def told(merchant: str) -> list[ScheduledTask]:
    with db.tenant_session(merchant) as session:
        order = col(ScheduledTask.id)
        rows = session.exec(select(ScheduledTask).where(ScheduledTask.kind == DIGEST.kind).order_by(order))
        return list(rows.all())


def lived(merchant: str, clock: ManualClock, until: str) -> None:
    """The hours until `until` pass, with the Sentinel and workers at work."""
    while core_clock.now() < datetime.fromisoformat(until):
        tick()
        work()
        clock.advance(timedelta(hours=1))


MONDAY = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)


class TestWhen:
    @pytest.mark.parametrize(
        ("now", "zone", "begins", "until"),
        [
            ("2026-03-01T18:00:00+00:00", "Pacific/Kiritimati", "2026-03-01T18:00:00+00:00", "2026-02-28"),
            ("2026-03-01T18:00:00+00:00", "UTC", "2026-03-02T08:00:00+00:00", "2026-03-01"),
            ("2026-03-08T17:59:59+00:00", "UTC", "2026-03-02T08:00:00+00:00", "2026-03-01"),
            ("2026-03-05T12:00:00+00:00", "Etc/GMT+12", "2026-03-02T20:00:00+00:00", "2026-03-01"),
            ("2026-03-08T20:00:00+00:00", "America/New_York", "2026-03-09T12:00:00+00:00", "2026-03-08"),  # DST began
            ("2026-03-02T12:00:00+00:00", "Asia/Tokyo", "2026-03-01T23:00:00+00:00", "2026-02-28"),
            ("2026-10-26T12:00:00+00:00", "Europe/Berlin", "2026-10-26T07:00:00+00:00", "2026-10-25"),  # DST ended
        ],
    )
    def test_monday_at_eight_where_the_merchant_is(self, now: str, zone: str, begins: str, until: str) -> None:
        week = digest.Week.of_slot("m", DIGEST.slot("m", datetime.fromisoformat(now)), zone)
        assert week.begins == datetime.fromisoformat(begins)
        assert week.until.isoformat() == until
        assert (week.until + timedelta(days=1)) <= week.begins.date()  # all of it is over

    @given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds
    def test_every_week_has_its_monday(self, now: datetime) -> None:
        slot = DIGEST.slot("m", now)
        for zone in ("Pacific/Kiritimati", "Europe/Berlin", "Etc/GMT+12"):
            week, following = (digest.Week.of_slot("m", each, zone) for each in (slot, slot + 1))
            assert week.monday.weekday() == 0
            assert DIGEST.begins("m", slot) <= week.begins < DIGEST.begins("m", slot + 1)
            assert week.ends == following.begins

    def test_a_zone_that_nobody_knows_any_more_is_utc(self) -> None:
        """Names of zones change; the digest of whoever has an old one comes all the same."""
        assert digest.Week(datetime(2026, 3, 2, tzinfo=UTC).date(), "Mars/Olympus").begins == datetime(
            2026, 3, 2, 8, tzinfo=UTC
        )


@pytest.mark.usefixtures("redis_url")
class TestSchedule:
    @pytest.fixture(autouse=True)
    def _silent(self) -> Iterator[None]:
        yield
        queue.disconnect()

    @pytest.fixture
    def merchant(self, database: object, clock: ManualClock) -> str:
        """Connected on Monday at nine; the clock stands there."""
        merchant = make_merchant(timezone="Europe/Berlin")
        member(merchant, "owner@example.com")
        see(merchant)
        return merchant

    def test_it_comes_every_monday_to_who_was_connected_before(
        self, merchant: str, clock: ManualClock, post: Post
    ) -> None:
        lived(merchant, clock, "2026-03-09T07:00:00+00:00")
        assert post.reached() == []  # less than a week, and a minute before eight
        lived(merchant, clock, "2026-03-09T08:00:00+00:00")
        assert post.reached() == ["owner@example.com"]
        lived(merchant, clock, "2026-03-24T00:00:00+00:00")
        assert len(post.taken) == 3
        assert {key.split(":")[2] for key in post.taken} == {"2026-W11", "2026-W12", "2026-W13"}

    def test_clocks_apart_and_several_sentinels_make_one(self, merchant: str, clock: ManualClock, post: Post) -> None:
        clock.advance(MONDAY - core_clock.now())
        for _ in range(4):
            tick()
            work()
            clock.advance(timedelta(milliseconds=-50))
        clock.advance(timedelta(days=7))
        tick()
        work()
        assert len(post.taken) == 2

    def test_what_was_missed_is_caught_up_once(self, merchant: str, clock: ManualClock, post: Post) -> None:
        clock.advance(MONDAY + timedelta(days=16) - core_clock.now())
        tick()
        work()
        tick()
        work()
        assert [key.split(":")[2] for key in post.taken] == ["2026-W13"]

    def test_a_week_that_is_over_is_left_out(self, merchant: str, clock: ManualClock, post: Post) -> None:
        clock.advance(MONDAY - core_clock.now())
        tick()
        clock.advance(timedelta(days=7))  # nobody worked
        tick()
        work()
        assert [key.split(":")[2] for key in post.taken] == ["2026-W12"]

    def test_a_disconnected_merchant_gets_none(self, merchant: str, clock: ManualClock, post: Post) -> None:
        clock.advance(MONDAY - core_clock.now())
        tick()
        with db.tenant_session(merchant) as session:
            assert merchants.mark_disconnected(session, merchant, at=core_clock.now(), reason="test")
        work()
        assert post.taken == {}

    def test_one_of_the_former_chain_ends(self, merchant: str, post: Post) -> None:
        with db.system_session() as session:
            tasks.schedule(session, kind=DIGEST.kind, merchant_id=merchant, key=f"digest:{merchant}:2026-10")
        work()
        assert [task.state for task in told(merchant)] == ["done"]
        assert post.taken == {}


class TestWhat:
    def test_it_tells_what_the_dashboard_tells(self, database: object, clock: ManualClock) -> None:
        merchant = make_merchant()
        see(merchant)
        see(merchant, status="paid", amount_remaining=0, amount_paid=4900)
        see(merchant, id="in_2", customer={"id": "cus_2", "email": "b@example.com", "name": "B"})
        with db.tenant_session(merchant) as session:
            today = core_clock.now().date()
            written = digest.weekly(session, merchant, today, "https://phantom.example/dashboard")

        assert written is not None
        assert written.subject == "$49.00 recovered last week"
        for said in (
            "Payments recovered: 1",
            "Open now: $49.00 (1 ghost)",
            "Found and still unpaid: $49.00",
            "holdout",
        ):
            assert said in written.plain
        assert "https://phantom.example/dashboard" in written.html
        assert not re.search(r"\{\{|<mj-|example\.com/r/|b@example", written.html)

    def test_the_days_are_those_asked_for(self, database: object, clock: ManualClock) -> None:
        merchant, sunday = make_merchant(), core_clock.now().date() + timedelta(days=6)
        see(merchant)
        see(merchant, status="paid", amount_remaining=0, amount_paid=4900)
        clock.advance(timedelta(days=8))
        see(merchant, id="in_2", customer={"id": "cus_2", "email": "b@example.com", "name": "B"})
        see(merchant, id="in_2", status="paid", amount_remaining=0, amount_paid=4900)
        with db.tenant_session(merchant) as session:
            written = digest.weekly(session, merchant, sunday, "https://phantom.example/dashboard")
        assert written is not None
        assert written.subject == "$49.00 recovered last week"
        assert "2 March to 8 March" in written.plain


@pytest.mark.usefixtures("redis_url")
class TestWhom:
    @pytest.fixture(autouse=True)
    def _silent(self) -> Iterator[None]:
        yield
        queue.disconnect()

    @pytest.fixture
    def merchant(self, database: object, clock: ManualClock) -> str:
        """Its week's task is due."""
        merchant = make_merchant()
        for email, role in (("o@x.example", Role.OWNER), ("a@x.example", Role.ADMIN), ("m@x.example", Role.MEMBER)):
            member(merchant, email, role)
        member(merchant, "new@x.example", verified=False)
        clock.advance(MONDAY - core_clock.now())
        tick()
        return merchant

    @pytest.fixture
    def ghost(self, merchant: str) -> None:
        see(merchant)

    def results(self, merchant: str) -> list[Any]:
        return [task.result for task in told(merchant)]

    def test_where_nothing_happened_there_is_nothing_to_tell(self, merchant: str, post: Post) -> None:
        work()
        assert self.results(merchant) == [{"people": 0, "reason": "nothing to tell"}]
        assert post.taken == {}

    @pytest.mark.usefixtures("ghost")
    def test_owners_and_admins_whose_address_is_confirmed(self, merchant: str, post: Post) -> None:
        work()
        assert post.reached() == ["a@x.example", "o@x.example"]
        assert set(post.taken) == {f"digest:{merchant}:2026-W11:usr_{who}@x.example" for who in "ao"}

    @pytest.mark.usefixtures("ghost")
    def test_a_rate_limit_below_the_teams_size_is_passed(self, merchant: str, clock: ManualClock, post: Post) -> None:
        for _ in range(3):
            post.room = 1
            work()
            clock.advance(team_mail.BUSY_PAUSE)
        assert post.reached() == ["a@x.example", "o@x.example"]

    @pytest.mark.usefixtures("ghost")
    def test_one_refused_address_does_not_keep_it_from_the_others(self, merchant: str, post: Post) -> None:
        post.refuses = {"o@x.example"}
        work()
        assert post.reached() == ["a@x.example"]
        assert {"sent": False, "reason": "email_refused"} in self.results(merchant)

    @pytest.mark.usefixtures("ghost")
    def test_other_figures_at_a_repeat_are_no_failure_and_no_second_mail(
        self, merchant: str, clock: ManualClock, post: Post
    ) -> None:
        post.unheard = {"o@x.example"}
        work()
        see(merchant, id="in_2", customer={"id": "cus_2", "email": "b@example.com", "name": "B"})
        clock.advance(team_mail.BUSY_PAUSE)
        work()
        assert post.reached() == ["a@x.example", "o@x.example"]
        assert self.results(merchant) == [{"people": 2}, {"sent": True}, {"sent": True}]

    @pytest.mark.usefixtures("ghost")
    def test_a_process_that_dies_once_the_provider_has_it_sends_nobody_a_second(
        self, merchant: str, post: Post
    ) -> None:
        with dying_at("team_mail.handed_over"):
            work()
        assert len(post.reached()) == 1
        work()
        assert post.reached() == ["a@x.example", "o@x.example"]
        assert self.results(merchant) == [{"people": 2}, {"sent": True}, {"sent": True}]

    @pytest.mark.usefixtures("ghost")
    def test_an_outage_of_days_sends_nobody_a_second(self, merchant: str, clock: ManualClock, post: Post) -> None:
        post.unheard, forgets = {"o@x.example"}, core_clock.now() + timedelta(hours=24)
        while core_clock.now() < MONDAY + timedelta(days=2):
            work()
            clock.advance(timedelta(hours=1))
            if core_clock.now() >= forgets:
                post.taken.clear()  # as the provider does with its keys
        assert post.reached() == []
        assert {task.state for task in told(merchant)} == {"done"}

    @pytest.mark.usefixtures("ghost")
    def test_a_dead_letter_run_again_days_later_sends_nothing(
        self, merchant: str, clock: ManualClock, post: Post
    ) -> None:
        work()
        post.taken.clear()
        clock.advance(timedelta(days=2))
        with db.system_session() as session:
            session.execute(text("update scheduled_tasks set state = 'dead' where kind = :kind"), {"kind": DIGEST.kind})
            for task in told(merchant):
                tasks.replay(session, task.id or 0)
        work()
        assert post.taken == {}
        assert len(told(merchant)) == 3

    @pytest.mark.usefixtures("ghost")
    def test_keys_stay_each_persons_own_when_somebody_leaves(
        self, merchant: str, clock: ManualClock, post: Post
    ) -> None:
        post.room = 1
        work()
        [first] = post.reached()
        with db.tenant_session(merchant) as session:
            session.execute(text("delete from memberships where user_id = :who"), {"who": f"usr_{first}"})
        clock.advance(team_mail.BUSY_PAUSE)
        post.room = 10
        work()
        assert post.reached() == ["a@x.example", "o@x.example"]

    @pytest.mark.usefixtures("ghost")
    def test_who_has_left_meanwhile_gets_none(self, merchant: str, clock: ManualClock, post: Post) -> None:
        post.room = 0
        work()
        with db.tenant_session(merchant) as session:
            session.execute(text("delete from memberships where user_id = 'usr_o@x.example'"))
        clock.advance(team_mail.BUSY_PAUSE)
        post.room = 10
        work()
        assert post.reached() == ["a@x.example"]

    @pytest.mark.usefixtures("ghost")
    def test_without_a_sender_it_lies_in_the_outbox_and_the_log_says_so(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(senders, "platform_sender", lambda _channel: None)
        work()
        assert self.results(merchant) == [{"people": 2}, *[{"sent": False, "reason": "outbox"}] * 2]
        with db.tenant_session(merchant) as session:
            assert session.exec(select(SystemLog.event).where(SystemLog.event == "digest.not_sent")).all()
            lying = messaging.outbox(session, merchant)
        assert sorted(letter.recipient for letter in lying) == ["a@x.example", "o@x.example"]

    @pytest.mark.usefixtures("ghost")
    def test_a_team_of_many_goes_out_at_the_platforms_rate(self, merchant: str, clock: ManualClock, post: Post) -> None:
        for number in range(8):
            member(merchant, f"n{number}@x.example")
        post.rate = 2.0
        work()
        assert len(post.taken) == 1
        for _ in range(8):
            clock.advance(timedelta(seconds=0.5))
            work()
        assert 8 <= len(post.taken) <= 9
        clock.advance(timedelta(seconds=2))
        work()
        assert len(post.reached()) == 10
