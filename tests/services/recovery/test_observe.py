"""The upsert where hunt and webhook meet, on a real database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core import db
from core.clock import ManualClock
from models.audit import AuditLog
from models.ghost import FoundVia, GhostEvent, GhostState, GhostTarget, ManualTask, Strategy
from models.money import DailyMetrics, PaymentAttempt, Recovery
from models.work import ScheduledTask
from services.analytics.repository import list_totals
from services.analytics.schemas import OpenTotals
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.charging import charges
from services.recovery.observe import Observed, observe
from services.recovery.service import mark_lost
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_intent, raw_invoice, raw_subscription
from tests.support.recount import assert_sums_agree

Look = Callable[..., Observed]


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


@pytest.fixture
def look(merchant: str, clock: ManualClock) -> Look:
    """Show invoices to PHANTOM as a hunt or a webhook would."""

    def run(*facts: InvoiceFacts, via: FoundVia = FoundVia.WEBHOOK) -> Observed:
        with db.tenant_session(merchant) as session:
            return observe(session, merchant_context(session, merchant), facts, via, clock.now())

    return run


def rows(merchant: str, table: Any) -> list[Any]:
    """All rows of a table in the order they were made, where they have one."""
    order = table.__table__.primary_key.columns.values()
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(table).order_by(*order)).all())


def totals(merchant: str) -> OpenTotals:
    with db.tenant_session(merchant) as session:
        return list_totals(session, merchant)[0]


FAILED = parse_invoice(raw_invoice())


def paid(facts: InvoiceFacts, at: Any = None) -> InvoiceFacts:
    return replace(facts, status="paid", amount_remaining=0, amount_paid=facts.amount_due, paid_at=at)


class TestFinding:
    def test_a_failed_recurring_invoice_becomes_a_ghost_with_its_forensics(self, merchant: str, look: Look):
        assert look(FAILED) == Observed(1, 0, 0)
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.state, ghost.strategy, ghost.amount_cents) == (GhostState.OPEN, Strategy.SMART_RETRY, 4900)
        assert (ghost.card_brand, ghost.card_funding, ghost.country_code) == ("visa", "credit", "us")
        assert (ghost.decline_code, ghost.decline_group, ghost.attempt_count) == ("insufficient_funds", "funds", 1)
        assert (ghost.next_action, ghost.next_action_at) == ("send_message", ghost.found_at)

    def test_found_again_by_the_other_path_changes_nothing(self, merchant: str, look: Look):
        look(FAILED, via=FoundVia.WEBHOOK)
        before = totals(merchant), rows(merchant, DailyMetrics), len(rows(merchant, GhostEvent))
        assert look(FAILED, via=FoundVia.HUNT) == Observed(0, 0, 1)
        assert (totals(merchant), rows(merchant, DailyMetrics), len(rows(merchant, GhostEvent))) == before

    def test_the_first_message_is_a_task_of_the_same_transaction(self, merchant: str, look: Look):
        look(FAILED)
        (task,) = rows(merchant, ScheduledTask)
        assert (task.kind, task.payload["step"]) == ("send_message", 1)

    def test_many_at_once_make_one_pulse(self, merchant: str, look: Look):
        look(*(parse_invoice(raw_invoice(number)) for number in range(1, 21)), via=FoundVia.HUNT)
        assert [task.kind for task in rows(merchant, ScheduledTask)] == ["pulse"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"billing_reason": "manual"},
            {"billing_reason": "subscription_create"},
            {"parent": None},
            {"collection_method": "send_invoice"},
            {"attempted": False, "attempt_count": 0},
            {"amount_remaining": 0},
            {"amount_remaining": -500},
            {"status": "draft"},
            {"parent": {"subscription_details": {"subscription": raw_subscription(status="incomplete")}}},
            {"parent": {"subscription_details": {"subscription": raw_subscription(status="canceled")}}},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_what_is_no_ghost_is_passed_over(self, merchant: str, look: Look, changes: dict[str, Any]):
        assert look(parse_invoice(raw_invoice(**changes))) == Observed()
        assert rows(merchant, GhostTarget) == []

    def test_without_an_email_there_is_a_ghost_and_no_message(self, merchant: str, look: Look):
        look(parse_invoice(raw_invoice(customer={"id": "cus_1"})))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.next_action, rows(merchant, ScheduledTask)) == ("exhaust", [])
        assert "no email" in ghost.next_action_reason

    @pytest.mark.parametrize("missing", ["customer", "payments"])
    def test_what_stripe_does_not_tell_does_not_hide_a_ghost(self, merchant: str, look: Look, missing: str):
        assert look(parse_invoice(raw_invoice(**{missing: None}))).found == 1
        assert rows(merchant, GhostTarget)[0].state == GhostState.OPEN

    @pytest.mark.parametrize(
        "email",
        [
            "o'brien+tag@example.com",
            "{odd}|chars~!#$%&'*/=?^_`@example.com",
            '"quoted"@example.com',
            "ü@exämple.de",
        ],
    )
    def test_odd_but_legal_addresses_are_written_to(self, merchant: str, look: Look, email: str):
        look(parse_invoice(raw_invoice(customer={"id": "cus_1", "email": email})))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.customer_email, ghost.next_action) == (email, "send_message")

    def test_a_large_amount_waits_for_a_person(self, merchant: str, look: Look):
        look(parse_invoice(raw_invoice(amount_due=500_000, amount_remaining=500_000)))
        (task,) = rows(merchant, ManualTask)
        assert task.state == "open"
        assert [task.kind for task in rows(merchant, ScheduledTask)] == ["notify_action_required"]

    def test_what_is_over_waits_for_nobody(self, merchant: str, look: Look):
        large = parse_invoice(raw_invoice(amount_due=500_000, amount_remaining=500_000))
        look(replace(large, status="uncollectible"), via=FoundVia.AUDIT)
        assert rows(merchant, GhostTarget)[0].state == GhostState.LOST
        assert rows(merchant, ManualTask) == rows(merchant, ScheduledTask) == []

    def test_what_a_person_did_is_audited_of_the_ghosts_that_moved(self, merchant: str, look: Look):
        look(FAILED)
        (ghost,) = rows(merchant, GhostTarget)
        with db.tenant_session(merchant) as session:
            assert mark_lost(session, merchant, [ghost.id, "gh_another"], "usr_1") == 1
            assert mark_lost(session, merchant, [ghost.id], "usr_1") == 0
        (row,) = rows(merchant, AuditLog)
        assert (row.action, row.facts) == ("ghosts.lost", {"ghosts": [ghost.id]})

    def test_what_was_written_off_and_grows_waits_for_nobody(self, merchant: str, look: Look):
        look(FAILED)
        with db.tenant_session(merchant) as session:
            mark_lost(session, merchant, [rows(merchant, GhostTarget)[0].id], "usr_1")
        look(replace(FAILED, amount_remaining=500_000, attempt_count=2))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.state, ghost.strategy) == (GhostState.LOST, Strategy.HIGH_VALUE_MANUAL)
        assert rows(merchant, ManualTask) == []

    def test_what_was_lost_stays_in_its_day_as_it_was_then(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, amount_remaining=4000))
        with db.tenant_session(merchant) as session:
            mark_lost(session, merchant, [rows(merchant, GhostTarget)[0].id], "usr_1")
        look(replace(FAILED, amount_remaining=1500))
        assert rows(merchant, GhostTarget)[0].amount_cents == 1500
        assert [day.lost_cents for day in rows(merchant, DailyMetrics)] == [4000]
        assert_sums_agree(merchant)

    def test_a_customer_who_told_the_bank_to_stop_is_not_chased(self, merchant: str, look: Look):
        look(parse_invoice(raw_invoice(intent=raw_intent("stop_payment_order"))))
        (ghost,) = rows(merchant, GhostTarget)
        assert ghost.state == GhostState.STOPPED
        assert ghost.next_action_reason.startswith("One polite note and no more: ")

    @pytest.mark.parametrize("currency", ["jpy", "kwd", "isk"])
    def test_minor_units_are_kept_as_stripe_counts_them(self, merchant: str, look: Look, currency: str):
        look(parse_invoice(raw_invoice(currency=currency)))
        assert (totals(merchant).currency, totals(merchant).leakage_cents) == (currency, 4900)

    def test_the_audit_takes_uncollectible_invoices_as_lost(self, merchant: str, look: Look):
        written_off = replace(FAILED, status="uncollectible")
        assert look(written_off, via=FoundVia.HUNT).found == 0
        assert look(written_off, via=FoundVia.AUDIT).found == 1
        assert rows(merchant, GhostTarget)[0].state == GhostState.LOST


class TestGoingOn:
    def test_another_failed_attempt_is_an_event_and_an_attempt(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, attempt_count=2))
        assert [event.name for event in rows(merchant, GhostEvent)] == ["found", "strategy_chosen", "attempt_failed"]
        assert len(rows(merchant, PaymentAttempt)) == 2

    def test_what_stripe_counts_and_does_not_charge_is_no_charge(self, merchant: str, look: Look, clock: ManualClock):
        """A lost card: the count rises with each date of the schedule, and nothing is charged (FACTS §1)."""
        lost = parse_invoice(raw_invoice(intent=raw_intent("lost_card")))
        look(lost)
        charged_at = rows(merchant, GhostTarget)[0].last_charge_at
        for count in (2, 3, 4):
            clock.advance(timedelta(days=3))
            look(replace(lost, attempt_count=count))
        (ghost,) = rows(merchant, GhostTarget)
        with db.tenant_session(merchant) as session:
            assert charges.of_ghost(session, merchant, ghost.id).used == 1
        assert (ghost.attempt_count, ghost.last_charge_at) == (4, charged_at)
        assert [event.name for event in rows(merchant, GhostEvent)][2:] == ["attempt_counted"] * 3

        funds = DeclineFacts(decline_code="insufficient_funds", charge_id="ch_another_card")
        look(replace(lost, attempt_count=5, decline=funds))  # another card, and Stripe charges again
        look(replace(lost, attempt_count=6, decline=funds))
        assert [row.decline_code for row in rows(merchant, PaymentAttempt)] == [
            "lost_card",
            *["insufficient_funds"] * 2,
        ]

    def test_nor_is_it_where_it_was_found_late(self, merchant: str, look: Look):
        look(parse_invoice(raw_invoice(attempt_count=4, intent=raw_intent("lost_card"))))
        (row,), (ghost,) = rows(merchant, PaymentAttempt), rows(merchant, GhostTarget)
        assert row.attempted_at == ghost.last_charge_at == ghost.original_invoice_date

    def test_a_late_older_hint_does_not_turn_the_count_back(self, merchant: str, look: Look):
        look(replace(FAILED, attempt_count=3))
        look(replace(FAILED, attempt_count=1))
        assert rows(merchant, GhostTarget)[0].attempt_count == 3

    def test_a_partial_payment_lowers_the_leakage(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, amount_remaining=1900, amount_paid=3000))
        assert totals(merchant).leakage_cents == 1900

    def test_a_vague_decline_becomes_a_card_refresh(self, merchant: str, look: Look):
        vague = parse_invoice(raw_invoice(intent=raw_intent("do_not_honor")))
        look(vague)
        look(replace(vague, attempt_count=2))
        assert rows(merchant, GhostTarget)[0].strategy == Strategy.CARD_REFRESH

    def test_a_snapshot_without_a_decline_leaves_the_strategy(self, merchant: str, look: Look):
        expired = parse_invoice(raw_invoice(intent=raw_intent("expired_card")))
        look(expired)
        silent = replace(expired, decline=DeclineFacts())
        assert look(silent) == Observed(0, 0, 1)
        look(replace(silent, attempt_count=2))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.strategy, ghost.decline_group, ghost.decline_code) == (
            Strategy.CARD_REFRESH,
            "card_data",
            "expired_card",
        )

    def test_a_snapshot_without_a_payment_does_not_deny_3d_secure(self, merchant: str, look: Look):
        wanted = replace(FAILED, decline=DeclineFacts(requires_3ds=True))
        look(wanted)
        silent = replace(wanted, decline=DeclineFacts(), payment_intent_id=None)
        assert look(silent) == Observed(0, 0, 1)
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.requires_3ds, ghost.decline_group) == (True, "authentication")
        look(FAILED)  # and one that tells of the payment does
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.requires_3ds, ghost.decline_group) == (False, "funds")

    def test_another_decline_changes_the_strategy(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, decline=DeclineFacts(error_code="expired_card")))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.strategy, ghost.decline_group) == (Strategy.CARD_REFRESH, "card_data")


class TestAmounts:
    """What came back is the money that came in after the ghost was found."""

    def _recovered(self, merchant: str) -> int:
        return sum(row.amount_cents for row in rows(merchant, Recovery))

    def test_part_payments_count_together(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, amount_remaining=1900, amount_paid=3000))
        look(paid(FAILED))
        assert (self._recovered(merchant), totals(merchant).leakage_cents) == (4900, 0)

    @pytest.mark.parametrize(("late_by", "open_now"), [(timedelta(minutes=1), 1900), (timedelta(seconds=5), 4900)])
    def test_a_page_that_was_read_before_and_is_stored_after_is_no_news(
        self, merchant: str, look: Look, clock: ManualClock, late_by: timedelta, open_now: int
    ):
        """But for seconds, by which two hosts' clocks may be apart."""
        look(replace(FAILED, read_at=clock.now()))
        clock.advance(timedelta(hours=1))
        look(replace(FAILED, amount_remaining=1900, amount_paid=3000, read_at=clock.now()))
        look(replace(FAILED, read_at=clock.now() - late_by))
        assert (rows(merchant, GhostTarget)[0].amount_cents, totals(merchant).leakage_cents) == (open_now, open_now)
        clock.advance(timedelta(minutes=1))
        look(replace(FAILED, amount_remaining=900, amount_paid=4000, read_at=clock.now()))
        assert totals(merchant).leakage_cents == 900

    def test_what_was_paid_before_it_was_found_does_not(self, merchant: str, look: Look):
        part = replace(FAILED, amount_remaining=1900, amount_paid=3000)
        look(part)
        look(paid(part))
        assert self._recovered(merchant) == 1900

    def test_a_credit_note_brings_nothing_back(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(paid(FAILED), amount_paid=0))
        assert (self._recovered(merchant), totals(merchant).leakage_cents) == (0, 0)

    @pytest.mark.parametrize("due", [4900, 3000])
    def test_nor_does_one_for_the_rest_of_what_was_paid_in_part_before(self, merchant: str, look: Look, due: int):
        """Stripe lowers what is due of an open invoice by the note: what is due tells nothing of what came in."""
        part = replace(FAILED, amount_remaining=1900, amount_paid=3000)
        look(part)
        look(replace(part, status="paid", amount_due=due, amount_remaining=0))
        assert rows(merchant, GhostTarget)[0].state == GhostState.RECOVERED
        assert self._recovered(merchant) == 0

    def test_the_rest_outside_stripe_does(self, merchant: str, look: Look):
        part = replace(FAILED, amount_remaining=1900, amount_paid=3000)
        look(part)
        look(replace(paid(part), paid_out_of_band=True))
        assert self._recovered(merchant) == 1900


