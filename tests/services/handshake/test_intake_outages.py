"""Intake while its servers are full, slow, locked, exhausted or silent, while the clock jumps, and how it gets well."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from core import queue
from phantom_app.api import hot
from services.handshake import intake as module
from services.handshake import repository
from services.handshake.errors import NotStoredError, SignatureError
from services.handshake.intake import Intake
from tests.services.handshake.support import CONNECT_SECRET, body, connect_account, rows, signed
from tests.support import environment
from tests.support.proxy import proxied_system_url, standing_proxy

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock", "account")


@pytest.fixture
def account(database) -> None:
    connect_account()


@contextlib.asynccontextmanager
async def running(announce: Callable[[], object] = lambda: None) -> AsyncIterator[Intake]:
    intake = await Intake(announce=announce).start()
    try:
        yield intake
    finally:
        await intake.stop()


def accept(intake: Intake, identifier: str = "evt_1") -> Awaitable[str]:
    raw = body(identifier)
    return intake.accept(raw, signed(raw), connect=True)


async def stored_soon(intake: Intake, identifier: str) -> None:
    """Deliver as Stripe does: again and again until it is taken."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(NotStoredError):
                assert await accept(intake, identifier) == "stored"
                return


def stored() -> list[str]:
    return [row["id"] for row in rows("select id from processed_events order by id")]


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody holds the table in a transaction and does nothing."""
    with psycopg.connect(url) as holder:
        holder.execute("lock table processed_events in share mode")
        yield
        holder.rollback()


class TestFullDisk:
    """SQLSTATE 53100 comes with a connection that stays usable: each delivery is refused and none half stored."""

    @pytest.fixture
    def disk(self, monkeypatch) -> dict[str, bool]:
        state, store = {"full": False}, repository.store

        async def full_or_store(connection, *arguments):
            if state["full"]:
                # raised by PostgreSQL itself, so that driver, pool and our own handling are the real ones
                await connection.execute("do $$ begin raise exception 'disk is full' using errcode = '53100'; end $$")
            return await store(connection, *arguments)

        monkeypatch.setattr(repository, "store", full_or_store)
        return state

    async def test_refused_and_taken_again_without_a_restart(self, disk):
        async with running() as intake:
            await accept(intake, "evt_before")
            disk["full"] = True
            answers = await asyncio.gather(*(accept(intake, f"evt_{n}") for n in range(20)), return_exceptions=True)
            assert {type(answer) for answer in answers} == {NotStoredError}
            assert stored() == ["evt_before"]
            disk["full"] = False
            assert await accept(intake, "evt_0") == "stored"
            assert (intake.counts["stored"], intake.counts["refused"]) == (2, 20)
        assert stored() == ["evt_0", "evt_before"]

    async def test_is_told_with_its_sqlstate(self, disk, caplog):
        disk["full"] = True
        async with running() as intake:
            with pytest.raises(NotStoredError):
                await accept(intake)
        [record] = [record for record in caplog.records if record.message == "webhook.not_stored"]
        assert (record.facts["error"], record.facts["state"]) == (errors.DiskFull.__name__, "53100")


class TestSlowPostgres:
    async def test_a_lock_held_by_an_idle_transaction_refuses_in_time_and_heals(self, database, monkeypatch):
        monkeypatch.setattr(module, "ACKNOWLEDGE_SECONDS", 0.4)
        async with running() as intake:
            await accept(intake, "evt_before")
            with locked(database.admin_url):
                async with asyncio.timeout(5):
                    with pytest.raises(NotStoredError):
                        await accept(intake, "evt_during")
            await stored_soon(intake, "evt_after")
        # what was refused had been queued, and nobody is harmed by it: Stripe sends it again and it is known
        assert {"evt_after", "evt_before"} <= set(stored()) <= {"evt_after", "evt_before", "evt_during"}

    async def test_the_statement_itself_is_ended_by_the_server(self, database, monkeypatch, caplog):
        monkeypatch.setattr(module, "STATEMENT_MILLISECONDS", 200)
        async with running() as intake:
            with locked(database.admin_url), pytest.raises(NotStoredError):
                await accept(intake, "evt_during")
            assert await accept(intake, "evt_after") == "stored"
        assert stored() == ["evt_after"]
        [record] = [record for record in caplog.records if record.message == "webhook.not_stored"]
        assert record.facts["state"] == "57014"

    async def test_slow_answers_are_waited_for(self):
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    await accept(intake, "evt_before")
                    proxy.slow(0.1)
                    answers = await asyncio.gather(*(accept(intake, f"evt_{n}") for n in range(50)))
                    assert set(answers) == {"stored"}
                    proxy.mend()

    async def test_no_connection_left_for_us(self, database, monkeypatch):
        """`too_many_connections`: the server is there and takes nobody in."""
        monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.3)
        limit = f"alter database {database.name} connection limit"  # a login's limit would hold for all test processes
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute(f"{limit} 0".encode())
            try:
                async with running() as intake:
                    with pytest.raises(NotStoredError):
                        await accept(intake, "evt_during")
                    owner.execute(f"{limit} -1".encode())
                    await stored_soon(intake, "evt_after")
            finally:
                owner.execute(f"{limit} -1".encode())
        assert "evt_after" in stored()


class TestLostAnswers:
    async def test_a_commit_whose_answer_is_lost_is_tried_again_and_stored_once(self):
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    await accept(intake, "evt_before")
                    proxy.cut_answers(1, lambda data: b"evt_lost" in data)
                    assert await accept(intake, "evt_lost") == "stored"
                    assert proxy.cuts == 1
        assert stored() == ["evt_before", "evt_lost"]
        assert len(rows("select id from scheduled_tasks")) == 2


class TestSilentRedis:
    async def test_delays_no_acknowledgement(self, redis_url):
        """It accepts connections and never answers. Announcing waits in a thread, senders do not."""
        with standing_proxy(redis_url, 6379) as proxy, environment.changed(REDIS_URL=proxy.url(redis_url)):
            queue.disconnect()
            proxy.hold()
            begun, released = threading.Event(), threading.Event()

            def announce() -> None:
                begun.set()
                assert queue.announce_work() is False
                assert released.wait(10)  # from here on an announcement that never ends

            async with running(announce) as intake:
                await accept(intake, "evt_first")
                assert await asyncio.to_thread(begun.wait, 10)
                answers = await asyncio.gather(*(accept(intake, f"evt_{n}") for n in range(200)))
                assert set(answers) == {"stored"}
                released.set()
            proxy.mend()
        queue.disconnect()
        assert len(stored()) == 201


class TestRolling:
    async def test_both_secrets_are_good_while_rolling_and_the_old_one_no_longer(self):
        def signed_with(secret: str, identifier: str) -> tuple[bytes, str]:
            raw = body(identifier)
            return raw, signed(raw, secret)

        async with running() as intake:
            with environment.changed(STRIPE_CONNECT_WEBHOOK_SECRET=f"whsec_new, {CONNECT_SECRET}"):
                assert await intake.accept(*signed_with("whsec_new", "evt_new"), connect=True) == "stored"
                assert await intake.accept(*signed_with(CONNECT_SECRET, "evt_old"), connect=True) == "stored"
                raw = body("evt_both")
                both = f"{signed(raw, 'whsec_unknown')},{signed(raw, 'whsec_new').partition(',')[2]}"
                assert await intake.accept(raw, both, connect=True) == "stored"
            with environment.changed(STRIPE_CONNECT_WEBHOOK_SECRET="whsec_new"), pytest.raises(SignatureError):
                await intake.accept(*signed_with(CONNECT_SECRET, "evt_late"), connect=True)
        assert stored() == ["evt_both", "evt_new", "evt_old"]


class TestClock:
    @pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)], ids=["back", "ahead"])
    async def test_a_clock_that_jumps_loses_and_doubles_nothing(self, clock, jump):
        async with running() as intake:
            raw = body("evt_1")
            header = signed(raw)
            assert await intake.accept(raw, header, connect=True) == "stored"
            clock.advance(jump)
            with pytest.raises(SignatureError):  # by our clock it is an hour off; Stripe sends it again
                await intake.accept(raw, header, connect=True)
            assert await accept(intake, "evt_1") == "stored"
            assert await accept(intake, "evt_2") == "stored"
            clock.advance(-jump)
            assert await intake.accept(raw, header, connect=True) == "stored"
        assert stored() == ["evt_1", "evt_2"]
        assert len(rows("select id from scheduled_tasks")) == 2

    async def test_waiting_goes_by_a_clock_that_cannot_jump(self, clock, monkeypatch):
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    await accept(intake, "evt_before")
                    proxy.hold()
                    waiting = asyncio.ensure_future(accept(intake, "evt_during"))
                    await asyncio.sleep(0)
                    clock.advance(timedelta(hours=1))
                    proxy.mend()
                    assert await waiting == "stored"


class TestBatches:
    async def test_large_events_do_not_all_travel_together(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_BATCH_BYTES", 100_000)
        sizes: list[int] = []
        store = repository.store

        async def noted(connection, given, *arguments):
            sizes.append(sum(len(row[4] or b"") for row in given))
            return await store(connection, given, *arguments)

        monkeypatch.setattr(repository, "store", noted)
        async with running() as intake:
            raws = [body(f"evt_{n}", data={"object": {"note": "x" * 40_000}}) for n in range(12)]
            await asyncio.gather(*(intake.accept(raw, signed(raw), connect=True) for raw in raws))
        assert len(stored()) == 12
        assert max(sizes) < 150_000

    async def test_a_failed_commit_answers_all_who_wait(self, monkeypatch):
        """Behind a commit that failed the rest would only wait for the same."""
        monkeypatch.setattr(module, "MAX_BATCH", 2)
        tried = 0

        async def failing(*_arguments):
            nonlocal tried
            tried += 1
            raise errors.DiskFull

        monkeypatch.setattr(repository, "store", failing)
        async with running() as intake:
            answers = await asyncio.gather(*(accept(intake, f"evt_{n}") for n in range(40)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {NotStoredError}
        assert tried <= 4

    async def test_an_error_nobody_foresaw_answers_its_batch_and_the_next_is_stored(self, monkeypatch, caplog):
        store = repository.store

        async def broken(*_arguments):
            raise RuntimeError("a bug")

        async with running() as intake:
            monkeypatch.setattr(repository, "store", broken)
            with pytest.raises(NotStoredError):
                await accept(intake)
            monkeypatch.setattr(repository, "store", store)
            assert await accept(intake) == "stored"
        assert "webhook.committer_died" in caplog.text


class TestOverHttp:
    async def test_what_is_refused_says_when_to_come_again(self, monkeypatch):
        monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.2)
        sent: list[dict] = []

        async def receive():
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message):
            sent.append(message)

        raw = body()
        headers = [(b"stripe-signature", signed(raw).encode())]
        with environment.changed(DATABASE_SYSTEM_URL="postgresql://nobody:x@127.0.0.1:1/none"):
            async with hot.lifespan():
                await hot.Webhook(connect=True)({"type": "http", "headers": headers}, receive, send)
        assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"5")
        assert b"not_stored" in sent[1]["body"]

    async def test_a_body_that_never_ends_its_way_is_not_an_event(self, database):
        sent: list[dict] = []
        pieces = [{"type": "http.request", "body": body()[:10], "more_body": True}, {"type": "http.disconnect"}]

        async def receive():
            return pieces.pop(0)

        async def send(message):
            sent.append(message)

        async with hot.lifespan():
            await hot.Webhook(connect=True)({"type": "http", "headers": []}, receive, send)
        assert (sent, stored()) == ([], [])
