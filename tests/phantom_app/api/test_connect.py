"""Connecting Stripe over HTTP: the story, each way it ends badly, and what an attacker tries."""

import functools
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from core import logging as core_logging
from core.clock import ManualClock
from models.identity import Role
from phantom_app.api.app import create_api
from services.identity.service import resolve_session
from services.merchants import connect as connect_service
from services.merchants import joining
from tests.phantom_app.api.conftest import Browse, TestClient, make_person, sign_in
from tests.phantom_app.api.fake_stripe import FakeStripe
from tests.support import environment
from tests.support.database import WorkerDatabase

TENANT_TABLES = ("merchants", "users", "memberships", "stripe_accounts", "sessions", "scheduled_tasks")


def everything(database: WorkerDatabase) -> dict[str, list[dict[str, Any]]]:
    """All rows, seen by the owner of the schema."""
    with psycopg.connect(database.admin_url, row_factory=psycopg.rows.dict_row) as connection:
        return {
            table: connection.execute(f"select * from {table}".encode()).fetchall()  # noqa: S608
            for table in TENANT_TABLES
        }


def nothing_stored(database: WorkerDatabase) -> bool:
    return not any(everything(database).values())


def begin(browser: TestClient) -> str:
    response = browser.get("/api/auth/stripe")
    assert response.status_code == 303
    return str(response.headers["location"])