class TestEnding:
    def test_a_payment_recovers_once_with_ledger_and_sums(self, merchant: str, look: Look, clock: ManualClock):
        look(FAILED)
        clock.advance(timedelta(days=1))
        look(paid(FAILED, clock.now()))
        look(paid(FAILED, clock.now()))
        (entry,) = rows(merchant, Recovery)
        assert (entry.kind, entry.amount_cents, entry.mechanism) == ("recovered", 4900, "organic")
        now = totals(merchant)
        assert (now.leakage_cents, now.shadow_leakage_cents, now.open_ghosts, now.recovered_cents) == (0, 0, 0, 4900)
        cohort = [day for day in rows(merchant, DailyMetrics) if day.found_count]
        assert (cohort[0].cohort_recovered_count, cohort[0].cohort_recovered_cents) == (1, 4900)

    def test_an_old_failure_does_not_revive_a_recovered_ghost(self, merchant: str, look: Look):
        look(FAILED)
        look(paid(FAILED))
        look(replace(FAILED, attempt_count=4))
        assert rows(merchant, GhostTarget)[0].state == GhostState.RECOVERED

    def test_paid_before_it_was_ever_seen_is_no_ghost(self, merchant: str, look: Look):
        assert look(paid(FAILED)) == Observed()
        assert rows(merchant, GhostTarget) == []

    def test_a_late_payment_recovers_what_was_lost(self, merchant: str, look: Look):
        look(FAILED)
        look(replace(FAILED, status="uncollectible"))
        assert rows(merchant, GhostTarget)[0].state == GhostState.LOST
        look(paid(FAILED))
        assert rows(merchant, GhostTarget)[0].state == GhostState.RECOVERED
        assert totals(merchant).leakage_cents == 0

    def test_it_ended_when_it_was_paid_not_when_it_was_given_up(self, merchant: str, look: Look, clock: ManualClock):
        look(FAILED)
        look(replace(FAILED, status="uncollectible"))
        clock.advance(timedelta(days=20))
        look(paid(FAILED, clock.now()))
        (ghost,) = rows(merchant, GhostTarget)
        assert (ghost.state, ghost.closed_at, ghost.close_reason) == (GhostState.RECOVERED, clock.now(), "")

    @pytest.mark.parametrize(
        ("end", "state"), [("cancellation_requested", GhostState.STOPPED), ("payment_failed", GhostState.LOST)]
    )
    def test_an_ended_subscription_stops_or_loses(self, merchant: str, look: Look, end: str, state: GhostState):
        look(FAILED)
        look(replace(FAILED, subscription_status="canceled", subscription_end=end))
        ghost = rows(merchant, GhostTarget)[0]
        assert (ghost.state, ghost.next_action) == (state, "")
        assert totals(merchant).shadow_leakage_cents == 0


