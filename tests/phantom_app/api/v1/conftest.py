"""Programs of merchants, with keys."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core import db
from core.clock import ManualClock
from phantom_app.api.app import create_api
from services.identity import api_keys
from services.identity.api_keys import ApiScope
from services.identity.permissions import Permission
from tests.support.factories import make_merchant

ALL = frozenset(ApiScope)


class Program:
    """A merchant's own program with a key."""

    def __init__(
        self, client: TestClient, scopes: frozenset[ApiScope] = ALL, *, path: str = "/api/v1/consents"
    ) -> None:
        self.merchant, self.path = make_merchant(), path
        with db.tenant_session(self.merchant) as session:
            made = api_keys.create(session, self.merchant, "Shop", scopes, "usr_1", permissions=frozenset(Permission))
        self.key, self.key_id, self.client = made.key, made.id, client

    def call(self, method: str, path: str = "", key: str | None = None, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self.key if key is None else key}"}
        return self.client.request(method, f"{self.path}{path}", headers=headers, **more)


@pytest.fixture
def client(database: object, redis_url: str, clock: ManualClock) -> Iterator[TestClient]:
    with TestClient(create_api()) as client:
        yield client


@pytest.fixture
def program(client: TestClient) -> Program:
    return Program(client)
