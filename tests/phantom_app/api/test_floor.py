"""What every route stands on: correlation ids, problems, pages, health."""

import contextlib
import json
import threading

import psycopg
import pytest
from fastapi import FastAPI, Query
from sqlalchemy.exc import OperationalError

from core import db
from core.clock import ManualClock
from core.errors import PhantomError, TooManyRequestsError
from core.logging import correlation_id
from phantom_app.api import health, pages
from phantom_app.api.app import create_api
from tests.phantom_app.api.conftest import Browse, TestClient, make_person, sign_in
from tests.support import environment
from tests.support.database import WorkerDatabase


class BusyError(TooManyRequestsError):
    retry_after = 12.4


@pytest.fixture(scope="module")
def api() -> FastAPI:
    """The API with routes that fail in each way."""
    api = create_api()

    @api.get("/number")
    def number(value: int = Query()) -> int:
        return value

    @api.get("/busy")
    def busy() -> None:
        raise BusyError

    @api.get("/html")
    def html() -> None:
        raise PhantomError("<script>alert(1)</script>")

    @api.get("/crash")
    def crash() -> None:
        raise ZeroDivisionError("secret detail")

    @api.get("/database")
    def database() -> None:
        raise OperationalError("select secret", {}, Exception("gone"))

    @api.get("/correlation")
    def correlation() -> str:
        return correlation_id()

    return api


@pytest.fixture
def program(browse: Browse) -> TestClient:
    return browse(accept="application/json")


class TestCorrelation:
    def test_is_taken_from_the_caller_and_given_back(self, program: TestClient) -> None:
        response = program.get("/correlation", headers={"x-request-id": "caller-id-1"})
        assert response.headers["x-request-id"] == response.json() == "caller-id-1"

    @pytest.mark.parametrize("given", ["", "short", "x" * 65, "has space in it", "new\tline-abcdef", "<b>12345678"])
    def test_is_made_where_the_callers_is_unfit(self, program: TestClient, given: str) -> None:
        response = program.get("/correlation", headers={"x-request-id": given})
        assert response.headers["x-request-id"] == response.json()
        assert len(response.json()) == 32

    def test_is_in_a_problem(self, program: TestClient) -> None:
        response = program.get("/nowhere")
        assert response.json()["request_id"] == response.headers["x-request-id"]


class TestProblems:
    def test_have_a_stable_shape(self, program: TestClient) -> None:
        response = program.get("/busy")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["retry-after"] == "12"
        body = response.json()
        assert body.pop("request_id")
        assert body == {
            "type": "urn:phantom:problem:too_many_requests",
            "title": "Too many attempts, please wait a moment",
            "status": 429,
            "code": "too_many_requests",
        }

    def test_of_unknown_addresses_and_methods(self, program: TestClient) -> None:
        assert program.get("/nowhere").json()["code"] == "not_found"
        refused = program.delete("/health")
        assert refused.json()["code"] == "method_not_allowed"
        assert refused.headers["allow"] == "GET"

    def test_of_bad_values_name_the_field_and_never_the_value(self, program: TestClient) -> None:
        response = program.get("/number?value=sk_secret")
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "query.value"
        assert "sk_secret" not in response.text

    def test_of_a_crash_tell_nothing(self, program: TestClient) -> None:
        response = program.get("/crash")
        assert (response.status_code, response.json()["code"]) == (500, "internal_error")
        assert "secret" not in response.text
        assert "Zero" not in response.text

    def test_of_a_lost_database_ask_to_come_again(self, program: TestClient) -> None:
        response = program.get("/database")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "select" not in response.text


