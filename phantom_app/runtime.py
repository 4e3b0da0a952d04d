"""Every private name of Reflex that PHANTOM leans on, and nothing else.

Reflex 0.10.1 has no public way to start without compiling, to know which worker owns a tab, or to queue an event
for a tab. Each function here has a test, so that an upgrade that moves a name fails there and not in production.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import reflex as rx
from reflex.istate.manager.redis import StateManagerRedis
from reflex.istate.manager.token import StateToken
from reflex.state import BaseState
from reflex_base import constants
from reflex_base.environment import environment
from reflex_base.event import Event, EventHandler
from reflex_base.registry import RegistrationContext
from reflex_base.utils import serializers
from reflex_base.utils.format import format_event_handler

ROOT = "reflex___state____state."
HYDRATE = frozenset({ROOT + "hydrate", ROOT + "hydrate_and_load"})
FRAMEWORK_HANDLERS = HYDRATE | {
    # every handler of the framework that a page needs. `setvar` is deliberately not among them: it calls any
    # `set_*` method of a state by name
    ROOT + "set_is_hydrated",
    ROOT + "reflex___state____on_load_internal_state.on_load_internal",
    ROOT + "reflex___state____on_load_internal_state.set_is_hydrated",
    ROOT + "reflex___state____update_vars_internal_state.update_vars_internal",
    ROOT + "reflex___state____frontend_event_exception_state.handle_frontend_exception",
}


def use_build(build: Path, redis_url: str) -> None:
    """Serve a finished build: no compiling, static files mounted, production mode. Call before importing the app."""
    environment.REFLEX_SKIP_COMPILE.set(True)
    environment.REFLEX_MOUNT_FRONTEND_COMPILED_APP.set(True)
    environment.REFLEX_ENV_MODE.set(constants.Env.PROD)
    environment.REFLEX_WEB_WORKDIR.set(build)
    # rx.Config reads its overrides from the environment only; workers inherit it
    os.environ["REFLEX_REDIS_URL"] = redis_url


@dataclasses.dataclass
class TabStates(StateManagerRedis):
    """The states of tabs in Redis, with locks that a cancelled event cannot leave behind.

    A navigation cancels what the page before it still loads. Reflex asks Redis for a tab's lock and notes that it has
    it in two steps; an event cancelled between them left a lock that nobody held and that only its expiry ended, so
    that the next page stood empty for ten seconds. Here taking and giving back go on to their end, whatever becomes
    of who asked.
    """

    _under_way: set["asyncio.Task[Any]"] = dataclasses.field(default_factory=set, init=False)

    @contextlib.asynccontextmanager
    async def _lock(self, token: StateToken[Any], event_name: str | None = None) -> AsyncIterator[bytes]:
        lock = super()._lock(token, event_name)
        taking = self._start(lock.__aenter__())
        try:
            lock_id = await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._start(self._give_back(taking, lock))
            raise
        try:
            yield lock_id
        finally:
            await asyncio.shield(self._start(lock.__aexit__(*sys.exc_info())))

    async def _give_back(
        self, taking: "asyncio.Task[bytes]", lock: contextlib.AbstractAsyncContextManager[bytes]
    ) -> None:
        await taking
        await lock.__aexit__(None, None, None)

    def _start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


def keep_tab_states(app: rx.App) -> None:
    """Let a worker keep its tabs' states with `TabStates`; before the app's lifespan starts."""
    states = app._state_manager
    if type(states) is StateManagerRedis:
        # as any callable: mypy takes the base's overloads for abstract methods, in a cold run only
        manager: Callable[..., StateManagerRedis] = TabStates
        app._state_manager = manager(
            redis=states.redis,
            token_expiration=states.token_expiration,
            lock_expiration=states.lock_expiration,
            lock_warning_threshold=states.lock_warning_threshold,
        )


def prepare_for_fork() -> None:
    """Let workers share what importing the application has filled."""
    serializers._prepare_serializers_for_fork()


def state_schema() -> str:
    """A hash of all states as the frontend knows them; a page built for another one cannot be served."""
    return str(rx.State._to_frontend_schema())


def built_schema(build: Path) -> str:
    """The schema a finished build was made for (written by `phantom_app.plugins.SchemaStamp`)."""
    return str(json.loads((build / "backend" / "phantom.json").read_text())["schema"])


def declared_handlers() -> dict[str, EventHandler]:
    """Every event handler that a socket may name, by its full name."""
    return {name: entry.handler for name, entry in RegistrationContext.get().event_handlers.items()}


def handler_name(handler: Any) -> str:
    """The name a browser uses for an event handler."""
    return str(format_event_handler(handler))


def request_data(state: BaseState) -> dict[str, Any]:
    """Headers, address and path of the connection that an event came by."""
    return dict(state.router_data)


def tab_token(state: BaseState) -> str:
    return str(state.router.session.client_token)


def owns_tab(app: rx.App, token: str) -> bool:
    """Whether the socket of a tab is held by this worker."""
    namespace = app.event_namespace
    if namespace is None:
        return False
    manager = namespace._token_manager
    record = manager.token_to_socket.get(token)
    return record is not None and record.instance_id == manager.instance_id


async def send_event(app: rx.App, token: str, name: str, router_data: Mapping[str, Any]) -> "asyncio.Future[Any]":
    """Queue an ordinary event for a tab, as if its browser had sent it; it passes the guard like any other.

    What is returned is done when its handler is.
    """
    return await app.event_processor.enqueue(token, Event(name=name, payload={}, router_data=dict(router_data)))


def hydrate_event() -> Event:
    """Sends the whole state of a tab to its browser."""
    return Event(name=ROOT + "hydrate", payload={})


def put_quietly(state: BaseState, name: str, value: Any) -> None:
    """Change what is kept of a state without telling its browser: what that was shown stays there, and nowhere else."""
    vars(state)[name] = value


def clear_tab(state: BaseState) -> None:
    """Put every state of a tab that is loaded back to its defaults (all of them when a hydrate is under way)."""
    state._get_root_state().reset()
