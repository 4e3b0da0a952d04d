"""A browser without a screen, and a Stripe to connect to."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from core import config, ids
from core.db import tenant_session
from models.identity import Role
from phantom_app.api.app import create_api
from services.identity import people
from tests.phantom_app.api.fake_stripe import FakeStripe, in_stripes_place

with warnings.catch_warnings():
    # Starlette would like httpx's successor, which nothing else here needs.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"


@pytest.fixture
def stripe() -> Iterator[FakeStripe]:
    with in_stripes_place() as fake:
        yield fake


@pytest.fixture(scope="module")
def api() -> FastAPI:
    return create_api()


Browse = Callable[..., TestClient]


@pytest.fixture
def browse(database: Any, redis_url: str, api: FastAPI) -> Iterator[Browse]:
    """Opens browsers: each with cookies of its own, following no redirect."""
    with contextlib.ExitStack() as stack:

        def open_browser(app: FastAPI | None = None, **headers: str) -> TestClient:
            client = TestClient(
                app or api,
                base_url=config.settings().public_url,
                follow_redirects=False,
                raise_server_exceptions=False,
                headers={"accept": "text/html", "sec-fetch-site": "same-origin", **headers},
            )
            stack.callback(client.close)
            return client

        yield open_browser


@pytest.fixture
def browser(browse: Browse) -> TestClient:
    return browse()


@pytest.fixture
def person(database: Any) -> tuple[str, str]:
    """The email of an owner, whose password is `PASSWORD`, and their merchant's id."""
    return make_person("ada@merchant.example")


def make_person(email: str, role: Role = Role.OWNER) -> tuple[str, str]:
    merchant_id = ids.new_id("mer")
    with tenant_session(merchant_id) as session:
        user_id = people.create_person(session, email=email, name="Ada", password=PASSWORD)
        people.provision_merchant(session, merchant_id, user_id, "Merchant")
        people.add_member(session, merchant_id, user_id, role)
    return email, merchant_id


def sign_in(client: TestClient, email: str, **more: str) -> Any:
    return client.post("/auth/sign-in", data={"email": email, "password": PASSWORD, **more})