class TestPages:
    def test_are_for_people_and_escape_everything(self, browser: TestClient) -> None:
        response = browser.get("/html")
        assert response.headers["content-type"].startswith("text/html")
        assert "<script" not in response.text
        assert "&lt;script&gt;" in response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]

    def test_carry_a_reference_when_it_was_our_fault(self, browser: TestClient) -> None:
        crashed = browser.get("/html")
        assert f"Reference {crashed.headers['x-request-id']}" in crashed.text
        assert "Reference" not in browser.get("/nowhere").text

    def test_escape_links_and_headings(self) -> None:
        text = bytes(pages.page('<b>"', "<i>", pages.Way('/"><script>', "<u>")).body).decode()
        for tag in ("<b>", "<i>", "<u>", "<script>"):
            assert tag not in text


class TestHealth:
    def test_alive_asks_nobody(self, program: TestClient) -> None:
        with environment.changed(DATABASE_URL="postgresql://x@127.0.0.1:1/x"):
            assert program.get("/health").json() == {"status": "alive"}

    def test_ready_when_everything_is_there(self, program: TestClient) -> None:
        response = program.get("/health/ready")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ready",
            "checks": {"database": True, "migrations": True, "redis": True, "vault": True},
        }

    def test_not_ready_names_what_is_missing_and_no_more(
        self, program: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away() -> bool:
            raise OperationalError("select", {}, Exception("password authentication failed for user x"))

        monkeypatch.setitem(health._CHECKS, "database", away)
        monkeypatch.setattr(health, "_head", lambda: "9999")
        response = program.get("/health/ready")
        assert response.status_code == 503
        assert response.json()["checks"] == {"database": False, "migrations": False, "redis": True, "vault": True}
        assert "password" not in json.dumps(response.json())

    @pytest.mark.parametrize(("revision", "ready"), [("0001", False), (None, False), ("from a later version", True)])
    def test_an_older_schema_is_not_enough_and_a_newer_one_is(
        self, program: TestClient, database: WorkerDatabase, revision: str | None, ready: bool
    ) -> None:
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            before = owner.execute("select version_num from alembic_version").fetchone()
            owner.execute("delete from alembic_version")
            if revision:
                owner.execute("insert into alembic_version values (%s)", [revision])
            try:
                assert program.get("/health/ready").json()["checks"]["migrations"] is ready
            finally:
                owner.execute("delete from alembic_version")
                owner.execute("insert into alembic_version values (%s)", before)

    def test_a_check_that_does_not_answer_is_not_waited_for_and_not_begun_twice(
        self, program: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers, begun = threading.Event(), []

        def silent() -> bool:
            begun.append(1)
            return answers.wait(30)

        monkeypatch.setattr(health, "DEADLINE_SECONDS", 0.05)
        monkeypatch.setitem(health._CHECKS, "redis", silent)
        try:
            for _probe in range(3):
                assert program.get("/health/ready").json()["checks"]["redis"] is False
        finally:
            answers.set()
        assert len(begun) == 1
        health._under_way["redis"].result(30)


class TestHeadless:
    def test_answers_every_failure_as_a_problem(self, browse: Browse) -> None:
        browser = browse(create_api(headless=True))
        assert browser.get("/nowhere").headers["content-type"] == "application/problem+json"

    def test_has_no_sign_in(self, browse: Browse) -> None:
        assert browse(create_api(headless=True)).post("/auth/sign-in").status_code == 404


class TestConnectionsAllInUse:
    """Every connection that this process may have is taken: callers are told to come again, and may."""

    def test_answers_503_and_recovers(self, browse: Browse, clock: ManualClock, short_pools: None) -> None:
        email, _merchant = make_person("ada@merchant.example")
        browser = browse(accept="application/json")
        sign_in(browser, email)
        with contextlib.ExitStack() as held:
            for engine in (db.application_engine(), db.system_engine()):
                for _ in range(15):
                    held.enter_context(engine.connect())
            page = browser.get("/export/recoveries.csv")
            assert (page.status_code, page.headers["retry-after"]) == (503, "5")
            assert page.json()["code"] == "unavailable"
            ready = browser.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, False)
            assert browser.get("/health").status_code == 200
        assert browser.get("/health/ready").status_code == 200
        assert browser.get("/export/recoveries.csv").status_code == 200
