"""Rules that a person changes: open ghosts are planned by them at once, and nothing changes where they are refused."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

from core import db
from core.clock import ManualClock
from models.audit import AuditLog
from models.ghost import FoundVia, GhostEvent, GhostTarget, ManualTask, ManualTaskState, Strategy
from models.merchant import OpenLeakage
from models.work import ScheduledTask
from services.integrations.stripe.parsing import parse_invoice
from services.manual_tasks import service as manual_tasks
from services.merchants import service as merchants
from services.merchants.policies import InvalidPolicyError
from services.merchants.policy_fields import NEVER, Edit, PolicyMovedError
from services.messaging.schedule import DECIDED
from services.recovery.manual import BELOW_THE_LINE
from services.recovery.observe import observe
from services.recovery.plans import rules
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    """One that has two ghosts, failed and found just now, with messages on."""
    merchant_id = make_merchant()
    facts = [parse_invoice(raw_invoice(number, created=int(clock.now().timestamp()))) for number in (1, 2)]
    with db.tenant_session(merchant_id) as session:
        observe(session, merchant_context(session, merchant_id), facts, FoundVia.HUNT, clock.now())
    return merchant_id


def ghosts(merchant: str) -> list[GhostTarget]:
    with db.tenant_session(merchant) as session:
        found = list(session.exec(select(GhostTarget)))
        session.expunge_all()
    return found


def change(merchant: str, *edits: Edit) -> int:
    with db.tenant_session(merchant) as session:
        return rules.change(session, merchant, edits, actor_id="usr_1")


class TestTakesEffect:
    def test_open_ghosts_are_planned_by_the_new_rules(self, merchant: str, clock: ManualClock) -> None:
        before = {ghost.id: ghost.next_action_at for ghost in ghosts(merchant)}
        assert change(merchant, Edit("grace_hours.funds", 0, 48)) == 2
        after = ghosts(merchant)
        assert all(ghost.next_action_reason.startswith("Held 48 hours") for ghost in after)
        for ghost in after:
            assert ghost.next_action_at is not None
            assert before[ghost.id] is not None
            assert ghost.next_action_at >= clock.now() + timedelta(hours=47)

    def test_own_charges_are_planned_anew_as_well(self, merchant: str) -> None:
        before = {ghost.retry_reason for ghost in ghosts(merchant)}
        change(merchant, Edit("own_retries", "after_stripe", "off"))
        after = {ghost.retry_reason for ghost in ghosts(merchant)}
        assert (len(before), before & after) == (1, set())
        assert "off" in after.pop()

    def test_the_audit_says_who_changed_what_from_what_to_what(self, merchant: str) -> None:
        change(merchant, Edit("window_days", 28, 14), Edit("alert_lines.usd", None, 50_000))
        with db.tenant_session(merchant) as session:
            [entry] = session.exec(select(AuditLog).where(AuditLog.action == "merchant.policy_changed")).all()
        assert (entry.actor_id, entry.facts) == (
            "usr_1",
            {"changed": {"alert_lines.usd": {"from": None, "to": 50_000}, "window_days": {"from": 28, "to": 14}}},
        )


def tasks_of(merchant: str, state: ManualTaskState) -> list[ManualTask]:
    with db.tenant_session(merchant) as session:
        found = list(session.exec(select(ManualTask).where(ManualTask.state == state).order_by(col(ManualTask.id))))
        session.expunge_all()
    return found


def events_of(merchant: str, name: str) -> list[GhostEvent]:
    with db.tenant_session(merchant) as session:
        found = list(session.exec(select(GhostEvent).where(GhostEvent.name == name)))
        session.expunge_all()
    return found


LINE = "high_value_lines.usd"


class TestHighValueLine:
    def test_what_is_above_it_now_waits_for_a_person_who_is_told(self, merchant: str, clock: ManualClock) -> None:
        assert {ghost.next_action for ghost in ghosts(merchant)} == {"send_message"}
        change(merchant, Edit(LINE, None, 1))
        for ghost in ghosts(merchant):
            assert (ghost.strategy, ghost.next_action) == (Strategy.HIGH_VALUE_MANUAL, "")
            assert "high-value line" in ghost.strategy_reason
        waiting = tasks_of(merchant, ManualTaskState.OPEN)
        assert {task.ghost_id for task in waiting} == {ghost.id for ghost in ghosts(merchant)}
        assert [task.reason for task in waiting] == [ghost.strategy_reason for ghost in ghosts(merchant)]
        assert len(events_of(merchant, "strategy_changed")) == 2
        with db.tenant_session(merchant) as session:
            kinds = [task.kind for task in session.exec(select(ScheduledTask))]
        assert kinds.count("notify_action_required") == 1

    def test_what_no_longer_is_goes_back_to_the_engine_and_its_task_ends(self, merchant: str) -> None:
        before = [(ghost.strategy, ghost.strategy_reason, ghost.next_action) for ghost in ghosts(merchant)]
        change(merchant, Edit(LINE, None, 1))
        change(merchant, Edit(LINE, 1, NEVER))
        assert [(each.strategy, each.strategy_reason, each.next_action) for each in ghosts(merchant)] == before
        assert tasks_of(merchant, ManualTaskState.OPEN) == []
        assert {task.closed_reason for task in tasks_of(merchant, ManualTaskState.DONE)} == {BELOW_THE_LINE}

    def test_a_line_that_leaves_all_on_its_side_changes_nothing(self, merchant: str) -> None:
        change(merchant, Edit(LINE, None, 10_000_000))
        assert events_of(merchant, "strategy_changed") == []
        assert tasks_of(merchant, ManualTaskState.OPEN) == []

    def test_what_a_person_is_done_with_stays_as_they_left_it(self, merchant: str) -> None:
        change(merchant, Edit(LINE, None, 1))
        first, second = tasks_of(merchant, ManualTaskState.OPEN)
        with db.tenant_session(merchant) as session:
            manual_tasks.close(session, merchant, first.id, "They pay by wire.", actor_id="usr_1")
        change(merchant, Edit(LINE, 1, NEVER))
        planned = {ghost.id: (ghost.next_action, ghost.next_action_reason) for ghost in ghosts(merchant)}
        assert planned[first.ghost_id] == ("exhaust", DECIDED)
        assert planned[second.ghost_id][0] == "send_message"

    def test_nor_does_a_look_at_stripe_hand_it_back(self, merchant: str, clock: ManualClock) -> None:
        """A part was paid, and the rest is below the line."""
        change(merchant, Edit(LINE, None, 4000))
        first, second = tasks_of(merchant, ManualTaskState.OPEN)
        with db.tenant_session(merchant) as session:
            manual_tasks.close(session, merchant, first.id, "They pay by wire.", actor_id="usr_1")
        created = int(clock.now().timestamp())
        rest = [raw_invoice(number, created=created, amount_remaining=900, amount_paid=4000) for number in (1, 2)]
        facts = [parse_invoice(each) for each in rest]
        with db.tenant_session(merchant) as session:
            observe(session, merchant_context(session, merchant), facts, FoundVia.HUNT, clock.now())
        found = {ghost.id: (ghost.amount_cents, ghost.strategy, ghost.next_action) for ghost in ghosts(merchant)}
        assert found[first.ghost_id] == (900, Strategy.HIGH_VALUE_MANUAL, "exhaust")
        assert found[second.ghost_id] == (900, Strategy.SMART_RETRY, "send_message")

    def test_the_sums_by_reason_stay_what_the_open_ghosts_add_up_to(self, merchant: str) -> None:
        def sums() -> list[Any]:
            with db.tenant_session(merchant) as session:
                amount, number = func.sum(OpenLeakage.amount_cents), func.sum(OpenLeakage.ghosts)
                asked = select(OpenLeakage.decline_group, amount, number).group_by(OpenLeakage.decline_group)
                return sorted(map(tuple, session.exec(asked)))

        before = sums()
        assert before
        change(merchant, Edit(LINE, None, 1))
        assert sums() == before


class TestRefused:
    @pytest.mark.parametrize(
        ("edits", "error"),
        [
            ([Edit("cooldown_hours", 24, 48)], PolicyMovedError),
            ([Edit("quiet_from_hour", 21, 8)], InvalidPolicyError),
        ],
    )
    def test_nothing_changes(self, merchant: str, edits: list[Edit], error: Any) -> None:
        before = [(ghost.next_action_at, ghost.updated_at) for ghost in ghosts(merchant)]
        with pytest.raises(error):
            change(merchant, Edit("grace_hours.funds", 0, 48), *edits)
        assert [(ghost.next_action_at, ghost.updated_at) for ghost in ghosts(merchant)] == before
        with db.tenant_session(merchant) as session:
            assert merchants.get_policy(session, merchant).grace("funds") == timedelta(0)
