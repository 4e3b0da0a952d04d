"""Forgetting people: what goes, what stays, and that nothing brings it back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db, true_time
from core.clock import ManualClock
from core.config import Mode, settings
from jobs import purge_pii, runner
from models.audit import AuditLog, SystemLog
from models.ghost import FoundVia, GhostEvent, GhostState, GhostTarget, ManualTask
from models.messaging import LinkToken, Message
from models.money import Recovery
from models.presence import Presence
from models.privacy import Tombstone
from models.work import ScheduledTask, TaskState
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import parse_invoice
from services.manual_tasks import service as manual_tasks
from services.manual_tasks.errors import BadManualTaskError
from services.merchants import service as merchants
from services.messaging import own_service
from services.messaging.lint import Source
from services.recovery import manual, presence, purge
from services.recovery.errors import GhostNotFoundError, NobodyToForgetError
from services.recovery.messages import outreach, settlement
from services.recovery.observe import Observed, observe
from services.recovery.purge import Erasable
from services.recovery.work import merchant_context
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask
from tests.support.factories import make_merchant, raw_intent, raw_invoice
from tests.support.recount import assert_sums_agree

DAY = timedelta(days=1)


def facts(**changed: Any) -> InvoiceFacts:
    return parse_invoice(raw_invoice(**changed))


class Files:
    """What a merchant has on file."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.merchant = clock, make_merchant()

    def see(self, *batch: InvoiceFacts, via: FoundVia = FoundVia.HUNT) -> Observed:
        with db.tenant_session(self.merchant) as session:
            return observe(session, merchant_context(session, self.merchant), batch, via, self.clock.now())

    def address_by_name(self) -> None:
        """The merchant's own words have the customer's name in the subject too."""
        target = own_service.target_of("*", "first", "email", "en")
        words = Source("{{ name | default('Hello') }}, about {{ merchant }}", "A word", "It is {{ amount }}.", "Go")
        with db.tenant_session(self.merchant) as session:
            own_service.save(session, self.merchant, target, words, based_on=0, actor_id="usr_1")

    def wait_for_a_person(self, *, closed_because: str = "") -> None:
        """A task about each ghost, and what a person wrote when they closed it."""
        for ghost in self.rows(GhostTarget):
            with db.tenant_session(self.merchant) as session:
                manual.open_task(session, ghost, self.clock.now())
                task_id = manual_tasks.task_of_ghost(session, self.merchant, ghost.id)
                if closed_because:
                    manual_tasks.close(session, self.merchant, task_id, closed_because, actor_id="usr_1")

    def write_to(self, ghost: GhostTarget) -> None:
        with db.tenant_session(self.merchant) as session:
            prepared = outreach.prepare(session, self.merchant, ghost.id, 1, facts())
            settlement.settle_sent(session, self.merchant, prepared.message_id, "resend", "re_1")

    def purge(self) -> int:
        with db.tenant_session(self.merchant) as session:
            return purge.purge_due(session, self.merchant, self.clock.now())

    def forget_links(self) -> int:
        with db.tenant_session(self.merchant) as session:
            return purge.forget_links(session, self.merchant, self.clock.now())

    def erase(self, customer: str) -> int:
        with db.tenant_session(self.merchant) as session:
            return purge.erase_customer(session, self.merchant, customer, self.clock.now())

    def erasable(self, ghost_id: str) -> Erasable:
        with db.tenant_session(self.merchant) as session:
            return purge.erasable(session, self.merchant, ghost_id)

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())

    @property
    def ghost(self) -> GhostTarget:
        return self.rows(GhostTarget)[0]

    def everything(self) -> str:
        """All that is kept of the merchant's ghosts and messages, as one text."""
        kept = (GhostTarget, GhostEvent, Message, Tombstone, LinkToken, ManualTask, AuditLog, SystemLog)
        return " ".join(str(vars(row)) for table in kept for row in self.rows(table))


@pytest.fixture
def files(database: object, clock: ManualClock) -> Files:
    return Files(clock)


