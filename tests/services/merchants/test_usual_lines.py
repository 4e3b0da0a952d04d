"""The usual line from which a person decides: about 1,000 dollars, whatever the currency."""

import pytest
from babel.numbers import get_territory_currencies

from core.money import THREE_DECIMAL, ZERO_DECIMAL
from services.merchants.policies import RecoveryPolicy
from services.merchants.usual_lines import usual_line

# Where Stripe takes on businesses, which bill in the currency of their own country first.
_SERVED = (
    "AE", "AT", "AU", "BE", "BG", "BR", "CA", "CH", "CI", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GH",
    "GI", "GR", "HK", "HR", "HU", "ID", "IE", "IN", "IT", "JP", "KE", "LI", "LT", "LU", "LV", "MT", "MX", "MY", "NG",
    "NL", "NO", "NZ", "PH", "PL", "PT", "RO", "SE", "SG", "SI", "SK", "SN", "TH", "TR", "US", "ZA",
)  # fmt: skip
_FUNDS = {"CHE", "CHW", "USN"}  # units of account that nobody pays in


@pytest.mark.parametrize("country", _SERVED)
def test_each_currency_a_merchant_may_live_in_has_one(country: str):
    spent = set(get_territory_currencies(country)) - _FUNDS
    assert all(usual_line(code.lower()) for code in spent), spent


@pytest.mark.parametrize("currency", sorted(ZERO_DECIMAL | THREE_DECIMAL))
def test_each_currency_without_cents_has_one(currency: str):
    assert usual_line(currency)


@pytest.mark.parametrize(
    ("currency", "line"),
    [
        ("usd", 100_000),
        ("jpy", 150_000),
        ("kwd", 300_000),
        ("isk", 12_500_000),
        ("idr", 1_650_000_000),
        ("thb", 3_300_000),
        ("cop", 400_000_000),
    ],
)
def test_it_is_in_minor_units(currency: str, line: int):
    assert usual_line(currency) == line


def test_an_everyday_price_of_a_small_currency_needs_nobody():
    """Ten dollars a month, in each of them."""
    prices = {"idr": 165_000, "cop": 40_000, "ars": 14_000, "ngn": 15_000, "pkr": 2_820, "isk": 1_250, "rub": 850}
    policy = RecoveryPolicy()
    for currency, price in prices.items():
        line = policy.high_value_line(currency)
        assert line is not None
        assert line == 100 * price * 100  # cents


def test_an_unknown_currency_has_none_and_a_merchant_may_draw_it():
    assert usual_line("xbt") is None
    assert RecoveryPolicy().high_value_line("xbt") is None
    assert RecoveryPolicy(high_value_lines={"xbt": 7}).high_value_line("xbt") == 7
