"""Amounts in minor units of every kind of currency, and how people read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import InvalidMoneyError, Money, exponent, format_money, parse_major, plain_major

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


class TestTyped:
    @pytest.mark.parametrize(
        ("text", "currency", "amount"),
        [
            ("1234.50", "usd", 123450),
            ("1,234.5", "usd", 123450),
            ("1,000", "eur", 100000),
            (" 0.07 ", "usd", 7),
            ("29.99", "usd", 2999),
            ("150000", "jpy", 150000),
            ("150,000", "jpy", 150000),
            ("3.250", "kwd", 3250),
            ("3.2", "kwd", 3200),
            ("1,234.000", "kwd", 1234000),
            ("12", "isk", 1200),
        ],
    )
    def test_is_exactly_what_was_meant(self, text: str, currency: str, amount: int):
        assert parse_major(text, currency) == Money(amount, currency)

    @pytest.mark.parametrize(
        ("text", "currency", "why"),
        [
            ("", "usd", "like 1234.50"),
            ("1.234,50", "usd", "like 1234.50"),
            ("-5", "usd", "like 1234.50"),
            ("$5", "usd", "like 1234.50"),
            ("1,23", "usd", "like 1234.50"),
            ("12,34,567", "inr", "like 1234.50"),
            ("٣", "usd", "like 1234.50"),
            ("1e3", "usd", "like 1234.50"),
            ("1.500", "usd", "USD has 2 decimals"),
            ("1.5", "jpy", "JPY has no decimals"),
            ("x", "jpy", "like 1234."),
            ("1.2345", "kwd", "KWD has 3 decimals"),
            ("1,234", "kwd", "like 1234.500"),
            ("1" * 40, "usd", "more than PHANTOM can count"),
        ],
    )
    def test_what_could_mean_two_things_or_none_is_refused(self, text: str, currency: str, why: str):
        with pytest.raises(InvalidMoneyError, match=why):
            parse_major(text, currency)

    @given(st.integers(0, 10**12), st.sampled_from(["usd", "jpy", "kwd", "isk"]))
    def test_what_is_shown_is_read_back(self, amount: int, currency: str):
        assert parse_major(plain_major(Money(amount, currency)), currency) == Money(amount, currency)
