"""Whatever JSON comes as an invoice: one stable refusal, or facts that fit the database."""

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ghost import GhostTarget
from services.hunter import sweeps
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import UnreadableInvoiceError, monthly_value, parse_invoice
from services.integrations.stripe.reading import MONEY_LIMIT
from tests.support.factories import raw_acacia_invoice, raw_intent, raw_invoice, raw_subscription

Path = tuple[str | int, ...]

ODD: list[Any] = [
    *(None, "", "x", True, 1.5, -1, 0, [], ["a"], {}, {"id": 5}, 10**30, 2**63, -(2**70), float("nan"), float("inf")),
    *("\ud800", "\x00", "a\x00b", "a" * 5000, "İ" * 64, "\u202eevil\u2069", "a b\r\nBcc: c@example.com"),
]
COLUMNS = {
    "invoice_id": "id",
    "subscription_id": "subscription_id",
    "payment_intent_id": "payment_intent_id",
    "billing_reason": "billing_reason",
    "subscription_status": "subscription_status",
    "api_shape": "shape",
    "customer_id": "customer.id",
    "customer_email": "customer.email",
    "customer_name": "customer.name",
    "customer_phone": "customer.phone",
    "customer_language": "customer.language",
    "customer_country": "customer.country",
    "payment_method_id": "card.payment_method_id",
    "card_brand": "card.brand",
    "card_funding": "card.funding",
    "card_last4": "card.last4",
    "country_code": "card.country",
    "stripe_error_code": "decline.error_code",
    "decline_code": "decline.decline_code",
    "advice_code": "decline.advice_code",
}


def full(shape: str) -> dict[str, Any]:
    """An invoice of a shape with every field that is read."""
    raw = raw_invoice() if shape == "basil" else raw_acacia_invoice()
    raw["customer"] |= {"preferred_locales": ["de"], "address": {"country": "DE"}, "phone": "+49"}
    known = raw["parent"]["subscription_details"]["subscription"] if shape == "basil" else raw["subscription"]
    known["cancellation_details"] = {"reason": None}
    if shape == "basil":
        raw["payments"]["data"].append({"is_default": True, "created": 5, "payment": {"payment_intent": raw_intent()}})
    return raw


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*before, name)
        yield from paths(item, (*before, name))