class TestShadowLeakage:
    def test_two_ghosts_of_one_subscription_count_its_value_once(self, merchant: str, look: Look):
        second = replace(parse_invoice(raw_invoice(2)), subscription_id=FAILED.subscription_id)
        look(FAILED, second)
        assert (totals(merchant).shadow_leakage_cents, totals(merchant).leakage_cents) == (4900, 9800)
        look(paid(FAILED))
        assert totals(merchant).shadow_leakage_cents == 4900
        look(paid(second))
        assert totals(merchant).shadow_leakage_cents == 0

    def test_it_is_handed_on_in_its_own_currency_or_not_at_all(self, merchant: str, look: Look):
        """A subscription that was moved to euros: dollars would be counted as euros for as long as it is open."""
        moved = replace(parse_invoice(raw_invoice(2, currency="eur")), subscription_id=FAILED.subscription_id)
        look(FAILED, moved)
        look(paid(FAILED))
        with db.tenant_session(merchant) as session:
            now = {each.currency: each.shadow_leakage_cents for each in list_totals(session, merchant)}
        assert (now["usd"], now["eur"]) == (0, 0)
        assert {ghost.currency: ghost.shadow_cents for ghost in rows(merchant, GhostTarget)} == {"usd": 0, "eur": 0}

    @pytest.mark.parametrize("stopped_first", [True, False])
    def test_who_stays_carries_it_whoever_stops(self, merchant: str, look: Look, stopped_first: bool):
        told_to_stop = parse_invoice(raw_invoice(2, intent=raw_intent("stop_payment_order")))
        stopped = replace(told_to_stop, subscription_id=FAILED.subscription_id)
        look(*((stopped, FAILED) if stopped_first else (FAILED, stopped)), via=FoundVia.HUNT)
        found = {ghost.state: ghost.shadow_cents for ghost in rows(merchant, GhostTarget)}
        assert found == {GhostState.STOPPED: 0, GhostState.OPEN: 4900}
        assert totals(merchant).shadow_leakage_cents == 4900


class TestTenants:
    def test_another_merchant_sees_and_changes_nothing(self, merchant: str, look: Look, clock: ManualClock):
        look(FAILED)
        other = make_merchant()
        assert rows(other, GhostTarget) == []
        with db.tenant_session(other) as session:
            observe(session, merchant_context(session, other), [paid(FAILED)], FoundVia.HUNT, clock.now())
            stolen = session.exec(select(GhostTarget).where(col(GhostTarget.merchant_id) == merchant)).all()
        assert stolen == []
        assert rows(merchant, GhostTarget)[0].state == GhostState.OPEN
