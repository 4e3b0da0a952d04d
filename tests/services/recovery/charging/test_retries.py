"""Whether and when PHANTOM charges a card again by itself: policy by policy, code by code."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.ghost import GhostState, Strategy
from services.integrations.stripe.facts import DeclineFacts
from services.merchants.policies import OwnRetries, RecoveryPolicy
from services.recovery.charging.retries import APART, Case, Slot, may_charge, next_retry, stands, ten_oclock
from services.recovery.strategy import GROUP_OF_CODE, STRIPE_WILL_NOT_RETRY, DeclineGroup, decide

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AFTER = RecoveryPolicy(paused=False)
WITH = RecoveryPolicy(paused=False, own_retries=OwnRetries.WITH_STRIPE)
CASE = Case(
    state=GhostState.EXHAUSTED,
    strategy=Strategy.SMART_RETRY,
    decline=DeclineFacts("card_declined", "insufficient_funds"),
    decline_group=DeclineGroup.FUNDS,
    card_id="pm_1",
    card_country="us",
    country="de",
    found_at=NOW - 14 * DAY,
    last_charge_at=NOW - 2 * DAY,
    next_payment_attempt=None,
    last_clicked_at=None,
    own_retries=0,
)


class TestWords:
    """What a ghost's page says of PHANTOM's part stands beside the strategy's sentence and must not contradict it."""

    def test_a_fault_between_the_banks_is_no_card_that_would_be_declined_again(self):
        fault = decide(
            DeclineFacts("processing_error", "processing_error"), attempts=1, amount=4900, high_value_line=None
        )
        case = replace(CASE, strategy=fault.strategy, decline_group=fault.group)
        assert "the same card usually works" in fault.reason
        said = next_retry(AFTER, case, NOW)
        assert (said.at, said.reason.startswith("After a technical fault only Stripe tries again")) == (None, True)

    def test_what_the_bank_wants_confirmed_says_so(self):
        wanted = decide(
            DeclineFacts("card_declined", "authentication_required"), attempts=1, amount=4900, high_value_line=None
        )
        case = replace(CASE, strategy=wanted.strategy, decline_group=wanted.group)
        assert "confirm" in next_retry(AFTER, case, NOW).reason

    def test_a_dead_card_would_be_declined_again(self):
        dead = decide(DeclineFacts("card_declined", "expired_card"), attempts=1, amount=4900, high_value_line=None)
        case = replace(CASE, strategy=dead.strategy, decline_group=dead.group)
        assert next_retry(AFTER, case, NOW).reason == "The same card would be declined again."


class TestPolicies:
    def test_after_stripe_waits_for_the_end_of_stripes_schedule(self):
        waiting = replace(CASE, next_payment_attempt=NOW + 5 * DAY)
        planned = next_retry(AFTER, waiting, NOW)
        assert (planned.at, planned.look_at) == (None, NOW + 6 * DAY)
        assert "Stripe" in planned.reason
        assert next_retry(AFTER, CASE, NOW).at is not None

    def test_with_stripe_keeps_a_day_from_stripes_next_attempt(self):
        for hours in range(-30, 24 * 9):
            due = NOW + timedelta(hours=hours)
            at = next_retry(WITH, replace(CASE, next_payment_attempt=due), NOW).at
            assert at is not None
            assert abs(at - due) >= APART, hours

    def test_with_stripe_goes_between_two_attempts_that_leave_room(self):
        due = NOW + 6 * DAY
        at = next_retry(WITH, replace(CASE, next_payment_attempt=due), NOW).at
        assert at is not None
        assert NOW < at < due

    def test_off_charges_nothing(self):
        off = RecoveryPolicy(paused=False, own_retries=OwnRetries.OFF)
        assert next_retry(off, CASE, NOW).at is None
        assert may_charge(off, replace(CASE, last_charge_at=NOW - 9 * DAY), NOW)

    def test_nothing_is_charged_before_the_merchant_says_go(self):
        paused = RecoveryPolicy()
        assert next_retry(paused, CASE, NOW).at is None
        assert next_retry(paused, replace(CASE, has_spare_card=True), NOW).at is None


