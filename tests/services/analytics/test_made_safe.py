"""By what charges were made safe, from the ledger: it is the figure Protected, taken apart."""

from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from models.ghost import GhostState, GhostTarget, Mechanism
from services.analytics import service
from services.analytics.schemas import MadeSafe, Merit
from services.recovery import repository
from tests.services.analytics.test_dashboard import Books
from tests.support.risks import made_safe


@pytest.fixture
def books(database: object, clock: ManualClock) -> Books:
    return Books(clock)


def shown(books: Books, currency: str = "usd", days: int = 30) -> MadeSafe:
    read = books.read(currency=currency, days=days)
    with db.tenant_session(books.merchant) as session:
        _, found = service.by_mechanism(session, books.merchant, read.currency, read.since, read.until)
    assert sum(each.amount for each in found.merits) - found.failed == read.hero.protected.value
    return found


def test_adds_up_by_mechanism_of_the_period_and_the_currency_alone(books: Books, clock: ManualClock) -> None:
    made_safe(books.merchant, 1, 1000, by=Mechanism.ORGANIC)
    clock.advance(timedelta(days=8))
    made_safe(books.merchant, 2, 2000, by=Mechanism.MESSAGE)
    made_safe(books.merchant, 3, 4000, by=Mechanism.CLICK)
    made_safe(books.merchant, 4, 8000, by=Mechanism.MESSAGE)
    made_safe(books.merchant, 5, 500, "eur", by=Mechanism.CLICK)
    late = (Merit(Mechanism.CLICK, 4000, 1), Merit(Mechanism.MESSAGE, 10_000, 2))
    assert shown(books, days=7) == MadeSafe(late, 0, 0)
    assert shown(books) == MadeSafe((*late, Merit(Mechanism.ORGANIC, 1000, 1)), 0, 0)
    assert shown(books, "eur") == MadeSafe((Merit(Mechanism.CLICK, 500, 1),), 0, 0)


def test_what_failed_after_all_is_taken_off_and_said(books: Books, clock: ManualClock) -> None:
    made_safe(books.merchant, 1, 1000, by=Mechanism.MESSAGE)
    clock.advance(timedelta(days=10))
    books.fail(1, 1000)
    with db.tenant_session(books.merchant) as session:
        ghost = repository.lock_by_invoices(session, books.merchant, ["in_1"])["in_1"]
        assert isinstance(ghost, GhostTarget)
        assert (ghost.state, ghost.found_at) == (GhostState.OPEN, clock.now())
    assert shown(books) == MadeSafe((Merit(Mechanism.MESSAGE, 1000, 1),), 1000, 1)
    assert shown(books, days=7) == MadeSafe((), 1000, 1)
