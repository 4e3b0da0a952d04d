"""The private names of Reflex that PHANTOM uses still mean what they meant."""

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio
import reflex as rx
from reflex.app import EventNamespace
from reflex.istate.manager.redis import StateManagerRedis
from reflex.istate.manager.token import StateToken
from reflex.utils.token_manager import LocalTokenManager, SocketRecord
from reflex_base.environment import environment
from reflex_base.event.processor import BaseStateEventProcessor

from phantom_app import runtime
from phantom_app.guard import TabOwner
from phantom_app.phantom_app import app
from phantom_app.state.dashboard import Dashboard
from phantom_app.state.programs import Programs


class TestStart:
    def test_use_build_sets_what_reflex_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("__REFLEX_SKIP_COMPILE", "__REFLEX_MOUNT_FRONTEND_COMPILED_APP", "REFLEX_ENV_MODE"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        monkeypatch.setenv("REFLEX_WEB_WORKDIR", "")
        monkeypatch.setenv("REFLEX_REDIS_URL", "")
        runtime.use_build(tmp_path, "redis://127.0.0.1:1/0")
        assert environment.REFLEX_SKIP_COMPILE.get() is True
        assert environment.REFLEX_MOUNT_FRONTEND_COMPILED_APP.get() is True
        assert environment.REFLEX_WEB_WORKDIR.get() == tmp_path

    def test_prepare_for_fork_runs(self) -> None:
        runtime.prepare_for_fork()

    def test_the_stamp_of_a_build_is_compared_with_this_schema(self, tmp_path: Path) -> None:
        (tmp_path / "backend").mkdir()
        (tmp_path / "backend" / "phantom.json").write_text(json.dumps({"schema": runtime.state_schema()}))
        assert runtime.built_schema(tmp_path) == runtime.state_schema()
        assert len(runtime.state_schema()) == 32


class TestTabs:
    def manager(self) -> LocalTokenManager:
        manager = LocalTokenManager()
        manager.token_to_socket["ours"] = SocketRecord(instance_id=manager.instance_id, sid="s1")
        manager.token_to_socket["foreign"] = SocketRecord(instance_id="another worker", sid="s2")
        return manager

    def test_owns_tab(self) -> None:
        fake: Any = SimpleNamespace(event_namespace=SimpleNamespace(_token_manager=self.manager()))
        assert runtime.owns_tab(fake, "ours")
        assert not runtime.owns_tab(fake, "foreign")
        assert not runtime.owns_tab(fake, "gone")

    def test_the_real_namespace_has_such_a_manager(self) -> None:
        assert isinstance(app.event_namespace, EventNamespace)
        assert not runtime.owns_tab(app, "gone")

    async def test_send_event_queues_an_event_of_the_tab(self) -> None:
        sent: list[Any] = []

        async def enqueue(token: str, event: Any) -> None:
            sent.append((token, event))

        fake: Any = SimpleNamespace(event_processor=SimpleNamespace(enqueue=enqueue))
        await runtime.send_event(fake, "tab", "some.handler", {"headers": {}})
        [(token, event)] = sent
        assert (token, event.name, event.router_data) == ("tab", "some.handler", {"headers": {}})
        assert callable(BaseStateEventProcessor.enqueue)


class TestTabStates:
    @pytest.fixture
    async def states(self, redis_url: str) -> AsyncIterator[runtime.TabStates]:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            states = runtime.TabStates(
                redis=client, token_expiration=60, lock_expiration=10_000, lock_warning_threshold=1_000
            )
            yield states
            await states.close()

    async def test_an_event_cancelled_at_any_moment_leaves_no_lock(self, states: runtime.TabStates) -> None:
        for step in range(1_000):
            token = StateToken(ident=f"tab{step}", cls=dict)
            event = asyncio.create_task(self.change(states, token))
            for _ in range(step):
                await asyncio.sleep(0)
            was_done = event.done()
            event.cancel()
            await asyncio.gather(event, return_exceptions=True)
            async with asyncio.timeout(2):  # a lock that was left behind lasts ten seconds
                await self.change(states, token)
            if was_done:
                break
        assert was_done
        assert step > 3

    async def test_a_failed_event_gives_its_lock_back(self, states: runtime.TabStates) -> None:
        token = StateToken(ident="tab", cls=dict)
        with pytest.raises(ZeroDivisionError):
            async with states.modify_state(token):
                raise ZeroDivisionError
        async with asyncio.timeout(2):
            await self.change(states, token)

    async def test_a_worker_takes_them_over(self, states: runtime.TabStates) -> None:
        given = StateManagerRedis(redis=states.redis, lock_expiration=7_000)
        served: Any = SimpleNamespace(_state_manager=given)
        runtime.keep_tab_states(served)
        taken = served._state_manager
        assert (type(taken), taken.redis, taken.lock_expiration) == (runtime.TabStates, states.redis, 7_000)
        await given.close()

    @staticmethod
    async def change(states: runtime.TabStates, token: StateToken[dict[str, int]]) -> None:
        async with states.modify_state(token) as state:
            state["changed"] = 1


class TestNames:
    def test_handler_name_is_what_a_browser_sends(self) -> None:
        assert runtime.handler_name(Dashboard.refresh) in runtime.declared_handlers()

    def test_hydrate_event_is_a_known_handler(self) -> None:
        assert runtime.hydrate_event().name in runtime.HYDRATE

    def test_put_quietly_changes_what_is_kept_and_tells_nobody(self) -> None:
        state = Programs(_reflex_internal_init=True)
        state.shown = "pk_secret"
        state._clean()
        runtime.put_quietly(state, "shown", "")
        assert (state.shown, state.dirty_vars) == ("", set())
        assert b"pk_secret" not in pickle.dumps(state.__getstate__())
        state.shown = ""  # and what is said aloud is told, though nothing changed here
        assert "shown" in state.dirty_vars

    def test_clear_tab_resets_loaded_states(self) -> None:
        root = rx.State(_reflex_internal_init=True)  # type: ignore[call-arg]
        owner = root.get_substate(TabOwner.get_full_name().split("."))
        owner._owner = "somebody"
        runtime.clear_tab(owner)
        assert owner._owner == ""