def put(raw: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(raw)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


RAW = {shape: full(shape) for shape in ("basil", "acacia")}
PLACES = [(shape, path) for shape, raw in RAW.items() for path in paths(raw)]

texts = st.text(st.characters(exclude_categories=()), max_size=80)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.sampled_from(ODD)
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def read(invoice: Any, **others: Any) -> InvoiceFacts | None:
    try:
        facts = parse_invoice(invoice, **others)
    except UnreadableInvoiceError:
        return None
    assert_fits(facts)
    return facts


def assert_fits(facts: InvoiceFacts) -> None:
    table: Any = GhostTarget.__table__  # type: ignore[attr-defined]
    for column, name in COLUMNS.items():
        value: Any = facts
        for part in name.split("."):
            value = getattr(value, part)
        assert value is None or isinstance(value, str), name
        assert len(value or "") <= table.c[column].type.length, name
        assert "\x00" not in (value or "").encode().decode(), name
    assert len(facts.currency) == 3
    assert facts.currency.isascii()
    for amount in (facts.amount_due, facts.amount_remaining, facts.amount_paid, facts.monthly_value):
        assert type(amount) is int
        assert abs(amount) <= MONEY_LIMIT
    assert 0 <= facts.attempt_count < 2**31
    for moment in (facts.created, facts.next_payment_attempt, facts.paid_at):
        assert moment is None or (isinstance(moment, datetime) and 2000 <= moment.year < 2200)


class TestAnyJson:
    @pytest.mark.parametrize("shape", ["basil", "acacia"])
    def test_every_odd_value_in_every_place(self, shape: str):
        for path in paths(RAW[shape]):
            for value in [*ODD, 10**5000]:
                read(put(RAW[shape], path, value))

    @given(st.sampled_from(PLACES), anything, st.sampled_from(PLACES), anything)
    def test_two_places_at_once(self, one: tuple[str, Path], first: Any, two: tuple[str, Path], second: Any):
        changed = put(RAW[one[0]], one[1], first)
        if one[0] == two[0] and one[1] != two[1][: len(one[1])]:
            changed = put(changed, two[1], second)
        read(changed)

    @given(anything, anything, anything)
    def test_anything_at_all(self, invoice: Any, payment: Any, subscription: Any):
        read(invoice)
        read(raw_invoice(payments=payment), payments=[payment, payment], subscription=subscription)

    @given(st.sampled_from(["payments", "past_due"]), st.sampled_from(PLACES), anything)
    def test_what_a_hunt_keeps_can_be_stored_and_read_again(self, name: str, place: tuple[str, Path], value: Any):
        changed = put(RAW[place[0]], place[1], value)
        intent = changed.get("payment_intent", value)
        item = {"id": "inpay_1", "invoice": "in_1", "created": value, "payment": {"payment_intent": intent}}
        listed = item if name == "payments" else changed.get("subscription", value)
        kept = sweeps.spool_row(sweeps.Sweep(name, "", {}, True), listed)
        if kept is None:
            return
        key, facts = kept
        if "subscription" in facts:
            facts = {"subscription": sweeps.trim_subscription(facts["subscription"])}
        assert len(key) <= 64
        stored = json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
        assert b"\\u0000" not in stored
        again = json.loads(stored)
        payment = again.get("payment")
        read(raw_invoice(), payments=[payment] if payment else None, subscription=again.get("subscription"))


class TestWhatIsMadeOfIt:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"id": "in_\x00"}, "no_id"),
            ({"id": "in_" + "a" * 62}, "no_id"),
            ({"id": "in_\ud800"}, "no_id"),
            ({"currency": "ÄÖÜ"}, "no_currency"),
            ({"created": 10**18}, "no_created"),
            ({"created": 5}, "no_created"),
            ({"amount_due": 2**63}, "no_amount_due"),
            ({"amount_remaining": 2**62}, "no_amount_remaining"),
            ({"amount_paid": 1.5}, "no_amount_paid"),
            ({"attempt_count": 2**40}, "no_attempt_count"),
            ({"attempt_count": "3"}, "no_attempt_count"),
            ({"attempt_count": -1}, "no_attempt_count"),
        ],
    )
    def test_what_no_column_holds_is_unreadable(self, changes: dict[str, Any], reason: str):
        with pytest.raises(UnreadableInvoiceError) as raised:
            parse_invoice(raw_invoice(**changes))
        assert raised.value.reason == reason

    @pytest.mark.parametrize(
        ("given_email", "expected"),
        [
            (" ada@example.com\n", "ada@example.com"),
            ("ada@example.com\r\nBcc: eve@example.com", None),
            ("ada @example.com", None),
            ("ada\x00@example.com", None),
            ("a" * 600 + "@example.com", None),
        ],
    )
    def test_an_address_is_whole_or_none(self, given_email: str, expected: str | None):
        assert parse_invoice(raw_invoice(customer={"id": "cus_1", "email": given_email})).customer.email == expected

    def test_a_name_is_one_line_that_turns_nothing_around(self):
        name = "Ada\r\n\u202eevil\u2066\x07 Ltd\ud800"
        assert parse_invoice(raw_invoice(customer={"id": "cus_1", "name": name})).customer.name == "Ada evil Ltd"

    def test_an_odd_reference_is_no_reference(self):
        facts = parse_invoice(raw_invoice(customer="cus_\x00", parent={"subscription_details": {"subscription": 5}}))
        assert (facts.customer.id, facts.subscription_id) == (None, None)

    @pytest.mark.parametrize(
        ("quantity", "unit", "every"),
        [(10**19, 4900, 1), (1, 2**63, 1), (1, 4900, "x"), (1, 4900, -1), (True, 4900, 1), (2**31 - 1, 10**15, 1)],
    )
    def test_an_absurd_price_is_worth_nothing_a_month(self, quantity: Any, unit: Any, every: Any):
        price = {"unit_amount": unit, "recurring": {"interval": "month", "interval_count": every}}
        assert monthly_value(raw_subscription(items={"data": [{"quantity": quantity, "price": price}]})) == 0
