"""The webhook routes over HTTP: what each sender is answered, and what is in the database then."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from starlette.applications import Starlette

from core import config
from phantom_app.api import bodies, hot
from tests.services.handshake.support import (
    ACCOUNT,
    CONNECT_SECRET,
    MERCHANT,
    PLATFORM_SECRET,
    body,
    connect_account,
    event,
    rows,
    signed,
)
from tests.support import environment

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with hot.lifespan():
        transport = httpx.ASGITransport(Starlette(routes=hot.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://phantom.test") as opened:
            yield opened


async def post(client, raw, *, path=hot.CONNECT_PATH, secret=CONNECT_SECRET, **headers):
    given = {"stripe-signature": signed(raw, secret), **headers}
    return await client.post(path, content=raw, headers=given)


async def queued(intake):
    """Until the delivery has been read and waits for its commit."""
    while not intake._waiting:  # noqa: ASYNC110  # only the loop's own turns are waited for
        await asyncio.sleep(0)


def events():
    return rows("select * from processed_events order by id")


def tasks():
    return rows("select * from scheduled_tasks order by id")


class TestStored:
    async def test_a_genuine_event_is_stored_with_its_task_before_the_answer(self, client, clock):
        connect_account()
        raw = body()
        answer = await post(client, raw)
        assert answer.status_code == 200
        [stored] = events()
        assert (stored["type"], stored["account"], stored["merchant_id"]) == (
            "invoice.payment_failed",
            ACCOUNT,
            MERCHANT,
        )
        assert (bytes(stored["payload"]), stored["handled_at"], stored["received_at"]) == (raw, None, clock.now())
        [task] = tasks()
        assert (task["kind"], task["key"], task["merchant_id"]) == ("handle_event", "event:evt_1", MERCHANT)
        assert (task["payload"], task["state"], task["run_at"]) == ({"event_id": "evt_1"}, "pending", clock.now())

    async def test_platform_endpoint_has_its_own_secret(self, client):
        connect_account()
        assert (await post(client, body(), path=hot.PATH)).status_code == 400
        assert (await post(client, body(), path=hot.PATH, secret=PLATFORM_SECRET)).status_code == 200
        assert len(events()) == 1

    async def test_duplicates_in_parallel_make_one_task(self, client):
        connect_account()
        raws = [body(f"evt_{number % 7}") for number in range(140)]
        answers = await asyncio.gather(*(post(client, raw) for raw in raws))
        assert {answer.status_code for answer in answers} == {200}
        assert (len(events()), len(tasks())) == (7, 7)

    async def test_a_duplicate_of_a_handled_event_is_acknowledged_and_changes_nothing(self, client):
        connect_account()
        await post(client, body())
        rows("update processed_events set handled_at = received_at, outcome = 'found', payload = null returning id")
        rows("delete from scheduled_tasks returning id")
        assert (await post(client, body())).status_code == 200
        assert (events()[0]["outcome"], tasks()) == ("found", [])

    async def test_an_unknown_account_is_stored_without_payload_or_task(self, client):
        assert (await post(client, body())).status_code == 200
        [stored] = events()
        assert (stored["outcome"], stored["payload"], stored["merchant_id"]) == ("unknown_account", None, None)
        assert stored["handled_at"] is not None
        assert tasks() == []

    @pytest.mark.parametrize("account", [None, "absent"])
    async def test_no_account_is_an_unknown_one(self, client, account):
        given = event()
        given["account"] = account
        if account == "absent":
            del given["account"]
        assert (await post(client, json.dumps(given).encode())).status_code == 200
        assert events()[0]["outcome"] == "unknown_account"

    async def test_an_unknown_type_is_stored_as_ignored(self, client):
        connect_account()
        assert (await post(client, body(kind="climate.order.created"))).status_code == 200
        assert (events()[0]["outcome"], events()[0]["payload"], tasks()) == ("ignored", None, [])

    async def test_a_live_event_on_a_test_platform_is_answered_and_not_kept(self, client):
        connect_account()
        assert (await post(client, body(livemode=True))).status_code == 200
        assert (events(), hot._intakes[0].counts["wrong_mode"]) == ([], 1)

    async def test_a_test_event_on_a_live_platform_is_answered_and_not_kept(self, client):
        connect_account()
        with environment.changed(STRIPE_SECRET_KEY="sk_live_platform"):
            assert (await post(client, body())).status_code == 200
        assert events() == []

    @pytest.mark.parametrize(
        "name",
        ["NUL \x00 inside", "lone surrogate \ud800", "quote ' and \\", "<b>\u2028", "x" * 100_000],
        ids=["nul", "surrogate", "quotes", "markup", "long"],
    )
    async def test_hostile_texts_are_stored_as_they_came(self, client, name):
        connect_account()
        raw = body(data={"object": {"customer_name": name}})
        assert (await post(client, raw)).status_code == 200
        assert bytes(events()[0]["payload"]) == raw

    async def test_a_burst_shares_commits(self, client):
        connect_account()
        answers = await asyncio.gather(*(post(client, body(f"evt_{number:03}")) for number in range(300)))
        assert {answer.status_code for answer in answers} == {200}
        assert (len(events()), len(tasks())) == (300, 300)
        assert len(rows("select distinct xmin::text from processed_events")) < 100


class TestRefused:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"not json",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"text"',
            b"12",
            b"{}",
            b'{"id": "evt_1"}',
            b'{"type": "invoice.paid"}',
            b'{"id": 1, "type": "invoice.paid"}',
            b'{"id": "", "type": "invoice.paid"}',
            b'{"id": "evt_1", "type": null}',
            b'{"id": "evt_1", "type": "invoice.paid", "account": 7}',
            b'{"id": "evt\\u0000", "type": "invoice.paid"}',
            b'{"id": "evt_\\ud800", "type": "invoice.paid"}',
            b'{"id": "evt \xc3\xa9", "type": "invoice.paid"}',
            b'{"id": "' + b"e" * 256 + b'", "type": "invoice.paid"}',
            b"[" * 100_000,
            b'{"id": "evt_1", "type": "invoice.paid", "n": ' + b"1" * 5000 + b"}",
            b'{"id": "evt_1", "type": "invoice.paid", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        ],
        ids=lambda raw: repr(raw[:40]),
    )
    async def test_signed_bodies_that_are_no_events(self, client, raw):
        answer = await post(client, raw)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_an_event")
        assert events() == []

    @pytest.mark.parametrize(
        "signature",
        ["", "nonsense", "t=1,v1=" + "0" * 64, "t=\u00e9,v1=\u00fc"],
        ids=["none", "nonsense", "stale", "odd"],
    )
    async def test_unsigned(self, client, signature):
        raw = body()
        answer = await client.post(
            hot.CONNECT_PATH, content=raw, headers={"stripe-signature": signature.encode("latin-1")}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:phantom:problem:bad_signature"
        assert events() == []

    async def test_two_signature_headers(self, client):
        raw = body()
        twice = [("stripe-signature", signed(raw))] * 2
        assert (await client.post(hot.CONNECT_PATH, content=raw, headers=twice)).status_code == 400

    async def test_an_endpoint_without_a_secret_is_not_there(self, client):
        raw = body()
        with environment.changed(STRIPE_CONNECT_WEBHOOK_SECRET=" , "):
            assert config.settings().webhook_secrets(connect=True) == ()
            assert (await post(client, raw, secret="")).status_code == 404
        assert events() == []

    async def test_another_method(self, client):
        refused = await client.get(hot.CONNECT_PATH)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (refused.headers["content-type"], refused.json()["status"]) == ("application/problem+json", 405)

    async def test_too_large_by_its_own_word(self, client):
        answer = await client.post(hot.CONNECT_PATH, content=b"x", headers={"content-length": str(hot.MAX_BODY + 1)})
        assert answer.status_code == 413

    async def test_too_large_without_a_word(self, client):
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 64 * hot.MAX_BODY:
                sent += 65536
                yield b"x" * 65536

        answer = await client.post(hot.CONNECT_PATH, content=endless(), headers={"stripe-signature": "t=1"})
        assert answer.status_code == 413
        assert events() == []

    async def test_a_body_that_drips(self, client, monkeypatch):
        """Each piece is in time, all of them together are not."""
        monkeypatch.setattr(bodies, "SECONDS", 0.1)
        monkeypatch.setattr(bodies, "LOOK_SECONDS", 0.01)
        sent = 0

        async def dripping() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield b"x"
                await asyncio.sleep(0.01)

        async with asyncio.timeout(10):
            answer = await client.post(hot.CONNECT_PATH, content=dripping(), headers={"stripe-signature": "t=1"})
        assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")
        assert sent > 1

    async def test_a_body_that_never_comes(self, client, monkeypatch):
        monkeypatch.setattr(bodies, "SECONDS", 0.05)
        monkeypatch.setattr(bodies, "LOOK_SECONDS", 0.01)

        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        async with asyncio.timeout(10):
            assert (await client.post(hot.CONNECT_PATH, content=nothing())).status_code == 408
        assert not bodies._reads._until

    async def test_just_small_enough(self, client):
        connect_account()
        padding = "x" * (hot.MAX_BODY - len(body(data={"object": {"note": ""}})))
        raw = body(data={"object": {"note": padding}})
        assert len(raw) == hot.MAX_BODY
        assert (await post(client, raw)).status_code == 200


class TestOutages:
    async def test_killed_connections_are_replaced_without_a_refusal(self, client, database):
        connect_account()
        await post(client, body("evt_before"))
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'phantom-intake' and datname = current_database()"
            )
        answers = await asyncio.gather(*(post(client, body(f"evt_{number}")) for number in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(events()) == 21

    async def test_a_client_that_goes_away_loses_nothing(self, client):
        connect_account()
        given_up = asyncio.create_task(post(client, body("evt_gone")))
        await queued(hot._intakes[0])
        given_up.cancel()
        assert (await post(client, body("evt_stays"))).status_code == 200
        assert [stored["id"] for stored in events()] == ["evt_gone", "evt_stays"]

    async def test_what_was_accepted_is_committed_at_the_end(self, database):
        connect_account()
        async with hot.lifespan():
            intake = hot._intakes[0]
            raw = body()
            waiting = asyncio.create_task(intake.accept(raw, signed(raw), connect=True))
            await queued(intake)
        assert await waiting == "stored"
        assert len(events()) == 1
