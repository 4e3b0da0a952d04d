"""`/api/v1/consents`: a key decides whose and what, errors are problem details, pages go by cursor."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from core import db, logging
from core.clock import ManualClock
from models.sending import ApiKey
from phantom_app.api.v1 import callers
from services.identity import api_keys
from services.identity.api_keys import ApiKeyNotFoundError, ApiScope
from tests.phantom_app.api.v1.conftest import Program

GIVEN = {
    "channel": "sms",
    "address": "0151 12345678",
    "country": "DE",
    "given_at": "2026-02-01T10:00:00Z",
    "customer_id": "cus_1",
    "source": "checkout",
    "text_version": "v3",
}


def test_a_consent_is_recorded_listed_and_taken_back(program: Program) -> None:
    made = program.call("POST", json=GIVEN)
    assert (made.status_code, made.json()["recorded"], made.json()["current"]) == (201, True, True)
    again = program.call("POST", json=GIVEN)
    assert (again.status_code, again.json()) == (200, {"recorded": False})

    (listed,) = program.call("GET").json()["data"]
    assert {**listed, "recorded": True} == made.json()
    assert listed["recorded_by"] == f"api_key:{program.key_id}"
    assert "12345678" not in str(listed)

    gone = program.call("DELETE", f"/{listed['id']}")
    assert (gone.status_code, gone.json()["state"], gone.json()["current"]) == (200, "withdrawn", True)
    assert [each["state"] for each in program.call("GET").json()["data"]] == ["withdrawn", "granted"]


def test_a_day_alone_counts_as_in_a_file(program: Program) -> None:
    """A yes from where the day began first: one who took it back that day, wherever they are, stays unwritten."""
    made = program.call("POST", json={**GIVEN, "given_at": "2026-02-01"}).json()
    assert made["given_at"] == "2026-01-31T10:00:00+00:00"
    gone = program.call("POST", json={**GIVEN, "given_at": "2026-02-01", "state": "withdrawn"}).json()
    assert (gone["given_at"], gone["current"]) == ("2026-02-02T12:00:00+00:00", True)


def test_pages_by_cursor(program: Program) -> None:
    for day in range(1, 6):
        program.call("POST", json={**GIVEN, "given_at": f"2026-02-0{day}T00:00:00Z"})
    seen, cursor = [], ""
    while cursor is not None:
        page = program.call("GET", params={"limit": 2, "cursor": cursor}).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("key", ["", "x", "phk_" + "0" * 40, "phk_", "phk_" + "0" * 4000, "sk_test_1"])
def test_without_a_key_that_works_there_is_nothing(program: Program, key: str) -> None:
    answer = program.call("GET", key=key)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert (answer.json()["code"], answer.headers["www-authenticate"]) == ("bad_api_key", "Bearer")


def test_a_revoked_key_opens_nothing_and_is_still_listed(program: Program) -> None:
    with db.tenant_session(program.merchant) as session:
        api_keys.revoke(session, program.merchant, program.key_id, "usr_1")
    assert program.call("GET").status_code == 401
    with db.tenant_session(program.merchant) as session:
        (view,) = api_keys.keys_of(session, program.merchant)
        assert view.revoked_at is not None
        with pytest.raises(ApiKeyNotFoundError):
            api_keys.revoke(session, program.merchant, program.key_id, "usr_1")


def test_a_key_is_for_what_it_was_made_for(client: TestClient) -> None:
    reader = Program(client, frozenset({ApiScope.CONSENTS_READ}))
    assert reader.call("GET").status_code == 200
    for refused in (reader.call("POST", json=GIVEN), reader.call("DELETE", "/con_1"), reader.call("POST", "/import")):
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


def test_another_merchants_entries_are_not_there(program: Program, client: TestClient) -> None:
    made = program.call("POST", json=GIVEN).json()
    other = Program(client)
    assert other.call("GET").json() == {"data": [], "next_cursor": None}
    for method in ("GET", "DELETE"):
        assert other.call(method, f"/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "fax"},
        {"address": "12"},
        {"country": "XX"},
        {"given_at": "2026-02-30T00:00:00Z"},
        {"given_at": "2031-01-01T00:00:00Z"},
        {"given_at": "2026-02-30"},
        {"given_at": ""},
        {"given_at": "2026-02-01\u0000"},
        {"given_at": 1_770_000_000},
        {"state": "maybe"},
        {"extra": 1},
        {"address": None},
        {"customer_id": "a\u0000b"},
    ],
)
def test_bad_input_is_a_problem_and_records_nothing(program: Program, wrong: dict[str, Any]) -> None:
    answer = program.call("POST", json={**GIVEN, **wrong})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert program.call("GET").json()["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=%00",
        "cursor=zzzz",
        "customer_id=%00",
        "customer_id=cus_1%00",
        "customer_id=a%0A",
    ],
)
def test_bad_pages_are_problems(program: Program, query: str) -> None:
    answer = program.call("GET", f"?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("consent_id", ["%00", "con_%00", "con_1%0A", "%C3%A9", "%FF", "x" * 65])
def test_what_no_entry_is_called_is_not_there(program: Program, method: str, consent_id: str) -> None:
    answer = program.call(method, f"/{consent_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "consent_not_found"


def test_a_file_is_imported_and_its_bad_rows_named(program: Program) -> None:
    raw = "phone,date\n+12025550143,2026-01-15\n+1202555,2026-01-15\n+12025550144,2026-02-31\n".encode("utf-8-sig")
    answer = program.call("POST", "/import", content=raw)
    assert (answer.status_code, answer.json()["recorded"], answer.json()["rejected"]) == (200, 1, 2)
    assert [row["line"] for row in answer.json()["errors"]] == [3, 4]
    assert program.call("POST", "/import", content=b"\x00").json()["code"] == "bad_file"


def test_a_key_that_calls_too_often_is_told_to_wait(program: Program) -> None:
    answers = [program.call("GET") for _ in range(callers.CALLS_AT_ONCE + 3)]
    assert [each.status_code for each in answers] == [200] * callers.CALLS_AT_ONCE + [429] * 3
    assert answers[-1].headers["retry-after"] == "1"


def test_a_key_that_goes_on_calling_too_often_still_gets_its_rate(program: Program, clock: ManualClock) -> None:
    passed = []
    for _ in range(90):  # twice as often as it may
        clock.advance(timedelta(seconds=0.02))
        passed.append(program.call("GET").status_code == 200)
    assert sum(passed[-40:]) == pytest.approx(20, abs=1)


def test_a_key_is_stored_as_a_keyed_hash_and_no_log_shows_one(program: Program) -> None:
    with db.system_session() as session:
        (row,) = session.exec(select(ApiKey)).all()
        assert program.key not in str(vars(row))
        assert row.hint == program.key[-4:]
    assert program.key not in logging.redact(f"called with {program.key}.")
    assert len(program.key) - len("phk_") == 40


@pytest.mark.parametrize("path", ["", "/import"])
def test_too_large_is_refused_whoever_sends_it(program: Program, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is read before its key is looked at: strangers may not make it long."""

    def pieces() -> Iterator[bytes]:
        for _ in range(40 * 1024):
            yield b" " * 1024

    answer = program.call("POST", path, key="phk_stranger" if not path else None, content=pieces())
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
