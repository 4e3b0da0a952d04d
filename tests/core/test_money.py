"""Amounts in minor units of every kind of currency, and how people read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import InvalidMoneyError, Money, exponent, format_money

NBSP = "\u00a0"


class TestExponent:
    @pytest.mark.parametrize(
        ("currency", "digits"),
        [("usd", 2), ("EUR", 2), ("jpy", 0), ("KRW", 0), ("kwd", 3), ("bhd", 3), ("isk", 2), ("ugx", 2)],
    )
    def test_is_stripes(self, currency: str, digits: int):
        assert exponent(currency) == digits


class TestMoney:
    def test_is_never_added_across_currencies(self):
        with pytest.raises(InvalidMoneyError):
            Money(1, "usd") + Money(1, "eur")

    @pytest.mark.parametrize(
        ("amount", "currency"), [(1.5, "usd"), (True, "usd"), ("1", "usd"), (1, "USD"), (1, "us"), (1, "us1")]
    )
    def test_refuses_what_is_no_amount_or_currency(self, amount: object, currency: str):
        with pytest.raises(InvalidMoneyError):
            Money(amount, currency)  # type: ignore[arg-type]

    @given(st.integers(-(10**15), 10**15), st.sampled_from(["usd", "jpy", "kwd"]))
    def test_major_and_minor_are_the_same_money(self, amount: int, currency: str):
        assert Money(amount, currency).major * 10 ** exponent(currency) == Decimal(amount)


class TestFormat:
    @pytest.mark.parametrize(
        ("amount", "currency", "locale", "text"),
        [
            (123450, "usd", "en_US", "$1,234.50"),
            (0, "usd", "en_US", "$0.00"),
            (-3250, "eur", "en_US", "-€32.50"),
            (1200, "jpy", "en_US", "¥1,200"),
            (3250, "kwd", "en_US", f"KWD{NBSP}3.250"),
            (123450, "eur", "de_DE", f"1.234,50{NBSP}€"),
            (3250, "kwd", "de_DE", f"3,250{NBSP}KWD"),
        ],
    )
    def test_is_what_people_read(self, amount: int, currency: str, locale: str, text: str):
        assert format_money(Money(amount, currency), locale) == text
