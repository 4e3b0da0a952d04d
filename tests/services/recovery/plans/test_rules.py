"""Rules that a person changes: open ghosts are planned by them at once, and nothing changes where they are refused."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.audit import AuditLog
from models.ghost import FoundVia, GhostTarget
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.merchants.policies import InvalidPolicyError
from services.merchants.policy_fields import Edit, PolicyMovedError
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
