"""Connect's consent page: who may be sent where, with what."""

import base64
import hashlib
from urllib.parse import urlencode

import pytest
import stripe

from sandbox.pages.consent import register_redirect_uris
from sandbox.stripe.inprocess import InProcessClient
from tests.sandbox.conftest import Play
from tests.sandbox.visiting import Visitor, location, query_of, text_of

BACK = "http://localhost:3000/api/auth/callback"
NASTY = '"><script>alert(1)</script>'
GOOD = {
    "client_id": "ca_phantom_sandbox",
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "read_write",
    "state": "s&1",
}


@pytest.fixture
def visitor(play: Play) -> Visitor:
    return Visitor(play.world)


def connected(play: Play, account: str) -> None:
    play.actions.connect(account)


class TestPage:
    def test_it_offers_the_accounts_that_are_not_connected_first(self, play: Play, visitor: Visitor) -> None:
        other = play.actions.create_account(name="Zoo <b>", email="zoo@example.com")["id"]
        connected(play, play.account)
        page = visitor.get("/oauth/authorize", **GOOD)
        assert page.status_code == 200
        assert f'<option value="{other}" selected>Zoo &lt;b&gt; (zoo@example.com)</option>' in page.text
        assert page.text.index(other) < page.text.index("Already connected") < page.text.index(play.account)
        assert play.world.settings.platform_account not in page.text
        assert "not Stripe" in text_of(page)

    @pytest.mark.parametrize("name", ["stripe_user[email]", "stripe_user[business_name]"])
    def test_a_hint_chooses_the_account(self, play: Play, visitor: Visitor, name: str) -> None:
        other = play.actions.create_account(name="Zoo", email="Zoo")["id"]
        assert f'"{other}" selected' in visitor.get("/oauth/authorize", **GOOD, **{name: "Zoo"}).text

    def test_read_only_promises_less(self, visitor: Visitor) -> None:
        assert "retry payments" in visitor.get("/oauth/authorize", **GOOD).text
        assert "retry payments" not in visitor.get("/oauth/authorize", **GOOD | {"scope": "read_only"}).text

    def test_nothing_from_the_address_is_run(self, visitor: Visitor) -> None:
        for name in (*GOOD, "code_challenge", "stripe_user[email]"):
            page = visitor.get("/oauth/authorize", **GOOD | {name: NASTY})
            assert "<script" not in page.text


class TestDecision:
    def test_consent_brings_a_code_that_the_sdk_exchanges(self, play: Play, visitor: Visitor) -> None:
        verifier = "v" * 50
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        given = GOOD | {"code_challenge": challenge, "code_challenge_method": "S256", "account": play.account}
        url = location(visitor.post("/oauth/authorize", **given, decision="connect"))
        assert url.startswith(f"{BACK}?")
        answer = query_of(url)
        assert (answer["scope"], answer["state"]) == ("read_write", "s&1")
        client = stripe.StripeClient(
            play.world.settings.platform_secret_key,
            http_client=InProcessClient(play.api),
            base_addresses={"connect": "http://sandbox"},
        )
        params = {"grant_type": "authorization_code", "code": answer["code"]}
        with pytest.raises(stripe.oauth_error.InvalidGrantError):
            client.oauth.token(params)
        grant = client.oauth.token(params | {"code_verifier": verifier})
        assert grant["stripe_user_id"] == play.account

    def test_cancel_brings_the_refusal(self, visitor: Visitor) -> None:
        url = location(visitor.post("/oauth/authorize", **GOOD, decision="cancel"))
        assert query_of(url) == {
            "error": "access_denied",
            "error_description": "The user denied your request",
            "state": "s&1",
        }

    def test_without_a_state_none_comes_back_and_an_own_query_stays(self, play: Play, visitor: Visitor) -> None:
        given = GOOD | {"redirect_uri": f"{BACK}?from=start"}
        del given["state"]
        url = location(visitor.post("/oauth/authorize", **given, decision="cancel"))
        assert query_of(url).keys() == {"from", "error", "error_description"}

    @pytest.mark.parametrize("account", ["", "acct_unknown", "platform"])
    def test_an_account_must_be_chosen(self, play: Play, visitor: Visitor, account: str) -> None:
        account = play.world.settings.platform_account if account == "platform" else account
        page = visitor.post("/oauth/authorize", **GOOD, account=account, decision="connect")
        assert page.status_code == 422
        assert "Choose an account to connect." in text_of(page)

    def test_connecting_again_is_allowed(self, play: Play, visitor: Visitor) -> None:
        connected(play, play.account)
        url = location(visitor.post("/oauth/authorize", **GOOD, account=play.account, decision="connect"))
        assert "code" in query_of(url)


