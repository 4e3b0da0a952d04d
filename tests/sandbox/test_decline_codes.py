"""Every decline code of the field arrives where integrations look for it."""

import pytest

from sandbox.stripe.cards import NOT_RETRIED
from tests.sandbox.conftest import Play

CODES = """
authentication_required authentication_not_handled mobile_device_authentication_required
processing_error issuer_not_available reenter_transaction approve_with_id try_again_later no_action_taken
insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded pin_try_exceeded
generic_decline do_not_honor call_issuer service_not_allowed not_permitted do_not_try_again
expired_card incorrect_number invalid_number incorrect_cvc invalid_cvc incorrect_zip incorrect_address
invalid_expiry_month invalid_expiry_year invalid_account new_account_information_available incorrect_pin invalid_pin
offline_pin_required online_or_offline_pin_required
card_not_supported currency_not_supported transaction_not_allowed invalid_amount
lost_card stolen_card pickup_card restricted_card fraudulent merchant_blacklist security_violation highest_risk_level
stop_payment_order revocation_of_authorization revocation_of_all_authorizations
duplicate_transaction testmode_decline
"""
OWN_CODE = {"expired_card", "incorrect_number", "incorrect_cvc", "processing_error", "authentication_required"}


@pytest.mark.parametrize("code", CODES.split())
def test_a_decline_tells_its_code(play: Play, code: str) -> None:
    _, _, invoice = play.failed_invoice(decline_code=code)
    payments = play.client().raw_request(
        "get", "/v1/invoice_payments", invoice=invoice["id"], expand=["data.payment.payment_intent.latest_charge"]
    )
    intent = payments.data["data"][0]["payment"]["payment_intent"]
    error = intent["last_payment_error"]
    assert intent["status"] == "requires_payment_method"
    assert error["decline_code"] == code
    assert error["type"] == "card_error"
    assert error["advice_code"] in ("try_again_later", "do_not_try_again", "confirm_card_data")
    assert error["payment_method"]["card"]["country"] == "US"
    if code in OWN_CODE:
        assert error["code"] == code
    assert intent["latest_charge"]["outcome"]["reason"] == code
    assert intent["latest_charge"]["failure_code"] == error["code"]


def test_codes_that_are_never_retried_are_all_known() -> None:
    assert set(CODES.split()) >= NOT_RETRIED


def test_an_indian_card_gets_one_attempt(play: Play) -> None:
    _, _, invoice = play.failed_invoice(decline_code="insufficient_funds", country="IN")
    assert invoice["next_payment_attempt"] is None
