"""The API's description for programs: the public routes and no others, each with what it may answer."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from phantom_app.api.app import DESCRIPTION, create_api
from services.identity.api_keys import ApiScope


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    answer = TestClient(create_api()).get(DESCRIPTION)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_the_public_routes_are_named_and_no_others(described: dict[str, Any]) -> None:
    assert set(operations(described)) == {
        "GET /api/v1/consents",
        "POST /api/v1/consents",
        "POST /api/v1/consents/import",
        "GET /api/v1/consents/{consent_id}",
        "DELETE /api/v1/consents/{consent_id}",
        "DELETE /api/v1/customers/{customer_id}",
    }


def test_each_needs_a_key_and_says_how_it_refuses(described: dict[str, Any]) -> None:
    for name, operation in operations(described).items():
        assert operation["security"] == [{"API key": []}], name
        assert operation["summary"], name
        assert operation["description"], name
        for status in ("400", "401", "403", "404", "413", "429"):
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"], (name, status)
    assert described["components"]["securitySchemes"]["API key"]["scheme"] == "bearer"


def test_a_customer_that_is_asked_for_is_described_as_it_is_read(described: dict[str, Any]) -> None:
    (asked,) = (
        each["schema"]
        for each in operations(described)["GET /api/v1/consents"]["parameters"]
        if each["name"] == "customer_id"
    )
    assert (asked["maxLength"], asked["pattern"]) == (64, "^[A-Za-z0-9_]{0,64}$")


def test_erasing_names_the_scope_that_it_needs(described: dict[str, Any]) -> None:
    erase = operations(described)["DELETE /api/v1/customers/{customer_id}"]
    assert ApiScope.CUSTOMERS_ERASE in erase["description"]
