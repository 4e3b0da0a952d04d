"""Importing consents on screen: who may, from where, and what comes back for a file that is none."""

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.identity import Membership, Role
from models.sending import Consent
from phantom_app.api import consents_upload
from tests.phantom_app.api.conftest import Browse, make_person, sign_in

PATH = "/import/consents"
FILE = {"file": ("consents.csv", b"phone,date\n+12025550143,2026-01-15\n<script>,2026-01-15\n", "text/csv")}


def recorded(merchant: str) -> int:
    with db.tenant_session(merchant) as session:
        return len(session.exec(select(Consent)).all())


def test_an_owner_imports_and_reads_what_came_of_it_without_script(browse: Browse, clock: ManualClock) -> None:
    email, merchant = make_person("ada@merchant.example")
    browser = browse()
    sign_in(browser, email)
    answer = browser.post(PATH, files=FILE)
    assert answer.status_code == 200
    assert "1 recorded, 0 known before, 1 rows left out." in answer.text
    assert "Line 3: the telephone number cannot be read" in answer.text
    assert "<script" not in answer.text
    assert recorded(merchant) == 1


def test_strangers_and_other_sites_may_not(browse: Browse, clock: ManualClock) -> None:
    assert browse().post(PATH, files=FILE).status_code == 401
    email, merchant = make_person("bob@merchant.example")
    browser = browse()
    sign_in(browser, email)
    assert browser.post(PATH, files=FILE, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert recorded(merchant) == 0


def test_a_member_may_not(browse: Browse, clock: ManualClock) -> None:
    email, merchant = make_person("bob@merchant.example")
    with db.tenant_session(merchant) as session:
        for membership in session.exec(select(Membership)).all():
            membership.role = Role.MEMBER
    browser = browse()
    sign_in(browser, email)
    assert browser.post(PATH, files=FILE).status_code == 403
    assert recorded(merchant) == 0


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"file": ("x.csv", b"a,b\n1,2", "text/csv")}, 422),
        ({"file": ("x.png", b"\x89PNG\x00", "image/png")}, 422),
        ({"other": ("x.csv", b"phone,date\n", "text/csv")}, 400),
    ],
)
def test_what_is_no_such_file_records_nothing(
    browse: Browse, clock: ManualClock, files: dict[str, tuple[str, bytes, str]], status: int
) -> None:
    email, merchant = make_person("ada@merchant.example")
    browser = browse()
    sign_in(browser, email)
    assert browser.post(PATH, files=files).status_code == status
    assert recorded(merchant) == 0


def test_one_that_is_too_large_is_not_even_read(
    browse: Browse, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, merchant = make_person("ada@merchant.example")
    browser = browse()
    sign_in(browser, email)
    monkeypatch.setattr(consents_upload, "LONGEST_FILE", 10)
    monkeypatch.setattr(consents_upload, "_AROUND", 10)
    assert browser.post(PATH, files=FILE).status_code == 413
    assert recorded(merchant) == 0
