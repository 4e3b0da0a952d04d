"""The weekly digest: when it goes, what it says, and whom it reaches."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from jobs import send_weekly_digest
from models.identity import Role, User
from models.work import ScheduledTask
from services.analytics import digest
from services.identity import repository as identity
from services.integrations import resend
from services.integrations.resend import EmailLaterError, EmailRefusedError, OutgoingEmail
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.recovery.observe import FoundVia, observe
from services.recovery.work import merchant_context
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask
from tests.support.factories import make_merchant, raw_invoice


class Post:
    """Takes mail instead of a provider; addresses in `refuses` are refused, and once `busy` all wait."""

    name = "post"

    def __init__(self) -> None:
        self.taken: dict[str, OutgoingEmail] = {}
        self.refuses: set[str] = set()
        self.busy = False

    def send(self, email: OutgoingEmail, *, idempotency_key: str) -> str:
        if self.busy:
            raise EmailLaterError
        if email.recipient in self.refuses:
            raise EmailRefusedError
        self.taken.setdefault(idempotency_key, email)
        return "id"


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    post = Post()
    monkeypatch.setattr(send_weekly_digest, "sender_for", lambda _key: post)
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


def run(merchant: str, at: datetime | None = None) -> dict[str, Any]:
    moment = at or core_clock.now()
    task = ClaimedTask(1, "send_weekly_digest", merchant, {}, 1, 5, 0, "c", "me", moment, f"digest:{merchant}:x")
    return send_weekly_digest.run(task)


def planned(merchant: str) -> list[ScheduledTask]:
    with db.tenant_session(merchant) as session:
        rows = session.exec(select(ScheduledTask).where(ScheduledTask.kind == "send_weekly_digest"))
        return list(rows.all())


class TestWhen:
    @pytest.mark.parametrize(
        ("now", "zone", "expected"),
        [
            ("2026-03-02T07:59:00+00:00", "UTC", "2026-03-02T08:00:00+00:00"),
            ("2026-03-02T08:00:00+00:00", "UTC", "2026-03-09T08:00:00+00:00"),
            ("2026-03-05T12:00:00+00:00", "America/New_York", "2026-03-09T12:00:00+00:00"),  # their clocks have changed
            ("2026-03-02T12:00:00+00:00", "Asia/Tokyo", "2026-03-08T23:00:00+00:00"),
            ("2026-10-23T12:00:00+00:00", "Europe/Berlin", "2026-10-26T07:00:00+00:00"),
        ],
    )
    def test_monday_at_eight_where_the_merchant_is(self, now: str, zone: str, expected: str) -> None:
        at = digest.next_sending(datetime.fromisoformat(now), zone)
        assert at.astimezone(UTC) == datetime.fromisoformat(expected)

    def test_each_schedules_the_one_after_it_once(self, database: object, clock: ManualClock, post: Post) -> None:
        merchant = make_merchant()
        run(merchant)
        run(merchant)
        assert [task.run_at for task in planned(merchant)] == [datetime(2026, 3, 9, 8, 0, tzinfo=UTC)]

    def test_one_that_is_days_late_is_left_out_and_the_next_still_comes(
        self, database: object, clock: ManualClock, post: Post
    ) -> None:
        merchant = make_merchant()
        with pytest.raises(Discard):
            run(merchant, at=core_clock.now() - timedelta(days=4))
        assert len(planned(merchant)) == 1

    def test_a_disconnected_merchant_gets_none(self, database: object, clock: ManualClock, post: Post) -> None:
        merchant = make_merchant()
        member(merchant, "owner@example.com")
        with db.tenant_session(merchant) as session:
            assert merchants.mark_disconnected(session, merchant, at=core_clock.now(), reason="test")
        with pytest.raises(Discard):
            run(merchant)


class TestWhat:
    def test_it_tells_what_the_dashboard_tells(self, database: object, clock: ManualClock) -> None:
        merchant = make_merchant()
        see(merchant)
        see(merchant, status="paid", amount_remaining=0, amount_paid=4900)
        see(merchant, id="in_2", customer={"id": "cus_2", "email": "b@example.com", "name": "B"})
        with db.tenant_session(merchant) as session:
            written = digest.weekly(session, merchant, "https://phantom.example/dashboard")

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

    def test_where_nothing_happened_there_is_nothing_to_tell(
        self, database: object, clock: ManualClock, post: Post
    ) -> None:
        merchant = make_merchant()
        member(merchant, "owner@example.com")
        assert run(merchant) == {"sent": 0, "reason": "nothing to tell"}
        assert post.taken == {}


class TestWhom:
    @pytest.fixture
    def merchant(self, database: object, clock: ManualClock) -> str:
        merchant = make_merchant()
        see(merchant)
        for email, role in (("o@x.example", Role.OWNER), ("a@x.example", Role.ADMIN), ("m@x.example", Role.MEMBER)):
            member(merchant, email, role)
        member(merchant, "new@x.example", verified=False)
        return merchant

    def reached(self, post: Post) -> set[str]:
        return {mail.recipient for mail in post.taken.values()}

    def test_owners_and_admins_whose_address_is_confirmed(self, merchant: str, post: Post) -> None:
        assert run(merchant) == {"sent": 2}
        assert self.reached(post) == {"o@x.example", "a@x.example"}

    def test_a_repeat_after_a_crash_reaches_nobody_twice(self, merchant: str, post: Post) -> None:
        run(merchant)
        run(merchant)
        assert len(post.taken) == 2

    def test_one_refused_address_does_not_keep_it_from_the_others(self, merchant: str, post: Post) -> None:
        post.refuses = {"o@x.example"}
        assert run(merchant) == {"sent": 1}

    def test_a_busy_provider_is_asked_again_later(self, merchant: str, post: Post) -> None:
        post.busy = True
        with pytest.raises(Retry):
            run(merchant)

    def test_without_a_sender_the_log_has_it(self, merchant: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(send_weekly_digest, "sender_for", lambda _key: resend.sender_for(None))
        assert run(merchant) == {"sent": 0}
