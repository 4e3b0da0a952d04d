"""Every code of the taxonomy, one by one, and what outranks the table."""

import pytest

from models.ghost import Strategy
from services.integrations.stripe.facts import DeclineFacts
from services.messaging.wording import Template, template_of
from services.recovery.charging import retries
from services.recovery.strategy import GROUP_OF_CODE, DeclineGroup, decide

TABLE = {
    Strategy.TECHNICAL_BRIDGE: """
        authentication_required authentication_not_handled mobile_device_authentication_required processing_error
        issuer_not_available reenter_transaction approve_with_id try_again_later no_action_taken""",
    Strategy.SMART_RETRY: """
        insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded pin_try_exceeded
        generic_decline do_not_honor call_issuer service_not_allowed not_permitted""",
    Strategy.CARD_REFRESH: """expired_card incorrect_number invalid_number incorrect_cvc invalid_cvc incorrect_zip
        incorrect_address invalid_expiry_month invalid_expiry_year invalid_account new_account_information_available
        incorrect_pin invalid_pin offline_pin_required online_or_offline_pin_required card_not_supported
        currency_not_supported transaction_not_allowed lost_card stolen_card pickup_card restricted_card fraudulent
        merchant_blacklist security_violation highest_risk_level do_not_try_again""",
    Strategy.HIGH_VALUE_MANUAL: "invalid_amount",
    Strategy.STOPPED: "stop_payment_order revocation_of_authorization revocation_of_all_authorizations",
    Strategy.NONE: "duplicate_transaction testmode_decline",
}
CASES = [(code, strategy) for strategy, codes in TABLE.items() for code in codes.split()]


def _decide(code: str = "", *, attempts: int = 1, amount: int = 4900, line: int | None = 100_000, **facts: object):
    return decide(
        DeclineFacts(decline_code=code, **facts),  # type: ignore[arg-type]
        attempts=attempts,
        amount=amount,
        high_value_line=line,
    )


class TestTable:
    @pytest.mark.parametrize(("code", "strategy"), CASES)
    def test_each_code_leads_to_its_strategy(self, code: str, strategy: Strategy):
        assert _decide(code).strategy is strategy

    @pytest.mark.parametrize(
        ("code", "says"), [("lost_card", True), ("authentication_required", True), ("expired_card", False)]
    )
    def test_a_schedule_that_charges_nothing_is_told(self, code: str, says: bool):
        assert ("Stripe will not charge this card again" in _decide(code).reason) is says

    def test_no_code_is_untested(self):
        assert {code for code, _ in CASES} == set(GROUP_OF_CODE)

    @pytest.mark.parametrize("code", sorted(GROUP_OF_CODE))
    def test_each_decision_explains_itself(self, code: str):
        assert _decide(code).reason.endswith(".")

    def test_an_unknown_code_is_a_soft_decline_and_says_so(self):
        decision = _decide("a_code_of_next_year")
        assert (decision.strategy, decision.group, decision.code_known) == (
            Strategy.SMART_RETRY,
            DeclineGroup.UNKNOWN,
            False,
        )

    def test_the_error_code_speaks_where_the_bank_is_silent(self):
        assert _decide(error_code="expired_card").strategy is Strategy.CARD_REFRESH

    def test_the_banks_code_outranks_stripes(self):
        assert _decide("insufficient_funds", error_code="card_declined").group is DeclineGroup.FUNDS

    def test_a_payment_that_waits_for_3d_secure_is_authentication(self):
        assert _decide(requires_3ds=True).group is DeclineGroup.AUTHENTICATION


class TestPrecedence:
    def test_an_amount_above_the_line_goes_to_a_person(self):
        assert _decide("insufficient_funds", amount=100_001).strategy is Strategy.HIGH_VALUE_MANUAL

    def test_one_on_the_line_does_not(self):
        assert _decide("insufficient_funds", amount=100_000).strategy is Strategy.SMART_RETRY

    def test_without_a_line_nothing_does(self):
        assert _decide("insufficient_funds", amount=10**12, line=None).strategy is Strategy.SMART_RETRY

    def test_a_customer_who_said_stop_outranks_a_large_amount(self):
        assert _decide("stop_payment_order", amount=10**9).strategy is Strategy.STOPPED


class TestVagueDeclines:
    @pytest.mark.parametrize(("attempts", "strategy"), [(1, "smart_retry"), (2, "card_refresh"), (5, "card_refresh")])
    def test_turn_into_a_card_refresh_after_two_attempts(self, attempts: int, strategy: str):
        assert _decide("do_not_honor", attempts=attempts).strategy == strategy

    @pytest.mark.parametrize("advice", ["do_not_try_again", "confirm_card_data"])
    @pytest.mark.parametrize("code", ["generic_decline", "insufficient_funds", "a_code_of_next_year"])
    def test_a_bank_that_advises_against_the_card_is_believed_at_once(self, code: str, advice: str):
        decision = _decide(code, advice_code=advice)
        decline = DeclineFacts(decline_code=code, advice_code=advice)
        assert decision.strategy is Strategy.CARD_REFRESH
        assert decision.reason.endswith(retries.why_card_is_done(decline, decision.group, ""))
        assert not any(hope in decision.reason for hope in ("payday", "later day", "soft"))
        assert template_of(decision.group, decision.strategy) is Template.DECLINED
