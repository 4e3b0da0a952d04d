"""Connect OAuth through the real SDK."""

import base64
import hashlib

import pytest
import stripe
from stripe.oauth_error import InvalidClientError, InvalidGrantError

from tests.sandbox.conftest import Play


@pytest.fixture
def platform(play: Play) -> stripe.StripeClient:
    return play.client(play.world.settings.platform_secret_key, client_id=play.world.settings.client_id)


class TestExchange:
    def test_a_code_becomes_tokens_that_work(self, play: Play, platform: stripe.StripeClient) -> None:
        code = play.actions.create_authorization_code(play.account)
        token = platform.oauth.token({"grant_type": "authorization_code", "code": code})
        assert token.stripe_user_id == play.account
        assert token.scope == "read_write"
        assert token.livemode is False
        assert isinstance(token.access_token, str)
        play.client(token.access_token).v1.customers.create({"name": "Ada"})
        assert isinstance(token.refresh_token, str)
        again = platform.oauth.token({"grant_type": "refresh_token", "refresh_token": token.refresh_token})
        assert again.stripe_user_id == play.account

    def test_a_read_only_scope_reads_only(self, play: Play, platform: stripe.StripeClient) -> None:
        code = play.actions.create_authorization_code(play.account, scope="read_only")
        token = platform.oauth.token({"grant_type": "authorization_code", "code": code})
        assert token.scope == "read_only"
        client = play.client(str(token.access_token))
        client.v1.invoices.list()
        with pytest.raises(stripe.PermissionError):
            client.v1.customers.create({"name": "Ada"})

    def test_a_code_works_once(self, play: Play, platform: stripe.StripeClient) -> None:
        code = play.actions.create_authorization_code(play.account)
        platform.oauth.token({"grant_type": "authorization_code", "code": code})
        with pytest.raises(InvalidGrantError, match="already been used"):
            platform.oauth.token({"grant_type": "authorization_code", "code": code})

    def test_a_code_expires_after_five_minutes(self, play: Play, platform: stripe.StripeClient) -> None:
        code = play.actions.create_authorization_code(play.account)
        play.pass_time(seconds=301)
        with pytest.raises(InvalidGrantError, match="expired"):
            platform.oauth.token({"grant_type": "authorization_code", "code": code})

    def test_an_unknown_code_and_another_key_are_refused(self, play: Play, platform: stripe.StripeClient) -> None:
        with pytest.raises(InvalidGrantError):
            platform.oauth.token({"grant_type": "authorization_code", "code": "ac_nothing"})
        code = play.actions.create_authorization_code(play.account)
        with pytest.raises(InvalidClientError):
            play.client().oauth.token({"grant_type": "authorization_code", "code": code})

    def test_pkce_is_verified_when_a_challenge_was_given(self, play: Play, platform: stripe.StripeClient) -> None:
        verifier = "v" * 50
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        code = play.actions.create_authorization_code(play.account, code_challenge=challenge)
        with pytest.raises(InvalidGrantError, match="code_verifier"):
            platform.oauth.token({"grant_type": "authorization_code", "code": code})
        proof = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        assert platform.oauth.token(proof).stripe_user_id == play.account  # type: ignore[arg-type]


class TestDisconnecting:
    def test_deauthorising_ends_access(self, play: Play, platform: stripe.StripeClient) -> None:
        play.actions.connect(play.account)
        platform.oauth.deauthorize({"client_id": play.world.settings.client_id, "stripe_user_id": play.account})
        with pytest.raises(stripe.PermissionError):
            platform.v1.customers.list(options={"stripe_account": play.account})
        with pytest.raises(InvalidClientError):
            platform.oauth.deauthorize({"client_id": play.world.settings.client_id, "stripe_user_id": play.account})
