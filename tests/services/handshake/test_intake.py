"""Intake while PostgreSQL or Redis is away, slow or back; and whom it wakes."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from core import crash_points, queue
from services.handshake import intake as module
from services.handshake.errors import NotStoredError, SignatureError
from services.handshake.intake import Intake
from tests.services.handshake.support import body, connect_account, rows, signed
from tests.support import environment
from tests.support.proxy import proxied_system_url

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@contextlib.asynccontextmanager
async def running(announce: Callable[[], object] = lambda: None) -> AsyncIterator[Intake]:
    intake = await Intake(announce=announce).start()
    try:
        yield intake
    finally:
        await intake.stop()


async def accept(intake: Intake, identifier: str = "evt_1") -> str:
    raw = body(identifier)
    return await intake.accept(raw, signed(raw), connect=True)


def test_an_event_waits_two_milliseconds_for_company_at_most():
    """What a quiet moment's sender pays for a burst's; how a burst shares commits: tests/phantom_app/test_hot.py."""
    assert 0 < module.WINDOW_SECONDS <= 0.002


class TestAnnouncing:
    async def test_workers_are_woken_after_the_commit(self):
        connect_account()
        seen: list[int] = []
        woken = threading.Event()

        def announce() -> None:
            seen.append(len(rows("select id from scheduled_tasks")))
            woken.set()

        async with running(announce) as intake:
            await accept(intake)
            assert await asyncio.to_thread(woken.wait, 10)
        assert seen[0] == 1

    async def test_senders_have_their_answers_before_anybody_is_woken(self):
        """So a death at `intake.acknowledged` is one of which no sender learns."""
        connect_account()
        order: list[str] = []
        woken = threading.Event()

        def announce() -> None:
            order.append("woken")
            woken.set()

        with crash_points.reached(order.append):
            async with running(announce) as intake:
                order.append(await accept(intake))
                assert await asyncio.to_thread(woken.wait, 10)
        assert order == ["intake.committed", "stored", "intake.acknowledged", "woken"]

    async def test_workers_are_woken_when_intake_ends_in_its_pause(self):
        connect_account()
        told: list[bool] = []
        async with running(lambda: told.append(True)) as intake:
            await accept(intake)
            assert told == []
        assert told == [True]

    async def test_redis_away_does_not_matter_to_the_sender(self, monkeypatch):
        connect_account()
        with environment.changed(REDIS_URL="redis://127.0.0.1:1/0"):
            queue.disconnect()
            async with running(queue.announce_work) as intake:
                assert await accept(intake) == "stored"
        queue.disconnect()
        assert len(rows("select id from scheduled_tasks")) == 1


class TestPostgresAway:
    async def test_refused_at_once_and_accepted_again_when_it_is_back(self, monkeypatch):
        monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.3)
        connect_account()
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    assert await accept(intake, "evt_before") == "stored"
                    proxy.cut()
                    with pytest.raises(NotStoredError):
                        await accept(intake, "evt_during")
                    proxy.mend()
                    deadline = asyncio.get_running_loop().time() + 20
                    while True:
                        try:
                            await accept(intake, "evt_after")
                        except NotStoredError:
                            assert asyncio.get_running_loop().time() < deadline
                        else:
                            break
        assert [row["id"] for row in rows("select id from processed_events order by id")] == ["evt_after", "evt_before"]

    async def test_started_without_a_database(self, monkeypatch):
        monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.2)
        with environment.changed(DATABASE_SYSTEM_URL="postgresql://nobody:x@127.0.0.1:1/none"):
            async with running() as intake:
                with pytest.raises(NotStoredError):
                    await accept(intake)

    async def test_a_server_that_never_answers(self, monkeypatch):
        monkeypatch.setattr(module, "ACKNOWLEDGE_SECONDS", 0.3)
        connect_account()
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    await accept(intake, "evt_before")
                    proxy.hold()
                    with pytest.raises(NotStoredError):
                        await accept(intake, "evt_during")
                    assert intake.counts["refused"] == 1
                    proxy.cut()

    async def test_back_pressure_is_bounded(self, monkeypatch):
        monkeypatch.setattr(module, "ACKNOWLEDGE_SECONDS", 0.5)
        monkeypatch.setattr(module, "MAX_WAITING", 4)
        monkeypatch.setattr(module, "MAX_BATCH", 1)
        async with proxied_system_url() as (proxy, url):
            with environment.changed(DATABASE_SYSTEM_URL=url):
                async with running() as intake:
                    await accept(intake, "evt_before")
                    proxy.hold()
                    results = await asyncio.gather(
                        *(accept(intake, f"evt_{number}") for number in range(50)), return_exceptions=True
                    )
                    assert {type(result) for result in results} == {NotStoredError}
                    assert len(intake._waiting) <= 4
                    monkeypatch.setattr(module, "MAX_WAITING_BYTES", intake._bytes)
                    with pytest.raises(NotStoredError):
                        await accept(intake, "evt_bytes")
                    proxy.cut()


class TestForgeries:
    async def test_are_counted_and_do_not_fill_the_log(self, caplog):
        async with running() as intake:
            for _ in range(50):
                with pytest.raises(SignatureError):
                    await intake.accept(body(), "t=1,v1=" + "0" * 64, connect=True)
            assert intake.counts["bad_signature"] == 50
        assert 1 <= caplog.text.count("webhook.refused") <= 5
