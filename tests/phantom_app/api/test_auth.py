"""Signing in and out over HTTP, as a person and as an attacker."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from core import config
from core.clock import ManualClock
from models.identity import SignInMethod
from phantom_app.api.requests import require_same_origin, safe_next
from services.identity.owner_link import create_owner_link
from services.identity.service import resolve_session
from tests.phantom_app.api.conftest import PASSWORD, Browse, TestClient, sign_in
from tests.support import environment

Person = tuple[str, str]


def cookie_of(response: Any) -> str:
    return str(response.headers.get("set-cookie", ""))


class TestSignIn:
    def test_opens_a_session_and_goes_where_asked(self, browser: TestClient, person: Person) -> None:
        response = sign_in(browser, person[0], next="/recoveries?state=open")
        assert (response.status_code, response.headers["location"]) == (303, "/recoveries?state=open")
        principal = resolve_session(browser.cookies["phantom_session"])
        assert principal is not None
        assert (principal.email, principal.merchant_id) == person
        assert principal.method == SignInMethod.PASSWORD

    def test_leaves_a_cookie_scripts_cannot_read(self, browser: TestClient, person: Person) -> None:
        cookie = cookie_of(sign_in(browser, person[0])).lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "path=/" in cookie
        assert "domain" not in cookie
        assert "secure" not in cookie

    def test_leaves_a_host_cookie_on_https(self, browse: Browse, person: Person) -> None:
        with environment.changed(PUBLIC_URL="https://phantom.example"):
            cookie = cookie_of(sign_in(browse(), person[0]))
        assert cookie.startswith("__Host-phantom_session=")
        assert "; Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("ada@merchant.example", "wrong horse battery"),
            ("nobody@merchant.example", PASSWORD),
            ("not an email", PASSWORD),
            ("", ""),
            ("ada@merchant.example\x00", PASSWORD),
            ("ada@merchant.example' or 1=1 --", PASSWORD),
            ("a" * 5000 + "@merchant.example", PASSWORD),
        ],
    )
    def test_refuses_with_one_and_the_same_answer(
        self, browser: TestClient, person: Person, email: str, password: str
    ) -> None:
        response = browser.post("/auth/sign-in", data={"email": email, "password": password})
        assert (response.status_code, response.headers["location"]) == (303, "/sign-in?error=wrong_credentials")
        assert not cookie_of(response)

    def test_answers_programs_with_problems(self, browser: TestClient, person: Person) -> None:
        browser.headers["accept"] = "application/json"
        refused = browser.post("/auth/sign-in", data={"email": person[0], "password": "wrong"})
        assert refused.status_code == 401
        assert refused.json()["code"] == "wrong_credentials"
        assert sign_in(browser, person[0]).json() == {"status": "success"}

    def test_keeps_where_to_go_through_a_wrong_password(self, browser: TestClient, person: Person) -> None:
        form = {"email": person[0], "password": "wrong", "next": "/system"}
        assert browser.post("/auth/sign-in", data=form).headers["location"].endswith("&next=%2Fsystem")
        form["next"] = "https://evil.example/"
        assert "evil" not in browser.post("/auth/sign-in", data=form).headers["location"]

    def test_is_refused_after_many_attempts_even_with_the_right_password(
        self, browser: TestClient, person: Person
    ) -> None:
        for _ in range(10):
            browser.post("/auth/sign-in", data={"email": person[0], "password": "wrong"})
        response = sign_in(browser, person[0])
        assert response.headers["location"] == "/sign-in?error=too_many_sign_ins"
        browser.headers["accept"] = "application/json"
        assert int(sign_in(browser, person[0]).headers["retry-after"]) == 900

    def test_does_not_take_over_a_planted_session(self, browse: Browse, person: Person) -> None:
        """Session fixation: what the attacker knew before is worth nothing after."""
        attacker = browse()
        sign_in(attacker, person[0])
        planted = attacker.cookies["phantom_session"]
        victim = browse()
        victim.cookies.set("phantom_session", planted)
        response = sign_in(victim, person[0])
        assert planted not in cookie_of(response)
        assert resolve_session(planted) is None


class TestOtherSites:
    @pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/sign-out", "/auth/demo"])
    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"sec-fetch-site": "", "origin": "https://evil.example"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://localhost:1"},
            {},
        ],
        ids=str,
    )
    def test_cannot_send_our_forms(self, browse: Browse, path: str, headers: dict[str, str], demo: str) -> None:
        browser = browse()
        del browser.headers["sec-fetch-site"]
        response = browser.post(path, data={"email": "a@b.example", "password": "x"}, headers=headers)
        assert response.status_code == 403
        assert "another site" in response.text
        assert not cookie_of(response)

    def test_a_browser_without_fetch_metadata_is_known_by_its_origin(self, browse: Browse, person: Person) -> None:
        browser = browse(origin=config.settings().public_url)
        del browser.headers["sec-fetch-site"]
        assert sign_in(browser, person[0]).headers["location"] == "/dashboard"

    @pytest.mark.parametrize("public", ["https://Phantom.example:443/", "https://phantom.example"])
    def test_an_origin_is_what_browsers_make_of_the_address(self, public: str) -> None:
        request = Request({"type": "http", "headers": [(b"origin", b"https://phantom.example")]})
        with environment.changed(PUBLIC_URL=public):
            require_same_origin(request)

    def test_a_page_without_referrer_sends_a_null_origin_to_itself(self, browse: Browse, person: Person) -> None:
        assert sign_in(browse(origin="null"), person[0]).headers["location"] == "/dashboard"


class TestWhereToGo:
    @pytest.mark.parametrize("good", ["/", "/dashboard", "/recoveries/gh_1?tab=story#top", "/settings?x=%2F%2Fevil"])
    def test_stays_here(self, good: str) -> None:
        assert safe_next(good) == good

    @pytest.mark.parametrize(
        "bad",
        [
            "", "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
            "javascript:alert(1)", "/\t/evil.example", "/ok\r\nSet-Cookie: a=b", "/ok\x00", "/ünïcode", "dashboard",
            "/auth/sign-out", "/api/auth/stripe", "/" + "a" * 600, " /dashboard", "/ok here", "http:///evil.example",
        ],
    )  # fmt: skip
    def test_never_leaves(self, bad: str) -> None:
        assert safe_next(bad) == "/dashboard"


class TestForms:
    def test_too_long_are_refused(self, browser: TestClient) -> None:
        response = browser.post("/auth/sign-in", data={"email": "a@b.example", "password": "x" * 20_000})
        assert response.status_code == 413

    def test_too_long_are_refused_without_a_length_too(self, browser: TestClient) -> None:
        response = browser.post(
            "/auth/sign-in",
            content=(b"x" * 1000 for _ in range(100)),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert response.status_code == 413

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", b'{"email": "a"}'),
            ("text/plain", b"email=a"),
            ("multipart/form-data; boundary=x", b"--x--"),
            ("application/x-www-form-urlencoded", b"email=\xff\xfe"),
            ("application/x-www-form-urlencoded", b"&".join(b"a=b" for _ in range(100))),
            ("", b""),
        ],
    )
    def test_that_are_none_are_refused(self, browser: TestClient, kind: str, body: bytes) -> None:
        response = browser.post("/auth/sign-in", content=body, headers={"content-type": kind})
        assert response.status_code == 400

    def test_are_not_read_from_an_address(self, browser: TestClient, person: Person) -> None:
        assert browser.get(f"/auth/sign-in?email={person[0]}&password={PASSWORD}").status_code == 405


class TestSignOut:
    def test_ends_the_session_on_the_server(self, browser: TestClient, person: Person) -> None:
        sign_in(browser, person[0])
        token = browser.cookies["phantom_session"]
        response = browser.post("/auth/sign-out")
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert "phantom_session" not in browser.cookies
        assert resolve_session(token) is None

    def test_without_a_session_is_no_error(self, browser: TestClient) -> None:
        assert browser.post("/auth/sign-out").status_code == 303

    def test_is_no_link(self, browser: TestClient) -> None:
        assert browser.get("/auth/sign-out").status_code == 405


@pytest.fixture
def demo(person: Person) -> Any:
    """The file `phantom up` leaves for the demo."""
    path = config.settings().phantom_demo_file
    assert path is not None
    path.write_text(json.dumps({"merchant_id": person[1], "email": person[0], "password": PASSWORD, "api_key": None}))
    yield str(path)
    path.unlink(missing_ok=True)


class TestDemo:
    def test_signs_in_as_its_owner(self, browser: TestClient, demo: str, person: Person) -> None:
        response = browser.post("/auth/demo")
        assert (response.status_code, response.headers["location"]) == (303, "/dashboard")
        principal = resolve_session(browser.cookies["phantom_session"])
        assert principal is not None
        assert (principal.merchant_id, principal.method) == (person[1], SignInMethod.DEMO)

    def test_that_is_not_ready_says_so(self, browser: TestClient) -> None:
        response = browser.post("/auth/demo")
        assert response.status_code == 404
        assert "still being prepared" in response.text

    def test_that_is_half_written_is_not_ready(self, browser: TestClient, demo: str) -> None:
        Path(demo).write_text('{"merchant_id": ')
        assert browser.post("/auth/demo").status_code == 404

    def test_does_not_exist_in_live_mode(self, browser: TestClient, demo: str) -> None:
        with environment.changed(PHANTOM_MODE="live", PHANTOM_DEMO_FILE="", PHANTOM_CLOCK_FILE=""):
            response = browser.post("/auth/demo")
        assert response.status_code == 404
        assert not cookie_of(response)

    def test_names_only_members(self, browser: TestClient, demo: str) -> None:
        path = config.settings().phantom_demo_file
        assert path is not None
        path.write_text(json.dumps({"merchant_id": "mer_other", "email": "ada@merchant.example", "password": "x"}))
        assert browser.post("/auth/demo").status_code == 401


class TestOwnerLink:
    EMAIL = "first@merchant.example"

    def path(self) -> str:
        return create_owner_link(self.EMAIL).url.removeprefix(config.settings().public_url)

    def test_lets_the_first_owner_in_once(self, browser: TestClient) -> None:
        path = self.path()
        page = browser.get(path)
        assert page.status_code == 200
        assert self.EMAIL in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        response = browser.post(path, data={"password": PASSWORD})
        assert (response.status_code, response.headers["location"]) == (303, "/dashboard")
        principal = resolve_session(browser.cookies["phantom_session"])
        assert principal is not None
        assert (principal.email, principal.role, principal.email_verified) == (self.EMAIL, "owner", True)
        assert browser.get(path).status_code == 410
        assert browser.post(path, data={"password": "another password"}).status_code == 410
        assert sign_in(browser, self.EMAIL).headers["location"] == "/dashboard"

    def test_tells_the_operator_what_the_person_will_find(self, database: Any, person: Person) -> None:
        assert create_owner_link(person[0]).merchants == ("Merchant",)
        assert create_owner_link(self.EMAIL).merchants == ("first",)
        assert "owner/" not in repr(create_owner_link(self.EMAIL))

    def test_survives_a_password_that_is_too_short(self, browser: TestClient) -> None:
        path = self.path()
        refused = browser.post(path, data={"password": "short"})
        assert refused.status_code == 400
        assert "at least 12 characters" in refused.text
        assert browser.post(path, data={"password": PASSWORD}).status_code == 303

    def test_ends_the_persons_other_sessions(self, browse: Browse) -> None:
        first, second = browse(), browse()
        first.post(self.path(), data={"password": PASSWORD})
        former = first.cookies["phantom_session"]
        second.post(self.path(), data={"password": "another password"})
        assert resolve_session(former) is None

    def test_is_over_after_two_days(self, browser: TestClient, clock: ManualClock) -> None:
        path = self.path()
        clock.advance(timedelta(hours=48))
        assert browser.get(path).status_code == 410

    def test_cannot_be_forged_or_prolonged(self, browser: TestClient) -> None:
        user_id, expires, signature = self.path().removeprefix("/auth/owner/").split(".")
        forged = [
            f"{user_id}.{int(expires) + 1}.{signature}",
            f"usr_other.{expires}.{signature}",
            f"{user_id}.{expires}.{signature[:-2]}AA",
            f"{user_id}.{expires}.",
            f"{user_id}.{expires}",
            f"{user_id}.-1.{signature}",
            f"{user_id}.{expires}.{signature}.x",
            "x" * 5000,
            "%00.1.x",
        ]
        for token in forged:
            assert browser.get(f"/auth/owner/{token}").status_code == 410
            assert browser.post(f"/auth/owner/{token}", data={"password": PASSWORD}).status_code == 410

    def test_cannot_be_used_by_another_site(self, browser: TestClient) -> None:
        response = browser.post(self.path(), data={"password": PASSWORD}, headers={"sec-fetch-site": "cross-site"})
        assert response.status_code == 403
