"""Connect OAuth: exchanging a code, refreshing, disconnecting. The consent page is `sandbox.pages`."""

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from sandbox.stripe import accounts, forms
from sandbox.stripe.errors import StripeError
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json

if TYPE_CHECKING:
    from sandbox.stripe.world import World

CODE_SECONDS = 300


class OAuthError(StripeError):
    """`{"error": "invalid_grant", "error_description": ...}`: flat, unlike the rest of the API."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(status, "invalid_request_error", description, code=code)

    def body(self) -> Json:
        return {"error": self.code, "error_description": self.message}


def create_authorization_code(
    world: "World",
    account: str,
    *,
    scope: str = "read_write",
    redirect_uri: str | None = None,
    code_challenge: str | None = None,
    code_challenge_method: str = "S256",
    live: bool = False,
) -> str:
    """What a consenting account owner's browser carries back: single use, five minutes."""
    world.account(account)
    code = world.ids.new("ac", 32)
    row = {
        "id": code,
        "account": account,
        "created": world.now(),
        "scope": scope,
        "redirect_uri": redirect_uri,
        "challenge": code_challenge,
        "challenge_method": code_challenge_method,
        "live": live,
        "used": False,
    }
    world.root.save("_code", row)
    return code


def _authenticate(call: Call) -> bool:
    """True for the live key. OAuth takes the platform's key as `client_secret` or as bearer token."""
    row = call.world.root.get("_key", call.params.get("client_secret") or call.key)
    if row is None or row["account"] != call.world.settings.platform_account:
        raise OAuthError(401, "invalid_client", "No such application, or the client_secret does not belong to it")
    return bool(row["live"])


@route("POST", "/oauth/token", public=True)
def token(call: Call) -> Any:
    live = _authenticate(call)
    grant = call.params.get("grant_type")
    if grant == "authorization_code":
        return _exchange(call, live=live)
    if grant == "refresh_token":
        return _refresh(call, live=live)
    raise OAuthError(400, "unsupported_grant_type", f"This grant type is not supported: {grant}")


def _exchange(call: Call, *, live: bool) -> Json:
    world, given = call.world, call.params.get("code") or ""
    row = world.root.get("_code", given)
    if row is None:
        raise OAuthError(400, "invalid_grant", f"Authorization code does not exist: {given}")
    if row["used"]:
        raise OAuthError(400, "invalid_grant", f"This authorization code has already been used: {given}")
    if row["created"] < world.now() - CODE_SECONDS:
        raise OAuthError(400, "invalid_grant", f"Authorization code expired: {given}")
    if row["live"] != live:
        raise OAuthError(400, "invalid_grant", "The code and the key belong to different modes")
    redirect = call.params.get("redirect_uri")
    if redirect and row["redirect_uri"] and redirect != row["redirect_uri"]:
        raise OAuthError(400, "invalid_grant", "redirect_uri does not match the one the code was made for")
    if row["challenge"] and not _proves(call.params.get("code_verifier") or "", row):
        raise OAuthError(400, "invalid_grant", "code_verifier does not match the code_challenge")
    row["used"] = True
    world.root.save("_code", row)
    return _answer(accounts.connect(world, row["account"], live=live, scope=row["scope"]))


def _proves(verifier: str, row: Json) -> bool:
    if row["challenge_method"] == "plain":
        return bool(verifier == row["challenge"])
    digest = hashlib.sha256(verifier.encode()).digest()
    return bool(base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == row["challenge"])


def _refresh(call: Call, *, live: bool) -> Json:
    given = call.params.get("refresh_token")
    rows = call.world.root.table("_connection").objects.values()
    row = next((r for r in rows if r["refresh_token"] == given and r["live"] == live), None)
    if row is None:
        raise OAuthError(400, "invalid_grant", f"Refresh token does not exist: {given}")
    return _answer(accounts.connect(call.world, row["account"], live=live, scope=row["scope"]))


def _answer(row: Json) -> Json:
    return {
        "access_token": row["tokens"][-1],
        "livemode": row["live"],
        "refresh_token": row["refresh_token"],
        "token_type": "bearer",
        "stripe_publishable_key": row["publishable_key"],
        "stripe_user_id": row["account"],
        "scope": row["scope"],
    }


@route("POST", "/oauth/deauthorize", public=True)
def deauthorize(call: Call) -> Any:
    live = _authenticate(call)
    if call.params.get("client_id") != call.world.settings.client_id:
        raise OAuthError(401, "invalid_client", f"No such application: '{call.params.get('client_id')}'")
    account = forms.required(call.params, "stripe_user_id")
    if not accounts.disconnect(call.world, account, live=live):
        raise OAuthError(
            401,
            "invalid_client",
            f"This application is not connected to stripe account {account}, or that account does not exist.",
        )
    return {"stripe_user_id": account}
