"""A merchant's policy and the end of its connection."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlmodel import select

from core import clock as core_clock
from core.clock import ManualClock
from core.db import system_session, tenant_session
from models.audit import AuditLog
from models.merchant import CredentialMode, Merchant, MerchantState, StripeMails
from services.audit import service as audit
from services.merchants import repository, service
from services.merchants.errors import MerchantNotFoundError
from services.merchants.policies import InvalidPolicyError, OwnRetries
from services.merchants.policy_fields import Edit, PolicyMovedError
from services.vault import service as vault
from services.vault.secret import Secret
from tests.support.database import WorkerDatabase

A, B = "mer_a", "mer_b"

pytestmark = pytest.mark.usefixtures("database")


def make_merchant(merchant_id: str = A, account: str | None = "acct_a", **fields: Any) -> None:
    now = core_clock.now()
    with tenant_session(merchant_id) as session:
        merchant = Merchant(
            id=merchant_id, stripe_user_id=account, credential_mode=CredentialMode.OAUTH, connected_at=now,
            created_at=now, updated_at=now, **fields,
        )  # fmt: skip
        vault.seal_merchant_token(merchant, Secret("sk_test_x"), Secret("rt_x"))
        session.add(merchant)
        if account:
            repository.put_account(session, account, merchant_id, livemode=False, now=now)


def disconnect(at: Any) -> bool:
    with tenant_session(A) as session:
        return service.mark_disconnected(session, A, at=at, reason="deauthorized")


class TestDisconnecting:
    def test_forgets_the_credential_and_keeps_the_rest(self, clock: ManualClock, database: WorkerDatabase) -> None:
        make_merchant(name="Shop")
        clock.advance(timedelta(hours=1))
        assert disconnect(clock.now())
        with tenant_session(A) as session:
            view = service.get_merchant(session, A)
            assert (view.name, view.state, view.disconnected_at) == ("Shop", MerchantState.DISCONNECTED, clock.now())
            assert not view.is_connected
            assert [line.event for line in audit.list_log(session, A)] == ["connection.ended"]
        with psycopg.connect(database.admin_url) as connection:
            found = connection.execute(
                "select encrypted_token, iv, tag, wrapped_key, key_version, encrypted_refresh_token from merchants"
            ).fetchone()
        assert found == (None,) * 6

    def test_stops_hunts_and_webhooks(self, clock: ManualClock) -> None:
        make_merchant()
        make_merchant(B, "acct_b")
        clock.advance(timedelta(hours=1))
        disconnect(clock.now())
        with system_session() as platform:
            assert [one.merchant_id for one in service.list_connected(platform)] == [B]
            assert service.find_account(platform, "acct_a") is None
            assert service.find_account(platform, "acct_b") is not None
            assert service.find_account(platform, "acct_nobody") is None

    def test_twice_is_once(self, clock: ManualClock) -> None:
        make_merchant()
        clock.advance(timedelta(hours=1))
        assert disconnect(clock.now())
        assert not disconnect(clock.now())

    def test_told_late_does_not_end_a_newer_connection(self, clock: ManualClock) -> None:
        make_merchant()
        assert not disconnect(clock.now() - timedelta(seconds=1))
        with tenant_session(A) as session:
            assert service.get_merchant(session, A).is_connected

    def test_told_in_whole_seconds_ends_the_connection_of_that_second(self, clock: ManualClock) -> None:
        clock.advance(timedelta(milliseconds=700))
        make_merchant()
        assert disconnect(clock.now().replace(microsecond=0))

    def test_of_another_tenant_is_not_found(self) -> None:
        make_merchant(B, "acct_b")
        with pytest.raises(MerchantNotFoundError), tenant_session(A) as session:
            service.mark_disconnected(session, B, at=core_clock.now(), reason="x")


class TestPolicy:
    def change(self, **changes: Any) -> Any:
        with tenant_session(A) as session:
            return service.change_policy(session, A, changes, actor_id="usr_1")

    def test_has_the_products_defaults(self) -> None:
        make_merchant()
        with tenant_session(A) as session:
            policy = service.get_policy(session, A)
        assert policy.grace("authentication") == policy.grace("funds_and_limits") == timedelta(0)
        assert policy.grace("technical") == timedelta(hours=24)
        assert policy.cooldown == timedelta(hours=72)
        assert (policy.messages_per_ghost, policy.messages_per_customer_week) == (3, 2)
        assert policy.window == timedelta(days=28)
        assert policy.billing_reasons == {"subscription_cycle"}
        assert policy.own_retries == OwnRetries.AFTER_STRIPE

    @pytest.mark.parametrize(
        ("currency", "line"), [("usd", 100_000), ("jpy", 150_000), ("kwd", 300_000), ("xau", None)]
    )
    def test_draws_the_high_value_line_in_minor_units(self, currency: str, line: int | None) -> None:
        make_merchant()
        with tenant_session(A) as session:
            assert service.get_policy(session, A).high_value_line(currency) == line

    def test_stores_what_was_said_and_follows_the_defaults_for_the_rest(self, database: WorkerDatabase) -> None:
        make_merchant()
        self.change(cooldown_hours=48)
        policy = self.change(high_value_lines={"usd": 50_000, "eur": None})
        assert (policy.cooldown_hours, policy.high_value_line("usd"), policy.high_value_line("eur")) == (
            48,
            50_000,
            None,
        )
        with psycopg.connect(database.admin_url) as connection:
            assert connection.execute("select policy from merchants").fetchone() == (
                {"cooldown_hours": 48, "high_value_lines": {"usd": 50_000, "eur": None}},
            )
            assert connection.execute("select actor_id, facts from audit_log order by id").fetchall() == [
                ("usr_1", {"changed": {"cooldown_hours": {"from": 72, "to": 48}}}),
                (
                    "usr_1",
                    {
                        "changed": {
                            "high_value_lines.eur": {"from": None, "to": "never"},
                            "high_value_lines.usd": {"from": None, "to": 50_000},
                        }
                    },
                ),
            ]

    @pytest.mark.parametrize(
        "bad",
        [{"cooldown_hours": 0}, {"messages_per_ghost": 4}, {"billing_reasons": ["manual"]}, {"unknown": 1},
         {"quiet_from_hour": 8, "quiet_until_hour": 8}, {"own_retries": "always"}, {"paused": "perhaps"}],
    )  # fmt: skip
    def test_refuses_what_makes_no_sense_and_changes_nothing(self, bad: dict[str, Any]) -> None:
        make_merchant()
        with pytest.raises(InvalidPolicyError):
            self.change(**bad)
        with tenant_session(A) as session:
            assert service.get_policy(session, A).cooldown_hours == 72


class TestEdits:
    def edit(self, *edits: Edit) -> Any:
        with tenant_session(A) as session:
            return service.edit_policy(session, A, edits, actor_id="usr_1")

    def test_two_people_who_change_two_things_both_have_their_way(self) -> None:
        make_merchant()
        self.edit(Edit("grace_hours.funds", 0, 24), Edit("alert_lines.usd", None, 500))
        policy = self.edit(Edit("grace_hours.card_data", 0, 12), Edit("alert_lines.eur", None, 700))
        assert policy.grace_hours == {"technical": 24, "funds": 24, "card_data": 12}
        assert policy.alert_lines == {"usd": 500, "eur": 700}

    def test_of_two_who_change_the_same_the_slower_is_told_and_changes_nothing(self) -> None:
        make_merchant()
        self.edit(Edit("cooldown_hours", 72, 48))
        with pytest.raises(PolicyMovedError) as told:
            self.edit(Edit("cooldown_hours", 72, 24), Edit("window_days", 28, 14))
        assert told.value.present == {"cooldown_hours": 48}
        with tenant_session(A) as session:
            policy = service.get_policy(session, A)
        assert (policy.cooldown_hours, policy.window_days) == (48, 28)

    def test_who_wants_what_is_there_already_is_not_bothered_and_not_in_the_audit(self) -> None:
        make_merchant()
        self.edit(Edit("cooldown_hours", 72, 48))
        self.edit(Edit("cooldown_hours", 72, 48))
        with tenant_session(A) as session:
            assert len(session.exec(select(AuditLog)).all()) == 1

    def test_a_default_that_was_never_said_stays_in_force_beside_what_is(self) -> None:
        """Grace is one field: setting one group must not take the others' away."""
        make_merchant()
        assert self.edit(Edit("grace_hours.funds", 0, 6)).grace("technical") == timedelta(hours=24)


class TestStripesOwnMails:
    def test_are_not_asked_about_until_somebody_answers(self, clock: ManualClock) -> None:
        make_merchant()
        make_merchant(B, "acct_b")
        assert said(A) is StripeMails.NOT_ASKED
        answer(StripeMails.YES)
        assert (said(A), said(B)) == (StripeMails.YES, StripeMails.NOT_ASKED)

    def test_an_answer_is_audited_once(self, clock: ManualClock) -> None:
        make_merchant()
        answer(StripeMails.NO)
        answer(StripeMails.NO)
        with tenant_session(A) as session:
            entries = [(each.action, each.facts) for each in session.exec(select(AuditLog))]
        assert entries == [("merchant.stripe_mails_answered", {"answer": "no"})]


def answer(given: StripeMails) -> None:
    with tenant_session(A) as session:
        service.answer_stripe_mails(session, A, given, actor_id="usr_1")


def said(merchant: str) -> StripeMails:
    with tenant_session(merchant) as session:
        return service.get_merchant(session, merchant).stripe_mails
