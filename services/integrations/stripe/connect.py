"""Stripe Connect's OAuth through the SDK: where to send a person, and what their consent is worth."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, cast

import stripe

from core.config import settings
from core.errors import ConfigurationError
from services.integrations.stripe.client import Plain, ScopedStripe, platform_key
from services.integrations.stripe.errors import translated
from services.integrations.stripe.transport import INTERACTIVE, CountingClient, shared_client
from services.vault.secret import Secret

SCOPE = "read_write"


@dataclass(frozen=True, slots=True)
class Grant:
    """What the token endpoint answered."""

    account: str
    access_token: Secret
    refresh_token: Secret | None
    scope: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What we keep of a connected account; missing values are empty, `email` None."""

    account: str
    name: str
    email: str | None
    country: str
    default_currency: str
    timezone: str
    business_category: str


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorize_url(*, state: str, redirect_uri: str, code_challenge: str, email: str | None = None) -> str:
    """Where a person gives or denies consent. Raises `ConfigurationError` without STRIPE_CLIENT_ID."""
    params: dict[str, Any] = {
        "scope": SCOPE,
        "state": state,
        "redirect_uri": redirect_uri,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    if email:
        params["stripe_user"] = {"email": email}
    return _client().oauth.authorize_url(cast(Any, params))


def exchange_code(code: str, code_verifier: str) -> Grant:
    """Trade an authorisation code for the account's credential; a code is good once.

    The verifier goes along always: a server without PKCE ignores it (RFC 6749, section 3.2). Raises
    `StripeGrantError` for a bad or used code, `StripeUnavailableError`, `StripeRateLimitedError`,
    `StripeClientIdError`. Not retried by us on 429: the person is waiting, and can simply connect again.
    """
    params = {"grant_type": "authorization_code", "code": code, "code_verifier": code_verifier}
    with translated():
        answer: Plain = _client().oauth.token(cast(Any, params)).to_dict()
    refresh = answer.get("refresh_token")
    return Grant(
        account=str(answer["stripe_user_id"]),
        access_token=Secret(str(answer["access_token"])),
        refresh_token=Secret(str(refresh)) if refresh else None,
        scope=str(answer.get("scope") or ""),
        livemode=bool(answer.get("livemode")),
    )


def retrieve_account(grant: Grant) -> AccountFacts:
    """The account as it sees itself, read with the credential just granted: which proves that it works."""
    account = ScopedStripe(grant.access_token, grant.account, header=False, patience=INTERACTIVE).retrieve_account()
    profile = account.get("business_profile") or {}
    dashboard = (account.get("settings") or {}).get("dashboard") or {}
    return AccountFacts(
        account=str(account["id"]),
        name=str(profile.get("name") or dashboard.get("display_name") or ""),
        email=account.get("email") or None,
        country=str(account.get("country") or "").lower(),
        default_currency=str(account.get("default_currency") or "usd").lower(),
        timezone=str(dashboard.get("timezone") or "UTC"),
        business_category=str(profile.get("mcc") or ""),
    )


def _client() -> stripe.StripeClient:
    client_id = settings().stripe_client_id
    if client_id is None:
        raise ConfigurationError("STRIPE_CLIENT_ID is not set")
    return stripe.StripeClient(
        platform_key().reveal(),
        client_id=client_id,
        base_addresses={"api": settings().stripe_api_base, "connect": settings().stripe_connect_base},
        max_network_retries=INTERACTIVE.network_retries,
        http_client=CountingClient(shared_client(INTERACTIVE), lambda: None),
    )
