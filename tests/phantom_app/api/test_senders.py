"""`/api/webhooks/resend`: only what is genuine is stored, once, before it is acknowledged."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from core import db
from core.clock import ManualClock
from core.config import settings
from jobs import runner
from models.work import ProcessedEvent, ScheduledTask
from phantom_app.api.app import create_api
from phantom_app.api.senders import LONGEST, RESEND_PATH, TWILIO_PATH
from sandbox.outbox.signing import svix_headers
from tests.support import environment


@pytest.fixture
def client(database: object, redis_url: str, clock: ManualClock) -> Iterator[TestClient]:
    with TestClient(create_api()) as client:
        yield client


def event(**changed: Any) -> dict[str, Any]:
    tags = {"phantom_message": "msg_1", "phantom_merchant": "mer_1"}
    return {"type": "email.delivered", "data": {"email_id": "re_1", "tags": tags}, **changed}


def post(client: TestClient, clock: ManualClock, body: bytes, identifier: str = "msg_a") -> Any:
    secret = settings().resend_webhook_secrets()[0]
    return client.post(
        RESEND_PATH, content=body, headers=svix_headers(secret, identifier, int(clock.now().timestamp()), body)
    )


def stored() -> list[ProcessedEvent]:
    with db.system_session() as session:
        return list(session.exec(select(ProcessedEvent)).all())


def test_it_is_stored_with_its_task_once(client: TestClient, clock: ManualClock) -> None:
    body = json.dumps(event()).encode()
    assert [post(client, clock, body).text for _ in range(3)] == ["stored", "ignored", "ignored"]

    (row,) = stored()
    assert (row.id, row.source, row.type, row.merchant_id) == ("resend:msg_a", "resend", "email.delivered", "mer_1")
    with db.system_session() as session:
        (task,) = session.exec(select(ScheduledTask)).all()
    assert (task.kind, task.merchant_id, task.payload) == ("handle_event", "mer_1", {"event_id": "resend:msg_a"})


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "email.opened"},
        {"type": "contact.created"},
        {"type": 5},
        {"data": {"tags": {}}},
        {"data": None},
        {"data": {"tags": {"phantom_merchant": "mer_1\u0000"}}},
        {"data": {"tags": {"phantom_merchant": "m" * 41}}},
    ],
)
def test_what_is_none_of_ours_is_acknowledged_and_not_stored(
    client: TestClient, clock: ManualClock, changed: dict[str, Any]
) -> None:
    answer = post(client, clock, json.dumps(event(**changed)).encode())
    assert (answer.status_code, answer.text) == (200, "ignored")
    assert stored() == []


def test_its_task_reads_it(client: TestClient, clock: ManualClock) -> None:
    post(client, clock, json.dumps(event()).encode())

    assert runner.run_due() == 1
    (row,) = stored()
    assert (row.outcome, row.payload) == ("unknown_message", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff"])
def test_rubbish_is_refused_even_when_signed(client: TestClient, clock: ManualClock, body: bytes) -> None:
    assert post(client, clock, body).status_code == 400


def test_unsigned_is_refused(client: TestClient) -> None:
    assert client.post(RESEND_PATH, content=json.dumps(event())).status_code == 400
    assert stored() == []


def test_too_large_is_refused(client: TestClient, clock: ManualClock) -> None:
    assert post(client, clock, b" " * (LONGEST + 1)).status_code == 413


def test_without_a_secret_there_is_no_endpoint(client: TestClient) -> None:
    with environment.changed(RESEND_WEBHOOK_SECRET=""):
        assert client.post(RESEND_PATH, content=b"{}").status_code == 404


@pytest.mark.parametrize("path", [RESEND_PATH, TWILIO_PATH, f"{RESEND_PATH}/nobody", f"{TWILIO_PATH}/nobody"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_a_refusal_is_a_problem_whatever_is_asked_for(client: TestClient, path: str, accept: str) -> None:
    """A program calls these, and logs what it is answered."""
    for answer in (client.post(path, content=b"{}", headers={"accept": accept}), client.get(path)):
        assert answer.status_code in (400, 404, 405)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