class TestAfterNinetyDays:
    def test_nothing_personal_is_left_anywhere(self, files: Files) -> None:
        files.address_by_name()
        files.see(facts())
        files.write_to(files.ghost)
        files.wait_for_a_person(closed_because="She pays by wire, said Countess Lovelace")
        person = (files.ghost.customer_email, files.ghost.customer_name, "Lovelace")
        assert (files.ghost.customer_name or "") in files.rows(Message)[0].subject
        assert all(word and word in files.everything() for word in person)
        files.clock.advance(90 * DAY + timedelta(seconds=1))

        assert files.purge() == 1
        assert not any(word in files.everything() for word in person if word)
        assert files.rows(LinkToken) == []
        assert files.purge() == 0

    def test_links_of_a_late_mail_are_kept_until_they_are_sixty_days_old(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.is_forgotten_ten_days_after_a_mail(files, monkeypatch)
        assert files.rows(Message)[0].recipient is None
        assert len(files.rows(LinkToken)) == 2
        files.clock.advance(50 * DAY)
        assert files.forget_links() == 0
        files.clock.advance(timedelta(seconds=1))
        assert files.forget_links() == 2
        assert files.rows(LinkToken) == []

    @staticmethod
    def is_forgotten_ten_days_after_a_mail(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        """As with one whose days began late, because the merchant said go then or it was owed again."""
        monkeypatch.setattr(purge, "KEEP", 9 * DAY)
        files.see(facts())
        files.write_to(files.ghost)
        files.clock.advance(10 * DAY)
        assert files.purge() == 1

    def test_links_of_who_is_not_forgotten_stay_however_old(self, files: Files) -> None:
        files.see(facts())
        files.write_to(files.ghost)
        files.clock.advance(80 * DAY)
        assert files.forget_links() == 0
        assert len(files.rows(LinkToken)) == 2

    def test_the_job_takes_them_too_page_by_page(self, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purge, "PAGE", 1)
        self.is_forgotten_ten_days_after_a_mail(files, monkeypatch)
        files.clock.advance(51 * DAY)
        task = ClaimedTask(1, "purge_pii", files.merchant, {}, 1, 5, 0, "c", "me", files.clock.now())
        assert purge_pii.run(task) == {"purged": 0, "unseen": 0, "links": 2}

    def test_what_still_waits_for_a_person_is_closed_for_good(self, files: Files) -> None:
        files.see(facts())
        files.wait_for_a_person()
        files.clock.advance(91 * DAY)
        files.purge()

        (task,) = files.rows(ManualTask)
        assert (task.state, task.closed_reason) == ("done", purge.REMOVED)
        with db.tenant_session(files.merchant) as session, pytest.raises(BadManualTaskError, match="was removed"):
            manual_tasks.reopen(session, files.merchant, task.id, actor_id="usr_1")

    def test_not_a_day_earlier(self, files: Files) -> None:
        files.see(facts())
        files.clock.advance(90 * DAY)
        assert files.purge() == 0

    def test_an_open_one_ends_as_exhausted_and_the_sums_still_agree(self, files: Files) -> None:
        files.see(facts())
        files.clock.advance(91 * DAY)
        files.purge()

        assert files.ghost.state == GhostState.EXHAUSTED
        assert (files.ghost.next_action, files.ghost.amount_cents) == ("", 4900)
        assert_sums_agree(files.merchant)

    def test_a_later_look_at_stripe_brings_nothing_back(self, files: Files) -> None:
        files.see(facts())
        files.clock.advance(91 * DAY)
        files.purge()
        files.see(facts(attempt_count=3))

        assert files.ghost.attempt_count == 3
        assert files.ghost.customer_email is None
        assert files.ghost.customer_name is None

    def test_a_late_payment_is_still_recognised(self, files: Files) -> None:
        files.see(facts())
        files.clock.advance(200 * DAY)
        files.purge()
        files.see(facts(status="paid", amount_remaining=0, amount_paid=4900), via=FoundVia.WEBHOOK)

        assert files.ghost.state == GhostState.RECOVERED
        assert [row.amount_cents for row in files.rows(Recovery)] == [4900]
        assert_sums_agree(files.merchant)

    def test_the_job_goes_on_until_none_is_left(self, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purge, "PAGE", 2)
        files.see(*(facts(id=f"in_{number}") for number in range(5)))
        files.clock.advance(91 * DAY)
        task = ClaimedTask(1, "purge_pii", files.merchant, {}, 1, 5, 0, "c", "me", files.clock.now())

        assert purge_pii.run(task) == {"purged": 5, "unseen": 0, "links": 0}

    def test_so_it_does_with_customers_whom_nobody_saw_again(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(purge, "PAGE", 2)
        now = files.clock.now()
        with db.tenant_session(files.merchant) as session:
            presence.record(session, files.merchant, {f"cus_{number}": now for number in range(5)}, now)
            presence.record(session, files.merchant, {"cus_late": now + 2 * DAY}, now + 2 * DAY)
        files.clock.advance(91 * DAY)
        task = ClaimedTask(1, "purge_pii", files.merchant, {}, 1, 5, 0, "c", "me", files.clock.now())

        assert purge_pii.run(task) == {"purged": 0, "unseen": 5, "links": 0}
        assert [row.customer_id for row in files.rows(Presence)] == ["cus_late"]

    def test_a_clock_that_is_ahead_of_the_databases_erases_nobody(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        live = settings().model_copy(update={"phantom_mode": Mode.LIVE})
        monkeypatch.setattr(true_time, "settings", lambda: live)
        files.clock.current = datetime.now(UTC)
        files.see(facts())
        files.clock.advance(91 * DAY)
        task = ClaimedTask(1, "purge_pii", files.merchant, {}, 1, 5, 0, "c", "me", files.clock.now())

        with pytest.raises(Retry, match="clock_ahead"):
            purge_pii.run(task)
        assert (files.ghost.state, files.ghost.purged_at) == (GhostState.OPEN, None)
        assert files.ghost.customer_email


class TestDisconnected:
    """No schedule walks a merchant who is gone."""

    def test_people_are_forgotten_as_soon_as_with_anybody(self, files: Files) -> None:
        files.see(facts())
        files.clock.advance(80 * DAY)
        files.see(facts(id="in_9"))
        files.clock.advance(9 * DAY)
        self.disconnect(files)
        ages = {}
        for _ in range(100):
            files.clock.advance(DAY)
            runner.run_due(kinds=["purge_pii"])
            for ghost in files.rows(GhostTarget):
                if ghost.purged_at:
                    ages[ghost.invoice_id] = (ghost.purged_at - ghost.found_at).days
        assert set(ages) == {"in_1", "in_9"}
        assert set(ages.values()) <= {90, 91}  # days that are over when the daily purge comes
        assert [task.state for task in self.purges(files) if task.state != TaskState.DONE] == []

    def test_a_purge_that_gives_up_does_not_end_the_chain(self, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        files.see(facts())
        self.disconnect(files)
        monkeypatch.setattr(purge, "purge_due", lambda *_: 1 // 0)
        files.clock.advance(2 * DAY)
        for _ in range(2):  # a second try asks for nothing twice
            runner.run_due(kinds=["purge_pii"])
            files.clock.advance(timedelta(minutes=5))
        tasks = self.purges(files)
        assert (len(tasks), tasks[1].state, tasks[1].attempts) == (2, TaskState.PENDING, 0)

    def disconnect(self, files: Files) -> None:
        with db.tenant_session(files.merchant) as session:
            assert merchants.mark_disconnected(session, files.merchant, at=files.clock.now(), reason="test")

    def purges(self, files: Files) -> list[ScheduledTask]:
        tasks = [task for task in files.rows(ScheduledTask) if task.kind == "purge_pii"]
        return sorted(tasks, key=lambda task: task.id or 0)


class TestOnRequest:
    def test_their_links_go_at_once(self, files: Files) -> None:
        files.see(facts())
        files.write_to(files.ghost)
        files.erase(str(files.ghost.customer_id))
        assert files.rows(LinkToken) == []

    def test_a_customer_is_forgotten_at_once_and_never_imported_again(self, files: Files) -> None:
        files.see(facts(id="in_1"), facts(id="in_2"), facts(id="in_3", customer="cus_other"))
        customer = next(ghost.customer_id for ghost in files.rows(GhostTarget) if ghost.invoice_id == "in_1")

        assert files.erase(customer) == 2
        assert files.see(facts(id="in_9")).found == 0
        assert files.see(facts(id="in_8", customer="cus_other")).found == 1
        states = {ghost.invoice_id: ghost.state for ghost in files.rows(GhostTarget)}
        assert states == {"in_1": "exhausted", "in_2": "exhausted", "in_3": "open", "in_8": "open"}
        assert_sums_agree(files.merchant)

    def test_the_polite_note_that_was_planned_is_not_any_more(self, files: Files) -> None:
        files.see(facts(intent=raw_intent("stop_payment_order")))
        assert (files.ghost.state, files.ghost.next_action) == (GhostState.STOPPED, "send_message")
        files.erase(str(files.ghost.customer_id))
        assert (files.ghost.next_action, files.ghost.next_action_at) == ("", None)

    def test_by_a_ghost_and_who_did_it_is_kept(self, files: Files) -> None:
        files.see(facts(id="in_1"), facts(id="in_2"), facts(id="in_3", customer=None))
        ghosts = {ghost.invoice_id: ghost for ghost in files.rows(GhostTarget)}
        assert [files.erasable(ghosts[name].id) for name in ("in_1", "in_3")] == [Erasable.YES, Erasable.NOBODY]
        with db.tenant_session(files.merchant) as session:
            merchant, now = files.merchant, files.clock.now()
            assert purge.erase_customer_of(session, merchant, ghosts["in_1"].id, now, actor_id="usr_1") == 2
        after = [files.erasable(ghosts[name].id) for name in ("in_1", "in_2", "in_3")]
        assert after == [Erasable.DONE, Erasable.DONE, Erasable.NOBODY]
        (entry,) = [row for row in files.rows(AuditLog) if row.action == "recovery.customer_erased"]
        assert (entry.actor_id, entry.target, entry.facts) == ("usr_1", ghosts["in_1"].id, {"ghosts": 2})
        with db.tenant_session(files.merchant) as session, pytest.raises(NobodyToForgetError):
            purge.erase_customer_of(session, files.merchant, ghosts["in_3"].id, files.clock.now(), actor_id="usr_1")
        assert {ghost.invoice_id for ghost in files.rows(GhostTarget) if ghost.purged_at is None} == {"in_3"}

    def test_another_merchants_ghost_is_not_there(self, files: Files) -> None:
        files.see(facts())
        other = Files(files.clock)
        with pytest.raises(GhostNotFoundError):
            other.erasable(files.ghost.id)

    def test_one_who_was_never_seen_is_kept_away_too(self, files: Files) -> None:
        customer = facts().customer.id
        assert customer is not None
        assert files.erase(customer) == 0
        assert files.see(facts()).found == 0

    def test_a_ghost_whose_customer_was_not_known_then_is_not_filled_later(self, files: Files) -> None:
        files.see(facts(customer=None))
        customer = facts().customer
        assert customer.id
        assert customer.email
        assert files.erase(customer.id) == 0

        assert files.see(facts()).updated == 1
        assert (files.ghost.state, files.ghost.customer_id) == (GhostState.EXHAUSTED, customer.id)
        assert customer.email not in files.everything()
        files.see(facts(attempt_count=5))
        assert customer.email not in files.everything()
        assert_sums_agree(files.merchant)

    def test_a_ghost_whose_customer_was_not_known_is_filled_for_anybody_else(self, files: Files) -> None:
        files.see(facts(customer=None))
        files.erase("cus_other")
        files.see(facts())
        assert (files.ghost.state, files.ghost.customer_email) == (GhostState.OPEN, facts().customer.email)

    def test_asking_twice_changes_nothing(self, files: Files) -> None:
        files.see(facts())
        customer = files.ghost.customer_id
        assert customer is not None
        files.erase(customer)
        first = files.ghost.purged_at
        files.clock.advance(DAY)
        files.erase(customer)
        assert files.ghost.purged_at == first

    def test_a_tombstone_says_nothing_of_who_it_was(self, files: Files) -> None:
        files.erase("cus_secret")
        assert "cus_secret" not in files.everything()

    def test_another_merchant_is_not_concerned(self, files: Files) -> None:
        customer = facts().customer.id
        assert customer is not None
        files.erase(customer)
        other = Files(files.clock)
        assert other.see(facts()).found == 1
