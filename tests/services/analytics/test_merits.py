"""By what money came back, from the ledger; and a digest that tells it, of every currency."""

from datetime import timedelta

import pytest
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.ghost import Mechanism
from models.money import Recovery
from services.analytics import digest, service
from services.analytics.schemas import Merit
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.returns import MoneyBack
from services.recovery.credit import settle
from services.recovery.credit.attribution import Credit
from services.recovery.credit.reversals import Returned, take_back
from services.recovery.work import merchant_context
from tests.services.analytics.test_dashboard import Books
from tests.support.factories import make_merchant

URL = "https://phantom.example/dashboard"


@pytest.fixture
def books(database: object, clock: ManualClock) -> Books:
    return Books(clock)


def back(books: Books, number: int, amount: int, by: Mechanism, currency: str = "usd") -> None:
    """An invoice that fails and is paid now, by this mechanism."""
    paid(books, books.fail(number, amount, currency), by)


def paid(books: Books, failed: InvoiceFacts, by: Mechanism) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settle, "credit_of", lambda _evidence: Credit(by))
        books.pay(failed)


def merits(books: Books, currency: str = "usd", days: int = 30) -> tuple[Merit, ...]:
    shown = books.read(currency=currency, days=days)
    with db.tenant_session(books.merchant) as session:
        found = service.merits(session, books.merchant, shown.currency, shown.since, shown.until)
    # it is that figure, taken apart
    assert sum(each.amount for each in found) - shown.hero.reversed.value == shown.hero.recovered.value
    assert sum(each.count for each in found) == shown.hero.recovered_count.value
    return found


def written(books: Books) -> digest.Digest:
    with db.tenant_session(books.merchant) as session:
        found = digest.weekly(session, books.merchant, core_clock.now().date(), URL)
    assert found is not None
    return found


class TestMerits:
    def test_add_up_by_mechanism_the_strongest_claim_first(self, books: Books) -> None:
        back(books, 1, 1000, Mechanism.ORGANIC)
        back(books, 2, 2000, Mechanism.MESSAGE)
        back(books, 3, 4000, Mechanism.OWN_ATTEMPT)
        back(books, 4, 8000, Mechanism.MESSAGE)
        assert merits(books) == (
            Merit(Mechanism.OWN_ATTEMPT, 4000, 1),
            Merit(Mechanism.MESSAGE, 10_000, 2),
            Merit(Mechanism.ORGANIC, 1000, 1),
        )

    def test_are_of_the_period_and_the_currency_alone(self, books: Books, clock: ManualClock) -> None:
        back(books, 1, 1000, Mechanism.CLICK)
        clock.advance(timedelta(days=8))
        back(books, 2, 500, Mechanism.STRIPE_RETRY, "eur")
        back(books, 3, 2000, Mechanism.MESSAGE)
        assert merits(books, days=7) == (Merit(Mechanism.MESSAGE, 2000, 1),)
        assert merits(books, "eur", days=7) == (Merit(Mechanism.STRIPE_RETRY, 500, 1),)
        assert [each.mechanism for each in merits(books)] == [Mechanism.CLICK, Mechanism.MESSAGE]

    def test_another_merchants_are_not_seen(self, books: Books) -> None:
        back(books, 1, 1000, Mechanism.CLICK)
        other, today = make_merchant(), core_clock.now().date()
        with db.tenant_session(other) as session:
            assert service.merits(session, other, "usd", today, today) == ()