def connect(browser: TestClient, stripe: FakeStripe, account: str = "acct_1", **facts: Any) -> Any:
    facts.setdefault("email", "owner@shop.example")
    return browser.get(stripe.consent(begin(browser), account, **facts))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What a process configured for debugging would log. (The SDK itself logs whole token answers at DEBUG.)"""
    root, levels = (
        logging.getLogger(),
        {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict},
    )
    handlers, level = root.handlers[:], root.level
    core_logging.configure("DEBUG")
    root.addHandler(caplog.handler)
    yield caplog
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


class TestTheStory:
    def test_signed_out_makes_a_merchant_its_owner_and_the_first_hunt(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        response = connect(
            browser,
            stripe,
            business_profile={"name": "Nordlicht", "mcc": "5734"},
            default_currency="eur",
            settings={"dashboard": {"timezone": "Europe/Berlin"}},
        )
        assert (response.status_code, response.headers["location"]) == (303, "/welcome")
        rows = everything(database)
        merchant, user = rows["merchants"][0], rows["users"][0]
        assert merchant["name"] == "Nordlicht"
        assert (merchant["stripe_user_id"], merchant["credential_mode"]) == ("acct_1", "oauth")
        assert (merchant["default_currency"], merchant["country"]) == ("eur", "de")
        assert (merchant["timezone"], merchant["business_category"]) == ("Europe/Berlin", "5734")
        for column in ("encrypted_token", "iv", "tag", "wrapped_key", "encrypted_refresh_token"):
            bytes.fromhex(merchant[column])
        assert "sk_test_token" not in str(rows)
        assert (user["email"], user["email_verified_at"], user["password_hash"]) == ("owner@shop.example", None, None)
        assert [row["role"] for row in rows["memberships"]] == ["owner"]
        task = rows["scheduled_tasks"][0]
        assert (task["kind"], task["merchant_id"], task["payload"]) == ("hunt", merchant["id"], joining.FIRST_HUNT)
        principal = resolve_session(browser.cookies["phantom_session"])
        assert principal is not None
        assert (principal.merchant_id, principal.role, principal.method) == (merchant["id"], Role.OWNER, "connect")

    def test_signed_in_makes_that_person_owner_in_their_empty_merchant(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, person: tuple[str, str]
    ) -> None:
        email, merchant_id = person
        sign_in(browser, email)
        former = browser.cookies["phantom_session"]
        assert connect(browser, stripe).status_code == 303
        rows = everything(database)
        assert [row["id"] for row in rows["merchants"]] == [merchant_id]
        assert [row["email"] for row in rows["users"]] == [email]
        assert resolve_session(former) is None
        assert len(rows["sessions"]) == 1

    def test_a_second_account_of_the_same_person_becomes_a_second_merchant(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, person: tuple[str, str]
    ) -> None:
        sign_in(browser, person[0])
        connect(browser, stripe, "acct_1")
        assert connect(browser, stripe, "acct_2").status_code == 303
        rows = everything(database)
        assert {row["stripe_user_id"] for row in rows["merchants"]} == {"acct_1", "acct_2"}
        assert len(rows["users"]) == 1
        principal = resolve_session(browser.cookies["phantom_session"])
        assert principal is not None
        assert {row["id"]: row["stripe_user_id"] for row in rows["merchants"]}[principal.merchant_id] == "acct_2"

    def test_again_signs_in_that_owner_and_renews_the_credential(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase, clock: ManualClock
    ) -> None:
        connect(browse(), stripe)
        before = everything(database)["merchants"][0]
        clock.advance(timedelta(days=3))
        other = browse()
        assert connect(other, stripe).headers["location"] == "/welcome"
        rows = everything(database)
        after = rows["merchants"][0]
        assert len(rows["merchants"]) == len(rows["users"]) == len(rows["stripe_accounts"]) == 1
        assert after["iv"] != before["iv"]
        principal = resolve_session(other.cookies["phantom_session"])
        assert principal is not None
        assert principal.user_id == rows["users"][0]["id"]

    def test_an_account_without_email_has_an_owner_who_can_only_come_through_stripe(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        assert connect(browser, stripe, email=None).status_code == 303
        assert everything(database)["users"][0]["email"] == "acct_1@connect.invalid"

    def test_dying_before_the_commit_leaves_nothing_and_connecting_again_works(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: object, **__: object) -> None:
            raise SystemError("killed")

        with monkeypatch.context() as patched:
            patched.setattr(joining.tasks, "schedule", die)
            assert connect(browser, stripe).status_code == 500
        assert nothing_stored(database)
        assert connect(browser, stripe).status_code == 303

    def test_dying_after_the_commit_and_connecting_again_lands_in_the_same_merchant(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: object, **__: object) -> None:
            raise SystemError("killed")

        with monkeypatch.context() as patched:
            patched.setattr(connect_service.sessions, "open_session", die)
            assert connect(browser, stripe).status_code == 500
        assert [row["stripe_user_id"] for row in everything(database)["merchants"]] == ["acct_1"]
        assert connect(browser, stripe).status_code == 303
        rows = everything(database)
        assert len(rows["merchants"]) == len(rows["users"]) == len(rows["sessions"]) == 1

    def test_sends_pkce_and_the_exact_redirect(self, browser: TestClient, stripe: FakeStripe) -> None:
        location = begin(browser)
        assert location.startswith(f"{stripe.url}/oauth/authorize?")
        assert "code_challenge_method=S256" in location
        assert "%2Fapi%2Fauth%2Fcallback" in location
        browser.get(stripe.consent(location))
        form = next(form for _, path, form, _ in stripe.requests if path == "/oauth/token")
        assert len(form["code_verifier"]) == 43


class TestWhatGoesWrong:
    def expect(self, response: Any, status: int, words: str, database: WorkerDatabase) -> None:
        assert response.status_code == status
        assert words in response.text
        assert response.headers["content-type"].startswith("text/html")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "phantom_session" not in response.headers.get("set-cookie", "")
        assert nothing_stored(database)

    def test_denied_consent(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        state = begin(browser).partition("state=")[2].partition("&")[0]
        response = browser.get(f"/api/auth/callback?error=access_denied&error_description=no&state={state}")
        self.expect(response, 403, "You did not allow the connection", database)
        assert 'href="/api/auth/stripe"' in response.text

    def test_no_state(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        self.expect(browser.get("/api/auth/callback"), 400, "only for coming back from Stripe", database)

    @pytest.mark.parametrize("state", ["x", "a" * 43, "%00" * 43, "ü" * 43, "a" * 60_000])
    def test_a_state_that_was_never_made(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, state: str
    ) -> None:
        begin(browser)
        response = browser.get(f"/api/auth/callback?code=ac_x&state={state}")
        self.expect(response, 400, "not begun in this browser", database)
        assert not stripe.requests

    def test_a_state_of_another_browser(self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase) -> None:
        """Login CSRF: the attacker consents with their own account and lets the victim's browser finish."""
        attacker, victim = browse(), browse()
        address = stripe.consent(begin(attacker), "acct_attacker")
        begin(victim)
        self.expect(victim.get(address), 400, "not begun in this browser", database)
        assert not stripe.requests
        assert attacker.get(address).status_code == 303, "the owner of the state must not suffer from it"

    def test_a_browser_without_the_cookie(self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase) -> None:
        address = stripe.consent(begin(browse()))
        self.expect(browse().get(address), 400, "not begun in this browser", database)

    def test_a_state_used_twice(self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase) -> None:
        browser = browse()
        address = stripe.consent(begin(browser), email="owner@shop.example")
        cookie = browser.cookies["phantom_connect"]
        assert browser.get(address).status_code == 303
        before = everything(database)
        again = browse(cookie=f"phantom_connect={cookie}").get(address)
        assert again.status_code == 409
        assert "completed or ended already" in again.text
        assert 'href="/dashboard"' in again.text
        assert everything(database) == before

    def test_a_state_older_than_ten_minutes(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, clock: ManualClock
    ) -> None:
        address = stripe.consent(begin(browser))
        clock.advance(timedelta(minutes=10))
        self.expect(browser.get(address), 400, "longer than ten minutes", database)
        assert not stripe.requests

    def test_a_code_used_twice(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        address = stripe.consent(begin(browser))
        stripe.codes.clear()
        self.expect(browser.get(address), 400, "no longer accepts this authorisation", database)

    def test_a_code_stolen_into_another_flow_fails_by_pkce(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        victim, thief = browse(), browse()
        code = stripe.consent(begin(victim)).partition("code=")[2].partition("&")[0]
        state = begin(thief).partition("state=")[2].partition("&")[0]
        response = thief.get(f"/api/auth/callback?code={code}&state={state}")
        self.expect(response, 400, "no longer accepts this authorisation", database)

    @pytest.mark.parametrize("path", ["/oauth/token", "/v1/account"])
    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_stripe_down(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, path: str, status: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("time.sleep", lambda _: None)
        address = stripe.consent(begin(browser))
        failure = {"error": {"type": "api_error", "message": "broken"}, "_headers": {"stripe-should-retry": "false"}}
        stripe.answers[path] = [(status, dict(failure)) for _ in range(4)]
        response = browser.get(address)
        self.expect(response, 503, "Stripe is not answering", database)
        stripe.answers.clear()
        assert connect(browser, stripe).status_code == 303

    def test_stripe_unreachable(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        address = stripe.consent(begin(browser))
        with environment.changed(STRIPE_CONNECT_BASE="http://127.0.0.1:1"), pytest.MonkeyPatch.context() as patched:
            patched.setattr("time.sleep", lambda _: None)
            self.expect(browser.get(address), 503, "Stripe is not answering", database)

    def test_a_wrong_secret_key(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        address = stripe.consent(begin(browser))
        with environment.changed(STRIPE_SECRET_KEY="sk_test_other"):
            self.expect(browser.get(address), 503, "cannot connect to Stripe yet", database)

    def test_no_client_id(self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase) -> None:
        with environment.changed(STRIPE_CLIENT_ID=""):
            self.expect(browser.get("/api/auth/stripe"), 503, "cannot connect to Stripe yet", database)

    def test_an_account_of_the_other_mode(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        address = stripe.consent(begin(browser), livemode=True)
        self.expect(browser.get(address), 409, "other mode of Stripe", database)

    def test_a_token_of_another_account_than_promised(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        address = stripe.consent(begin(browser), "acct_1")
        stripe.accounts["acct_1"]["id"] = "acct_2"
        self.expect(browser.get(address), 400, "did not go through", database)


class TestWhoseItBecomes:
    def test_an_account_of_another_workspace_is_not_handed_over(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase, person: tuple[str, str]
    ) -> None:
        connect(browse(), stripe)
        mine = browse()
        sign_in(mine, person[0])
        before = everything(database)
        response = connect(mine, stripe)
        assert response.status_code == 409
        assert "belongs to another PHANTOM workspace" in response.text
        assert everything(database) == before

    @pytest.mark.parametrize("role", [Role.MEMBER, Role.ANALYST])
    def test_a_member_who_may_not_connect_is_refused(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase, role: Role
    ) -> None:
        owner = browse()
        email, merchant_id = make_person("ada@merchant.example")
        sign_in(owner, email)
        connect(owner, stripe)
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("update memberships set role = %s where merchant_id = %s", (role, merchant_id))
        assert connect(owner, stripe).status_code == 409

    def test_an_email_that_exists_is_never_taken_over(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, person: tuple[str, str]
    ) -> None:
        """Anyone can make a Stripe account with anybody's email address."""
        before = everything(database)
        response = connect(browser, stripe, "acct_evil", email=person[0].upper())
        assert response.status_code == 409
        assert "sign in first" in response.text
        assert everything(database) == before

    def test_signing_in_on_the_way_ends_it(
        self, browser: TestClient, stripe: FakeStripe, database: WorkerDatabase, person: tuple[str, str]
    ) -> None:
        address = stripe.consent(begin(browser))
        sign_in(browser, person[0])
        response = browser.get(address)
        assert response.status_code == 409
        assert "signed in or out while connecting" in response.text
        assert not everything(database)["stripe_accounts"]


class TestPrograms:
    def test_are_answered_with_problem_json(self, browser: TestClient, stripe: FakeStripe) -> None:
        response = browser.get("/api/auth/callback", headers={"accept": "application/json"})
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "connect_state_missing"
        assert response.json()["status"] == 400

    def test_headless_is_one_link_and_one_answer(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        browser = browse(create_api(headless=True))
        start = browser.get("/")
        assert start.text.count("<a ") == 1
        assert ">Connect Stripe</a>" in start.text
        response = connect(browser, stripe)
        assert response.status_code == 200
        assert response.json() == {"status": "success", "message": "Merchant Authorized"}
        refused = browser.get("/api/auth/callback?error=access_denied")
        assert refused.headers["content-type"] == "application/problem+json"
        # The same operator's second account has the same email; there is no page to sign in at.
        assert connect(browser, stripe, "acct_2").json()["status"] == "success"
        assert len(everything(database)["merchants"]) == 2

    def test_nothing_secret_is_logged(
        self, browser: TestClient, stripe: FakeStripe, logged: pytest.LogCaptureFixture
    ) -> None:
        connect(browser, stripe)
        browser.get("/api/auth/callback?code=ac_secretsecretsecret&state=" + "s" * 43)
        lines = [json.loads(core_logging.JsonFormatter().format(record)) for record in logged.records]
        written = json.dumps(lines)
        assert lines
        for secret in ("sk_test_token", "sk_test_platform", "secretsecret", "rt_acct", "owner@shop"):
            assert secret not in written


class TestAtTheSameMoment:
    """Real threads on real transactions; a barrier in the fake Stripe makes them meet."""

    def together(self, *visits: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(visits)) as pool:
            return [future.result() for future in [pool.submit(visit) for visit in visits]]

    def test_two_callbacks_with_one_state_count_once(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        first = browse()
        address = stripe.consent(begin(first))
        second = browse(cookie=f"phantom_connect={first.cookies['phantom_connect']}")
        answers = self.together(lambda: first.get(address), lambda: second.get(address))
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        assert len(everything(database)["merchants"]) == 1

    def test_two_browsers_with_one_account_make_one_merchant(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        first, second = browse(), browse()
        addresses = [stripe.consent(begin(each), email="owner@shop.example") for each in (first, second)]
        barrier = threading.Barrier(2)
        stripe.before = lambda path: path == "/v1/account" and barrier.wait(10)
        answers = self.together(lambda: first.get(addresses[0]), lambda: second.get(addresses[1]))
        assert [answer.status_code for answer in answers] == [303, 303]
        rows = everything(database)
        assert len(rows["merchants"]) == len(rows["users"]) == len(rows["stripe_accounts"]) == 1
        assert len(rows["sessions"]) == 2

    def test_two_accounts_with_one_email_do_not_share_a_person(
        self, browse: Browse, stripe: FakeStripe, database: WorkerDatabase
    ) -> None:
        browsers = [browse(), browse()]
        addresses = [
            stripe.consent(begin(each), account, email="owner@shop.example")
            for each, account in zip(browsers, ("acct_1", "acct_2"), strict=True)
        ]
        barrier = threading.Barrier(2)
        stripe.before = lambda path: path == "/v1/account" and barrier.wait(10)
        answers = self.together(
            *(functools.partial(each.get, at) for each, at in zip(browsers, addresses, strict=True))
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        assert len(everything(database)["merchants"]) == 1
