"""A changed merchant refreshes the pages that show it, once a tick, and only those this worker holds."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis as redis_client

from core.queue import CHANGED_CHANNEL
from phantom_app import live, runtime


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    kept = (live._tabs, live._dirty, live._refreshing, live._late)
    for each in kept:
        each.clear()
    yield
    for each in kept:
        each.clear()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Events that were queued: (tab, handler). Tabs whose name starts with `gone` belong to no socket here."""
    events: list[tuple[str, str]] = []

    async def send(_app: Any, token: str, name: str, _data: Any) -> asyncio.Future[None]:
        events.append((token, name))
        handled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not token.startswith("slow"):
            handled.set_result(None)
        return handled

    monkeypatch.setattr(runtime, "send_event", send)
    monkeypatch.setattr(runtime, "owns_tab", lambda _app, token: not token.startswith("gone"))
    return events


APP: Any = SimpleNamespace()


def show(token: str, merchant: str) -> None:
    live._tabs[token] = live.Tab(merchant, f"{token}.refresh", {})


class TestRefresh:
    async def test_only_tabs_of_the_merchant(self, sent: list[tuple[str, str]]) -> None:
        show("a", "mer_1")
        show("b", "mer_2")
        live.mark_changed("mer_1")
        assert await live.refresh_changed(APP) == 1
        assert sent == [("a", "a.refresh")]

    async def test_a_burst_is_one_refresh(self, sent: list[tuple[str, str]]) -> None:
        show("a", "mer_1")
        for _ in range(50):
            live.mark_changed("mer_1")
        await live.refresh_changed(APP)
        await live.refresh_changed(APP)
        assert len(sent) == 1

    async def test_a_tab_that_is_still_at_its_last_one_is_left_to_finish_it(self, sent: list[tuple[str, str]]) -> None:
        show("slow", "mer_1")
        show("b", "mer_1")
        for _ in range(20):
            live.mark_changed("mer_1")
            await live.refresh_changed(APP)
        assert [sent.count((token, f"{token}.refresh")) for token in ("slow", "b")] == [1, 20]
        live._refreshing["slow"].set_result(None)
        assert await live.refresh_changed(APP) == 1  # what changed meanwhile
        assert await live.refresh_changed(APP) == 0

    async def test_one_that_left_during_its_refresh_is_forgotten(self, sent: list[tuple[str, str]]) -> None:
        show("slow", "mer_1")
        for _ in range(2):
            live.mark_changed("mer_1")
            await live.refresh_changed(APP)
        live.forget("slow")
        assert (live._refreshing, live._late) == ({}, set())

    async def test_tabs_that_left_are_forgotten(self, sent: list[tuple[str, str]]) -> None:
        show("gone", "mer_1")
        live.mark_changed("mer_1")
        assert await live.refresh_changed(APP) == 0
        assert live._tabs == {}

    async def test_everyone_after_an_outage(self, sent: list[tuple[str, str]]) -> None:
        show("a", "mer_1")
        show("b", "mer_2")
        live.mark_changed(live.EVERYONE)
        assert await live.refresh_changed(APP) == 2

    async def test_a_forgotten_tab_is_left_alone(self, sent: list[tuple[str, str]]) -> None:
        show("a", "mer_1")
        live.forget("a")
        live.mark_changed("mer_1")
        assert await live.refresh_changed(APP) == 0


class TestListen:
    async def test_what_is_published_is_marked(self, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        marked: asyncio.Queue[str] = asyncio.Queue()
        monkeypatch.setattr(live, "mark_changed", marked.put_nowait)
        task = asyncio.create_task(live.listen(redis_url))
        async with asyncio.timeout(5):
            assert await marked.get() == live.EVERYONE  # what was missed before the subscription
            with redis_client.Redis.from_url(redis_url) as client:
                client.ping()  # Redis has read the subscription, which was sent before this
                assert client.publish(CHANGED_CHANNEL, "mer_7") >= 1  # a server of another test may listen too
            assert await marked.get() == "mer_7"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