class TestWrongRequests:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"client_id": ""}, "invalid_request"),
            ({"client_id": "ca_other"}, "invalid_client"),
            ({"redirect_uri": ""}, "invalid_redirect_uri"),
            ({"redirect_uri": "https://evil.example/cb"}, "invalid_redirect_uri"),
            ({"redirect_uri": "//evil.example/cb"}, "invalid_redirect_uri"),
            ({"redirect_uri": "javascript:alert(1)"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://localhost:3000@evil.example/"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://localhost.evil.example/"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://evil.example\\@localhost/"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://localhost\\.evil.example/"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://localhost:notaport/"}, "invalid_redirect_uri"),
            ({"redirect_uri": "http://[::1"}, "invalid_redirect_uri"),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_it_goes_nowhere(self, visitor: Visitor, method: str, changes: dict[str, str], code: str) -> None:
        given = GOOD | changes | {"decision": "cancel"}
        page = (
            visitor.get("/oauth/authorize", **given) if method == "GET" else visitor.post("/oauth/authorize", **given)
        )
        assert page.status_code == 400
        assert "location" not in page.headers
        assert code in text_of(page)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": ""}, "unsupported_response_type"),
            ({"scope": "everything"}, "invalid_scope"),
            ({"code_challenge": "x", "code_challenge_method": "MD5"}, "invalid_request"),
        ],
    )
    def test_what_the_client_did_wrong_is_told_to_the_client(
        self, visitor: Visitor, changes: dict[str, str], error: str
    ) -> None:
        for answer in (
            visitor.get("/oauth/authorize", **GOOD | changes),
            visitor.post("/oauth/authorize", **GOOD | changes, decision="connect"),
        ):
            assert query_of(location(answer))["error"] == error
            assert query_of(location(answer))["state"] == "s&1"


class TestRegisteredAddresses:
    def test_only_the_very_address(self, play: Play, visitor: Visitor) -> None:
        register_redirect_uris(play.world, ["https://app.example/cb"])
        fine = GOOD | {"redirect_uri": "https://app.example/cb"}
        assert visitor.get("/oauth/authorize", **fine).status_code == 200
        for other in (BACK, "https://app.example/cb/", "https://app.example/cb?x=1", "https://APP.example/cb"):
            assert visitor.get("/oauth/authorize", **GOOD | {"redirect_uri": other}).status_code == 400

    def test_the_first_is_meant_when_none_is_given(self, play: Play, visitor: Visitor) -> None:
        register_redirect_uris(play.world, ["https://app.example/cb", BACK])
        given = {name: value for name, value in GOOD.items() if name != "redirect_uri"}
        url = location(visitor.post("/oauth/authorize", **given, decision="cancel"))
        assert url.startswith("https://app.example/cb?")

    def test_over_http(self, visitor: Visitor) -> None:
        told = {"redirect_uris": ["https://app.example/cb"]}
        assert visitor.control("oauth/redirect_uris", told) == told
        assert visitor.control("oauth/redirect_uris") == told
        for wrong in (
            {"redirect_uris": ["javascript:x"]},
            {"redirect_uris": [1]},
            {},
            {"redirect_uris": ["http://a/#b"]},
        ):
            assert visitor.request("POST", "/_sandbox/oauth/redirect_uris", json=wrong).status_code == 400
        assert visitor.control("oauth/redirect_uris") == told


def test_the_address_that_the_sdk_makes_is_understood(play: Play, visitor: Visitor) -> None:
    client = stripe.StripeClient("sk_test", client_id="ca_phantom_sandbox")
    params = {"redirect_uri": BACK, "scope": "read_write", "state": "s", "stripe_user": {"email": "owner@acme.test"}}
    url = client.oauth.authorize_url(params)
    page = visitor.get(f"/oauth/authorize?{urlencode(query_of(url))}")
    assert page.status_code == 200
    assert f'"{play.account}" selected' in page.text
