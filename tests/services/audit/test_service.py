"""The live log and the audit log: per merchant, newest first, append-only."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from core.clock import ManualClock
from core.db import tenant_session
from services.audit import service

A, B = "mer_a", "mer_b"

pytestmark = pytest.mark.usefixtures("database")


class TestLiveLog:
    def test_is_newest_first_and_bounded(self, clock: ManualClock) -> None:
        with tenant_session(A) as session:
            for number in range(5):
                service.log_event(session, A, "hunt.finished", f"Hunt {number}", facts={"found": number})
                clock.advance(timedelta(seconds=1))
        with tenant_session(A) as session:
            lines = service.list_log(session, A, limit=3)
        assert [line.message for line in lines] == ["Hunt 4", "Hunt 3", "Hunt 2"]
        assert (lines[0].event, lines[0].level, lines[0].facts) == ("hunt.finished", "info", {"found": 4})

    def test_shows_no_other_merchants_lines(self) -> None:
        with tenant_session(A) as session:
            service.log_event(session, A, "hunt.finished", "ours")
        with tenant_session(B) as session:
            assert service.list_log(session, B) == ()
            assert service.list_log(session, A) == ()

    def test_is_rolled_back_with_what_it_tells_of(self) -> None:
        with tenant_session(A) as session:
            service.log_event(session, A, "hunt.finished", "never happened")
            session.rollback()
        with tenant_session(A) as session:
            assert service.list_log(session, A) == ()

    def test_cannot_be_written_for_another_merchant(self) -> None:
        with tenant_session(A) as session:
            with pytest.raises(ProgrammingError, match="row-level security"):
                service.log_event(session, B, "hunt.finished", "forged")
            session.rollback()


class TestAuditLog:
    @pytest.mark.parametrize("statement", ["update audit_log set actor_id = 'nobody'", "delete from audit_log"])
    def test_cannot_be_changed_by_the_application(self, statement: str) -> None:
        with tenant_session(A) as session:
            service.record_audit(session, A, "merchant.policy_changed", actor_id="usr_1", target="policy")
        with tenant_session(A) as session:
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.execute(text(statement))
            session.rollback()