class TestWhatWentBack:
    """Refunds, lost disputes and payments undone: the figures are what the ledger's rows of their days add up to."""

    def ledger(self, books: Books) -> int:
        with db.tenant_session(books.merchant) as session:
            return sum(row.amount_cents for row in session.exec(select(Recovery)))

    def refund(self, books: Books, invoice: str, amount: int, charged: int) -> None:
        now = core_clock.now()
        payment = invoice.replace("in_", "pi_")
        refunded = MoneyBack(payment, f"re_{now:%m%d}_{invoice}", amount, "Refunded.", now, charged)
        with db.tenant_session(books.merchant) as session:
            context = merchant_context(session, books.merchant)
            assert take_back(session, context, [Returned(refunded, (invoice,))], now) == 1

    def test_is_taken_off_every_figure_that_says_recovered(self, books: Books) -> None:
        back(books, 1, 4000, Mechanism.CLICK)
        back(books, 2, 1000, Mechanism.ORGANIC)
        self.refund(books, "in_2", 1000, 1000)
        self.refund(books, "in_1", 500, 4000)

        shown = books.read()
        assert shown.hero.recovered.value == self.ledger(books) == 3500
        assert shown.hero.revenue_guarded.value == 3500
        assert (shown.hero.reversed.value, shown.hero.reversed_count) == (1500, 2)
        assert shown.hero.recovery_rate == 0.7
        assert sum(day.recovered for day in shown.series) == 3500
        assert merits(books) == (Merit(Mechanism.CLICK, 4000, 1), Merit(Mechanism.ORGANIC, 1000, 1))

    def test_counts_on_the_day_it_went(self, books: Books, clock: ManualClock) -> None:
        """As each row of the ledger does: what was told of a week does not change any more."""
        back(books, 1, 4000, Mechanism.CLICK)
        clock.advance(timedelta(days=8))
        self.refund(books, "in_1", 1500, 4000)

        hero = books.read(days=7).hero
        assert (hero.recovered.value, hero.recovered.previous) == (-1500, 4000)
        assert merits(books, days=7) == ()
        assert books.read(days=30).hero.recovered.value == self.ledger(books) == 2500

    def test_the_digest_tells_of_it_and_boasts_of_nothing_below_zero(self, books: Books, clock: ManualClock) -> None:
        back(books, 1, 4000, Mechanism.CLICK)
        self.refund(books, "in_1", 1500, 4000)
        told = written(books)
        assert told.subject == "$25.00 recovered last week"
        assert "Refunded or disputed: −$15.00" in told.plain

        clock.advance(timedelta(days=8))
        back(books, 2, 500, Mechanism.CLICK)
        self.refund(books, "in_1", 1500, 4000)
        told = written(books)
        assert told.subject == "$0.00 recovered last week"
        assert "Recovered: -$10.00" in told.plain


class TestDigest:
    def test_says_by_what_it_came_back_and_that_this_proves_no_cause(self, books: Books) -> None:
        back(books, 1, 1000, Mechanism.STRIPE_RETRY)
        back(books, 2, 2000, Mechanism.MESSAGE)
        for text in (written(books).plain, written(books).html):
            assert "After our message" in text
            assert "not what caused it" in text
        assert "After our message: $20.00 (1 payment)" in written(books).plain
        assert "Stripe's retry: $10.00 (1 payment)" in written(books).plain

    def test_tells_every_currency_for_itself(self, books: Books) -> None:
        back(books, 1, 1000, Mechanism.CLICK)
        books.fail(2, 700)
        back(books, 3, 500, Mechanism.ORGANIC, "eur")
        mail = written(books)
        assert mail.subject == "$10.00 and €5.00 recovered last week"
        assert "each currency for itself" in mail.plain
        dollars, euros = mail.plain.split("EUR\n")
        assert ("Recovered: $10.00" in dollars, "Recovered: €5.00" in euros) == (True, True)
        assert ("On its own: €5.00" in euros, "€" in dollars.split("USD\n")[1]) == (True, False)

    def test_a_week_with_money_in_another_currency_alone_is_told(self, books: Books, clock: ManualClock) -> None:
        dollars = books.fail(1)
        paid(books, dollars, Mechanism.ORGANIC)
        clock.advance(timedelta(days=60))
        back(books, 2, 500, Mechanism.ORGANIC, "eur")
        assert written(books).subject == "€5.00 recovered last week"
        assert "in EUR" in written(books).plain

    def test_many_currencies_keep_the_subject_short(self, books: Books) -> None:
        for number, currency in enumerate(("usd", "eur", "gbp", "chf"), 1):
            back(books, number, 1000, Mechanism.ORGANIC, currency)
        assert written(books).subject.endswith("and amounts in 2 more currencies recovered last week")