class TestWhom:
    @pytest.mark.parametrize("code", sorted(GROUP_OF_CODE))
    def test_code_by_code(self, code: str):
        """Funds and what the bank does not explain; nothing else, and nothing that Stripe would not charge."""
        decline = DeclineFacts("card_declined", code, requires_3ds=code == "authentication_required")
        decision = decide(decline, attempts=1, amount=100, high_value_line=None)
        case = replace(CASE, decline=decline, decline_group=decision.group, strategy=decision.strategy)
        charged = next_retry(AFTER, case, NOW).at is not None
        soft = decision.group in (DeclineGroup.FUNDS, DeclineGroup.ISSUER_VAGUE) and code != "do_not_try_again"
        assert charged == soft
        # ... even if the strategy, by history or by mistake, were another
        forced = next_retry(AFTER, replace(case, strategy=Strategy.SMART_RETRY), NOW)
        assert (forced.at is not None) == soft

    @pytest.mark.parametrize("code", sorted(STRIPE_WILL_NOT_RETRY))
    def test_what_stripe_does_not_execute_is_not_executed_by_us(self, code: str):
        case = replace(CASE, decline=DeclineFacts("card_declined", code), decline_group=DeclineGroup.FUNDS)
        assert next_retry(AFTER, case, NOW).at is None
        assert may_charge(WITH, case, NOW)

    @pytest.mark.parametrize("advice", ["do_not_try_again", "confirm_card_data"])
    def test_the_banks_advice_is_followed(self, advice: str):
        case = replace(CASE, decline=DeclineFacts("card_declined", "insufficient_funds", advice))
        assert next_retry(AFTER, case, NOW).at is None

    def test_authentication_wants_the_customer(self):
        case = replace(CASE, decline=replace(CASE.decline, requires_3ds=True))
        assert next_retry(AFTER, case, NOW).at is None

    def test_a_card_issued_in_india_has_had_its_attempt(self):
        assert next_retry(AFTER, replace(CASE, card_country="in"), NOW).at is None

    @pytest.mark.parametrize("state", [s for s in GhostState if s not in ("open", "contacted", "clicked", "exhausted")])
    def test_only_what_is_unpaid_and_not_paused(self, state: GhostState):
        assert next_retry(AFTER, replace(CASE, state=state), NOW).at is None

    @pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.SMART_RETRY])
    def test_only_where_the_strategy_is_a_retry(self, strategy: Strategy):
        assert next_retry(AFTER, replace(CASE, strategy=strategy), NOW).at is None

    def test_nobody_who_is_held_out(self):
        assert next_retry(AFTER, replace(CASE, held_out=True), NOW).at is None
        assert next_retry(AFTER, replace(CASE, held_out=True, has_spare_card=True), NOW).at is None

    def test_not_while_a_person_pays(self):
        case = replace(CASE, last_charge_at=NOW - 9 * DAY, last_clicked_at=NOW - timedelta(minutes=59))
        assert may_charge(AFTER, case, NOW)
        assert not may_charge(AFTER, case, NOW + timedelta(minutes=1))


class TestWhen:
    def test_at_ten_in_the_customers_morning_days_after_the_last(self):
        at = next_retry(AFTER, CASE, NOW).at
        assert at is not None
        assert at.astimezone(ZoneInfo("Europe/Berlin")).time().hour == 10
        assert timedelta(days=2, hours=12) <= at - (NOW - 2 * DAY) <= timedelta(days=3, hours=12)

    def test_the_gaps_grow_and_the_window_ends_them(self):
        case, now, gaps = replace(CASE, found_at=NOW, last_charge_at=NOW), NOW, []
        while (at := next_retry(AFTER, case, now).at) is not None:
            assert case.last_charge_at is not None
            gaps.append(round((at - case.last_charge_at) / DAY))
            assert at < NOW + AFTER.window
            case, now = replace(case, last_charge_at=at, own_retries=case.own_retries + 1), at + timedelta(seconds=1)
        assert gaps == [3, 5, 7, 7]

    @pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
    def test_ten_is_ten_on_both_sides_of_a_change_of_clocks(self, day: datetime):
        berlin = ZoneInfo("Europe/Berlin")
        for hours in range(72):
            asked = day + timedelta(hours=hours)
            at = ten_oclock(Slot(asked, asked - 9 * DAY, 1, berlin, "funds"))
            assert (at.astimezone(berlin).hour, at.astimezone(berlin).minute) == (10, 0)
            assert asked <= at <= asked + timedelta(hours=25)

    def test_another_timing_takes_the_place_of_ten_oclock(self):
        def midnight_after_payday(slot: Slot) -> datetime:
            return slot.earliest.replace(hour=0, minute=1) + DAY

        at = next_retry(AFTER, CASE, NOW, timing=midnight_after_payday).at
        assert at == NOW.replace(hour=0, minute=1) + DAY

    def test_a_newer_card_is_charged_at_once_whatever_the_code(self):
        case = replace(CASE, has_spare_card=True, strategy=Strategy.CARD_REFRESH, next_payment_attempt=NOW + DAY)
        assert next_retry(AFTER, case, NOW).at == NOW

    def test_a_planned_moment_stands_until_it_is_long_past(self):
        at = next_retry(AFTER, CASE, NOW).at
        assert at is not None
        assert stands(AFTER, CASE, at, NOW)
        assert stands(AFTER, CASE, at, at + timedelta(hours=2))
        assert not stands(AFTER, CASE, at, at + timedelta(hours=3))
        assert not stands(AFTER, replace(CASE, state=GhostState.PAUSED), at, at)
        assert not stands(AFTER, CASE, NOW + timedelta(minutes=7), NOW)  # a look, not a charge
