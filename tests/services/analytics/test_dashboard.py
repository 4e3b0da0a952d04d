"""The figures, against sums made by hand from what was done."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from core.errors import BadRequestError, NotFoundError
from models.ghost import FoundVia
from services.analytics.schemas import Dashboard
from services.analytics.service import dashboard, health, rate
from services.hunter.billing import record_billed
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice


class Books:
    """A merchant whose ghosts are made and paid by the engine, and its dashboard."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.merchant = clock, make_merchant()

    def see(self, *facts: InvoiceFacts) -> None:
        now = self.clock.now()
        with db.tenant_session(self.merchant) as session:
            record_billed(session, self.merchant, facts, now.date())
            observe(session, merchant_context(session, self.merchant), facts, FoundVia.HUNT, now)

    def fail(self, number: int, amount: int = 1000, currency: str = "usd", **changes: Any) -> InvoiceFacts:
        facts = parse_invoice(
            raw_invoice(number, amount_due=amount, amount_remaining=amount, currency=currency, **changes)
        )
        facts = replace(facts, created=self.clock.now())
        self.see(facts)
        return facts

    def pay(self, facts: InvoiceFacts) -> None:
        self.see(replace(facts, status="paid", amount_paid=facts.amount_due, amount_remaining=0))

    def read(self, **asked: Any) -> Dashboard:
        with db.tenant_session(self.merchant) as session:
            return dashboard(session, self.merchant, **asked)


@pytest.fixture
def books(database: object, clock: ManualClock) -> Books:
    return Books(clock)


class TestFigures:
    def test_an_empty_merchant_has_zeros_and_no_health(self, books: Books):
        shown = books.read()
        assert (shown.currency, shown.hero.leakage.value, shown.hero.health, shown.hero.recovery_rate) == (
            "usd",
            0,
            None,
            None,
        )
        assert len(shown.series) == 30

    def test_leakage_recovered_and_rate_of_the_cohort(self, books: Books):
        first = books.fail(1, 1000)
        books.fail(2, 3000)
        books.clock.advance(timedelta(days=2))
        books.pay(first)
        hero = books.read().hero
        assert (hero.leakage.value, hero.recovered.value, hero.revenue_guarded.value) == (3000, 1000, 1000)
        assert (hero.leakage_now, hero.open_ghosts, hero.recovery_rate) == (3000, 1, 0.25)
        assert hero.health == 25  # 3,000 of 4,000 billed leak

    def test_a_payment_counts_on_its_day_and_in_its_cohort(self, books: Books):
        first = books.fail(1, 1000)
        books.clock.advance(timedelta(days=40))
        books.pay(first)
        month = books.read(days=30)
        assert (month.hero.recovered.value, month.funnel.found, month.hero.recovery_rate) == (1000, 0, None)
        assert books.read(days=90).hero.recovery_rate == 1

    def test_the_former_period_is_beside_it(self, books: Books):
        books.pay(books.fail(1, 1000))
        books.clock.advance(timedelta(days=7))
        books.pay(books.fail(2, 500))
        hero = books.read(days=7).hero
        assert (hero.recovered.value, hero.recovered.previous) == (500, 1000)

    def test_currencies_are_never_added(self, books: Books):
        books.fail(1, 1000, "usd")
        books.fail(2, 700, "jpy")
        assert books.read().currencies == ("jpy", "usd")
        assert books.read(currency="usd").hero.leakage.value == 1000
        assert books.read(currency="jpy").hero.leakage.value == 700

    def test_an_unknown_currency_falls_back(self, books: Books):
        books.fail(1, 700, "eur")
        assert books.read(currency="xxx").currency == "eur"

    def test_categories_add_up_to_what_is_open(self, books: Books):
        books.fail(1, 1000)
        books.fail(2, 500)
        shown = books.read()
        assert sum(each.amount for each in shown.categories) == shown.hero.leakage_now

    def test_the_series_has_each_day_once(self, books: Books):
        books.fail(1, 1000)
        series = books.read(days=7).series
        assert [point.day for point in series] == sorted({point.day for point in series})
        assert (len(series), series[-1].found) == (7, 1000)


class TestRefusals:
    def test_another_period_is_refused(self, books: Books):
        with pytest.raises(BadRequestError):
            books.read(days=31)

    def test_another_merchant_is_not_found(self, books: Books):
        with pytest.raises(NotFoundError), db.tenant_session(books.merchant) as session:
            dashboard(session, "mer_other")


class TestFormulas:
    @pytest.mark.parametrize(
        ("leakage", "billed", "expected"), [(0, 100, 100), (25, 100, 75), (200, 100, 0), (0, 0, None), (5, -1, None)]
    )
    def test_health_stays_within_0_and_100(self, leakage: int, billed: int, expected: int | None):
        assert health(leakage, billed) == expected

    @pytest.mark.parametrize(("part", "whole", "expected"), [(1, 4, 0.25), (0, 4, 0.0), (0, 0, None)])
    def test_a_rate_needs_a_whole(self, part: int, whole: int, expected: float | None):
        assert rate(part, whole) == expected
