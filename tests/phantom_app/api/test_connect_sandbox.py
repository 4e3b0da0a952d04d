"""Connecting to the sandbox, a process of its own, through the real SDK: what we believe of Stripe holds there too."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from core import config
from core.db import tenant_session
from services.identity.service import resolve_session
from services.integrations.stripe import transport
from services.integrations.stripe.client import client_for
from services.integrations.stripe.errors import StripeAuthenticationError, StripeNotFoundError
from tests.phantom_app.api.conftest import TestClient
from tests.sandbox.process import SandboxProcess
from tests.support import environment
from tests.support.database import WorkerDatabase


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    options = ("--platform-secret-key", "sk_test_platform", "--client-id", "ca_test_platform", "--pull")
    with SandboxProcess(options=options) as process:
        with environment.changed(STRIPE_API_BASE=process.base, STRIPE_CONNECT_BASE=process.base):
            yield process
        transport.close_connections()


def consent(browser: TestClient, sandbox: SandboxProcess, account: str) -> Any:
    """What the account's owner does on the consent page, and where that leads."""
    location = urlsplit(browser.get("/api/auth/stripe").headers["location"])
    asked = {name: values[0] for name, values in parse_qs(location.query).items()}
    assert (asked["client_id"], asked["scope"], asked["response_type"]) == ("ca_test_platform", "read_write", "code")
    assert asked["redirect_uri"] == f"{config.settings().public_url}/api/auth/callback"
    code = sandbox.act(
        "create_authorization_code",
        account=account,
        code_challenge=asked["code_challenge"],
        redirect_uri=asked["redirect_uri"],
    )
    return browser.get(f"/api/auth/callback?scope=read_write&code={code}&state={asked['state']}")


def test_an_account_is_connected_read_and_disconnected(
    browser: TestClient, sandbox: SandboxProcess, database: WorkerDatabase
) -> None:
    account = sandbox.act("create_account", name="Nordlicht", email="owner@nordlicht.example", country="DE")["id"]
    assert consent(browser, sandbox, account).headers.get("location") == "/welcome"
    principal = resolve_session(browser.cookies["phantom_session"])
    assert principal is not None
    assert (principal.merchant_name, principal.email) == ("Nordlicht", "owner@nordlicht.example")

    with tenant_session(principal.merchant_id) as session:
        stripe = client_for(session, principal.merchant_id)
    assert stripe.retrieve_account()["id"] == account
    customer = sandbox.act("create_customer", account=account, email="customer@example.com")["id"]
    assert stripe.raw_get(f"/v1/customers/{customer}", {})["email"] == "customer@example.com"
    assert stripe.raw_get("/v1/invoices", {"status": "open", "expand": ["data.customer"]})["data"] == []
    with pytest.raises(StripeNotFoundError):
        stripe.retrieve_invoice("in_nobody")
    assert stripe.requests == 4

    sandbox.act("disconnect", account=account)
    with pytest.raises(StripeAuthenticationError):
        stripe.retrieve_account()
    # Connecting again: same merchant, same person, a credential that works.
    assert consent(browser, sandbox, account).headers.get("location") == "/welcome"
    with tenant_session(principal.merchant_id) as session:
        assert client_for(session, principal.merchant_id).retrieve_account()["id"] == account
    with psycopg.connect(database.admin_url) as connection:
        assert connection.execute("select count(*) from merchants").fetchone() == (1,)
