"""What a subscription says of its next charge, in both shapes and with whatever is in it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given

from models.ghost import GhostTarget
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.renewals import card_ends, parse_renewal
from tests.services.integrations.test_odd_json import anything

END = int(datetime(2026, 4, 1, 9, tzinfo=UTC).timestamp())
METHOD = {"id": "pm_1", "type": "card", "card": {"brand": "Visa", "last4": "4242", "exp_month": 3, "exp_year": 2026}}


def subscription(**changes: Any) -> dict[str, Any]:
    return {
        "id": "sub_1", "status": "active", "currency": "usd", "collection_method": "charge_automatically",
        "default_payment_method": METHOD, "customer": {"id": "cus_1", "email": "ada@example.com"},
        "items": {"data": [item()]}, **changes,
    }  # fmt: skip


def item(unit: Any = 4900, quantity: Any = 1, end: Any = END) -> dict[str, Any]:
    price = {"unit_amount": unit, "recurring": {"interval": "month", "interval_count": 1}}
    return {"price": price, "quantity": quantity, "current_period_end": end}


class TestReading:
    def test_what_is_charged_when_and_from_what(self) -> None:
        found = parse_renewal(subscription())
        assert (found.id, found.amount, found.no_charge) == (f"upcoming:sub_1:{END}", 4900, "")
        assert found.method is not None
        assert found.method.valid_until == datetime(2026, 4, 1, tzinfo=UTC)
        assert (found.method.card.brand, found.method.card.last4) == ("visa", "4242")
        assert found.customer.email == "ada@example.com"

    def test_the_older_shape_has_one_period(self) -> None:
        old = item()
        del old["current_period_end"]
        found = parse_renewal(subscription(items={"data": [old]}, current_period_end=END))
        assert (found.amount, int(found.charge_at.timestamp())) == (4900, END)

    def test_items_that_renew_later_are_not_in_the_next_charge(self) -> None:
        found = parse_renewal(subscription(items={"data": [item(1000), item(90_000, end=END + 86_400 * 300)]}))
        assert (found.amount, int(found.charge_at.timestamp())) == (1000, END)

    def test_the_customers_card_where_the_subscription_has_none(self) -> None:
        customer = {"id": "cus_1", "invoice_settings": {"default_payment_method": METHOD}}
        found = parse_renewal(subscription(default_payment_method=None, customer=customer))
        assert found.method is not None
        assert found.method.card.payment_method_id == "pm_1"

    def test_a_source_of_the_older_kind_is_something_to_charge(self) -> None:
        customer = {"id": "cus_1", "default_source": "card_1"}
        found = parse_renewal(subscription(default_payment_method=None, customer=customer))
        assert found.method is not None
        assert found.method.valid_until is None

    def test_nothing_to_charge(self) -> None:
        assert parse_renewal(subscription(default_payment_method=None)).method is None


def coupon(**terms: Any) -> dict[str, Any]:
    return {"id": "co_1", "object": "coupon", "duration": "forever", "percent_off": None, "amount_off": None, **terms}


def discount(newer: bool = True, end: int | None = None, **terms: Any) -> dict[str, Any]:
    """A discount as Stripe tells it since its `source` holds the coupon, or as before."""
    held = {"source": {"type": "coupon", "coupon": coupon(**terms)}} if newer else {"coupon": coupon(**terms)}
    return {"id": "di_1", "object": "discount", "end": end, "start": END - 86_400, **held}


def amount(**changes: Any) -> tuple[int, bool]:
    found = parse_renewal(subscription(**changes))
    assert found.due == found.amount
    return found.amount, found.is_about


class TestDiscounts:
    @pytest.mark.parametrize("newer", [True, False])
    @pytest.mark.parametrize(
        ("terms", "left"),
        [({"percent_off": 25}, 3675), ({"percent_off": 33.3}, 3268), ({"percent_off": 100}, 0),
         ({"amount_off": 900, "currency": "usd"}, 4000), ({"amount_off": 9000, "currency": "usd"}, 0)],
    )  # fmt: skip
    def test_are_taken_off(self, terms: dict[str, Any], left: int, newer: bool) -> None:
        assert amount(discounts=[discount(newer, **terms)]) == (left, False)

    def test_one_after_the_other(self) -> None:
        both = [discount(amount_off=900, currency="usd"), discount(percent_off=50)]
        assert amount(discounts=both) == (2000, False)

    def test_the_older_shape_has_one(self) -> None:
        assert amount(discount=discount(newer=False, percent_off=50)) == (2450, False)

    def test_the_customers_counts_where_the_subscription_has_none(self) -> None:
        customer = {"id": "cus_1", "discount": discount(percent_off=50)}
        assert amount(customer=customer, discounts=[]) == (2450, False)
        assert amount(customer=customer, discounts=[discount(percent_off=10)]) == (4410, False)

    @pytest.mark.parametrize(("end", "left"), [(END + 1, 2450), (END, 4900), (END - 86_400, 4900)])
    def test_one_that_is_over_by_then_takes_nothing(self, end: int, left: int) -> None:
        assert amount(discounts=[discount(end=end, percent_off=50, duration="repeating")]) == (left, False)

    @pytest.mark.parametrize(
        ("changes", "left"),
        [
            ({"discounts": ["di_1"]}, 4900), ({"discounts": [discount(amount_off=900, currency="eur")]}, 4900),
            ({"discounts": [discount(percent_off="half")]}, 4900), ({"discounts": [discount()]}, 4900),
            ({"discounts": [discount(percent_off=50, duration="once")]}, 2450),
            ({"discounts": [{"id": "di_1", "source": {"coupon": "co_1"}}]}, 4900),
            ({"items": {"data": [item() | {"discounts": ["di_1"]}]}}, 4900),
            ({"items": {"data": [item(None)]}}, 0), ({"automatic_tax": {"enabled": True}}, 4900),
            ({"default_tax_rates": [{"id": "txr_1"}]}, 4900), ({"customer": {"id": "cus_1", "balance": -500}}, 4900),
            ({"discounts": [discount(percent_off=50)], "items": {"data": [item(900), item(4000)]}}, 2450),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_leaves_the_amount_about_right(self, changes: dict[str, Any], left: int) -> None:
        assert amount(**changes) == (left, True)

    def test_without_any_of_it_the_amount_is_known(self) -> None:
        plain = {"automatic_tax": {"enabled": False}, "default_tax_rates": [], "discounts": []}
        assert amount(customer={"id": "cus_1", "balance": 0, "discount": None}, **plain) == (4900, False)


class TestNoCharge:
    @pytest.mark.parametrize(
        "changes",
        [
            {"cancel_at_period_end": True}, {"cancel_at": END}, {"cancel_at": END - 86_400}, {"status": "canceled"},
            {"collection_method": "send_invoice"}, {"pause_collection": {"behavior": "void"}}, {"status": "paused"},
            {"status": "trialing", "default_payment_method": None,
             "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}}},
        ],
    )  # fmt: skip
    def test_none_will_come(self, changes: dict[str, Any]) -> None:
        assert parse_renewal(subscription(**changes)).no_charge

    @pytest.mark.parametrize(
        "changes",
        [
            {"cancel_at": END + 86_400}, {"status": "trialing"},
            {"status": "trialing", "default_payment_method": None,
             "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}}},
        ],
    )  # fmt: skip
    def test_one_will(self, changes: dict[str, Any]) -> None:
        assert parse_renewal(subscription(**changes)).no_charge == ""


class TestCardEnds:
    def test_december_ends_with_the_year(self) -> None:
        assert card_ends(2026, 12) == datetime(2027, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(("year", "month"), [(2026, 13), (2026, 0), (26, 5), (None, 5), (2026, None), ("2026", 5)])
    def test_what_is_no_date_is_not_known(self, year: Any, month: Any) -> None:
        assert card_ends(year, month) is None


class TestOdd:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [({"id": None}, "no_subscription"), ({"id": "sub_" + "x" * 60}, "no_subscription"),
         ({"currency": "dollars"}, "no_currency"), ({"items": None}, "no_period_end")],
    )  # fmt: skip
    def test_what_lacks_the_needful_is_said(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(UnreadableInvoiceError) as raised:
            parse_renewal(subscription(**changes))
        assert raised.value.reason == reason

    def test_what_is_readable_can_be_kept_beside_its_date(self) -> None:
        """One that could not would end the page it stands on, in each hunt."""
        room, kept = GhostTarget.__table__.c.invoice_id.type.length, 0  # type: ignore[attr-defined]
        for length in range(5, 90):
            try:
                found = parse_renewal(subscription(id="sub_".ljust(length, "x")))
            except UnreadableInvoiceError:
                continue
            kept = length
            assert len(found.id) <= room
        assert kept >= 28  # as Stripe's are

    def test_amounts_that_are_none_count_nothing(self) -> None:
        items = {"data": [item("much"), item(None), item(100, -1), item(100, 10**30), item(10**30), item(250, None)]}
        assert parse_renewal(subscription(items=items)).amount == 250

    @given(anything)
    @example(False)
    @example(float("nan"))
    def test_no_json_raises_anything_else(self, value: Any) -> None:
        odd_ones = (
            value, subscription(items=value), subscription(customer=value, default_payment_method=value),
            subscription(discounts=value), subscription(discounts=[{"coupon": {"percent_off": value}}]),
            subscription(discounts=[{"end": value, "coupon": {"amount_off": value, "currency": value}}]),
        )  # fmt: skip
        for odd in odd_ones:
            try:
                found = parse_renewal(odd)
            except UnreadableInvoiceError:
                continue
            assert len(found.id) <= 64
