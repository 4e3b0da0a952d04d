"""The CSV: who may have it, what is in it, and that a customer's name is no formula."""

import csv
import io
from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia
from models.identity import Role
from models.merchant import Merchant
from phantom_app.api import export
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import service as recovery
from services.recovery.observe import observe
from services.recovery.schemas import GhostQuery
from services.recovery.work import merchant_context
from tests.phantom_app.api.conftest import Browse, TestClient, make_person, sign_in
from tests.support.factories import raw_invoice

PATH = "/export/recoveries.csv"


@pytest.fixture
def owner(browse: Browse, clock: ManualClock) -> tuple[TestClient, str]:
    """A signed-in owner with one ghost per invoice, and their merchant."""
    email, merchant = make_person("ada@merchant.example")
    nasty = {"id": "cus_2", "email": "b@example.com", "name": '=HYPERLINK("http://evil.example","x")'}
    invoices = [raw_invoice(1), raw_invoice(2, customer=nasty), raw_invoice(3, currency="jpy")]
    with db.tenant_session(merchant) as session:
        row = session.get(Merchant, merchant)
        assert row is not None
        facts = [parse_invoice(invoice) for invoice in invoices]
        observe(session, merchant_context(session, merchant), facts, FoundVia.HUNT, clock.now())
    browser = browse()
    sign_in(browser, email)
    return browser, merchant


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_owner_gets_every_ghost_with_amounts_people_read(owner: tuple[TestClient, str]):
    answer = owner[0].get(PATH)
    assert answer.headers["content-type"].startswith("text/csv")
    assert {(row["amount"], row["currency"]) for row in rows(answer.text)} == {("49.00", "USD"), ("4900", "JPY")}


def test_a_customers_name_is_no_formula(owner: tuple[TestClient, str]):
    names = [row["customer_name"] for row in rows(owner[0].get(PATH).text)]
    assert any(name.startswith("'=HYPERLINK") for name in names)
    assert not any(name.startswith("=") for name in names)


def test_filters_are_those_of_the_list(owner: tuple[TestClient, str]):
    assert len(rows(owner[0].get(f"{PATH}?search=cus_2").text)) == 1
    assert rows(owner[0].get(f"{PATH}?state=recovered").text) == []


def test_each_ghost_comes_once_whatever_is_found_meanwhile(
    owner: tuple[TestClient, str], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    merchant = owner[1]
    monkeypatch.setattr(recovery, "EXPORT_PAGE", 1)
    lines = export._lines(merchant, GhostQuery())
    text = next(lines)
    assert db.application_engine().pool.checkedout() == 0  # type: ignore[attr-defined]  # of a QueuePool
    clock.advance(timedelta(hours=1))
    with db.tenant_session(merchant) as session:
        found = [parse_invoice(raw_invoice(4))]
        observe(session, merchant_context(session, merchant), found, FoundVia.HUNT, clock.now())
    ids = [row["id"] for row in rows(text + "".join(lines))]
    assert len(ids) == len(set(ids)) == 3


@pytest.mark.parametrize("query", ["state=nonsense", "strategy=x", "search=" + "a" * 300, "search=%00"])
def test_nonsense_is_refused(owner: tuple[TestClient, str], query: str):
    assert owner[0].get(f"{PATH}?{query}").status_code in (400, 422)


def test_a_stranger_gets_nothing(browse: Browse):
    assert browse().get(PATH).status_code in (303, 401)


def test_a_role_without_the_permission_gets_nothing(browse: Browse):
    email, _merchant = make_person("analyst@merchant.example", Role.ANALYST)
    browser = browse()
    sign_in(browser, email)
    assert browser.get(PATH).status_code == 403


def test_another_merchant_sees_only_its_own(owner: tuple[TestClient, str], browse: Browse):
    email, _merchant = make_person("other@merchant.example")
    browser = browse()
    sign_in(browser, email)
    assert rows(browser.get(PATH).text) == []
