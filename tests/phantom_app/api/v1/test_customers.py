"""`DELETE /api/v1/customers/{id}`: who may forget whom, once and for ever, and what is answered."""

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from core import clock, db
from models.audit import AuditLog
from models.ghost import FoundVia, GhostEvent, GhostTarget
from models.identity import Role
from models.presence import Presence
from phantom_app.api.v1 import callers
from services.identity import api_keys
from services.identity.api_keys import ApiScope
from services.identity.errors import PermissionDeniedError
from services.identity.permissions import ROLE_PERMISSIONS
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import presence
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.phantom_app.api.v1.conftest import Program
from tests.support.factories import make_merchant, raw_invoice

PATH = "/api/v1/customers"
ERASE = frozenset({ApiScope.CUSTOMERS_ERASE})


def see(merchant: str, *numbers: int, **changed: object) -> None:
    with db.tenant_session(merchant) as session:
        for number in numbers:
            facts = [parse_invoice(raw_invoice(number, **changed))]
            observe(session, merchant_context(session, merchant), facts, FoundVia.HUNT, clock.now())


def ghosts(merchant: str) -> list[GhostTarget]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(GhostTarget)).all())


@pytest.fixture
def program(client: TestClient) -> Program:
    return Program(client, ERASE, path=PATH)


class TestErase:
    def test_forgets_the_customer_and_keeps_who_asked(self, program: Program) -> None:
        see(program.merchant, 1)
        answer = program.call("DELETE", "/cus_1")
        assert answer.status_code == 200
        assert answer.json() == {"object": "customer", "id": "cus_1", "erased": True, "ghosts": 1}
        (ghost,) = ghosts(program.merchant)
        assert (ghost.customer_email, ghost.customer_name, ghost.amount_cents) == (None, None, 4900)
        with db.tenant_session(program.merchant) as session:
            (kept,) = session.exec(select(AuditLog).where(AuditLog.action == "recovery.customer_erased")).all()
        assert kept.actor_id == f"api_key:{program.key_id}"
        see(program.merchant, 2, customer={"id": "cus_1", "email": "again@example.com", "name": "Again"})
        assert len(ghosts(program.merchant)) == 1

    def test_twice_is_answered_the_same_and_done_once(self, program: Program) -> None:
        see(program.merchant, 1)
        first, second = (program.call("DELETE", "/cus_1") for _ in range(2))
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        with db.tenant_session(program.merchant) as session:
            assert len(session.exec(select(GhostEvent).where(GhostEvent.name == "purged")).all()) == 1
            assert len(session.exec(select(AuditLog).where(AuditLog.action == "recovery.customer_erased")).all()) == 1

    def test_of_somebody_who_was_only_seen(self, program: Program) -> None:
        with db.tenant_session(program.merchant) as session:
            presence.record(session, program.merchant, {"cus_seen": clock.now()}, clock.now())
        for _ in range(2):
            assert program.call("DELETE", "/cus_seen").json()["ghosts"] == 0
        with db.tenant_session(program.merchant) as session:
            assert session.exec(select(Presence)).all() == []

    @pytest.mark.parametrize("identifier", ["shop/42", "ada@shop.example", "4711"])
    def test_of_an_old_account_with_ids_of_its_own(self, program: Program, identifier: str) -> None:
        see(program.merchant, 1, customer={"id": identifier, "email": "ada@example.com", "name": "Ada"})
        assert program.call("DELETE", f"/{quote(identifier, safe='')}").json()["id"] == identifier
        assert ghosts(program.merchant)[0].customer_email is None


class TestRefused:
    @pytest.mark.parametrize("unknown", ["/cus_2", "/%00", "/cus_1%00", "/" + "c" * 65, "/", "/cus_1/x", "/%ff"])
    def test_a_customer_who_is_not_known_is_not_there_and_nothing_is_kept(self, program: Program, unknown: str) -> None:
        see(program.merchant, 1)
        answer = program.call("DELETE", unknown)
        assert (answer.status_code, answer.json()["code"]) == (404, "customer_not_found")
        assert answer.headers["content-type"] == "application/problem+json"
        assert ghosts(program.merchant)[0].customer_email is not None

    def test_another_merchants_customer_is_as_unknown(self, program: Program, client: TestClient) -> None:
        see(program.merchant, 1)
        assert Program(client, ERASE, path=PATH).call("DELETE", "/cus_1").status_code == 404
        assert ghosts(program.merchant)[0].customer_email is not None

    @pytest.mark.parametrize("scopes", [frozenset({scope}) for scope in ApiScope if scope not in ERASE])
    def test_a_key_for_something_else(self, client: TestClient, scopes: frozenset[ApiScope]) -> None:
        other = Program(client, scopes, path=PATH)
        see(other.merchant, 1)
        answer = other.call("DELETE", "/cus_1")
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
        assert ghosts(other.merchant)[0].customer_email is not None

    @pytest.mark.parametrize("key", ["", "phk_" + "0" * 40])
    def test_no_key_that_works(self, program: Program, key: str) -> None:
        assert program.call("DELETE", "/cus_1", key=key).status_code == 401

    def test_more_calls_than_a_key_may_make(self, program: Program) -> None:
        answers = [program.call("DELETE", "/cus_1") for _ in range(callers.CALLS_AT_ONCE + 1)]
        assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "1")


class TestKeys:
    @pytest.mark.parametrize("role", Role)
    def test_only_an_owner_makes_one_that_erases(self, database: object, role: Role) -> None:
        merchant, permissions = make_merchant(), ROLE_PERMISSIONS[role]
        with db.tenant_session(merchant) as session:
            if role is Role.OWNER:
                assert api_keys.create(session, merchant, "Privacy", ERASE, "usr_1", permissions=permissions).key
            else:
                with pytest.raises(PermissionDeniedError):
                    api_keys.create(session, merchant, "Privacy", ERASE, "usr_1", permissions=permissions)
                assert api_keys.keys_of(session, merchant) == []
