"""The sandbox as one web application: Stripe, its control endpoints, and whatever pages and outboxes exist."""

import asyncio
import contextlib
import functools
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sandbox.stripe import http
from sandbox.stripe.api import Api
from sandbox.stripe.control import Control
from sandbox.stripe.world import Settings, World

# Each exposes `routes(world) -> list[Route]`, and `async run(world)` where it has work in the background.
NEIGHBOURS = ("sandbox.outbox.routes", "sandbox.pages.routes", "sandbox.population.living")


def create_app(settings: Settings, world: World | None = None) -> Starlette:
    """The application on a world (its own one by default); `app.state` has its world, api and stop()."""
    world = world or World(settings)
    api = Api(world)
    stopping = asyncio.Event()
    courier = http.Courier(world, stopping)
    found = [importlib.import_module(name) for name in NEIGHBOURS if _exists(name)]
    works: list[Callable[[], Coroutine[Any, Any, None]]] = [
        courier.run,
        *(functools.partial(one.run, world) for one in found if hasattr(one, "run")),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            world.close()

    routes: list[BaseRoute] = [*Control(world, api, courier).routes()]
    for one in found:
        routes += one.routes(world)
    app = Starlette(routes=[*routes, *http.routes(api, stopping)], lifespan=lifespan)
    app.state.world, app.state.api, app.state.stop = world, api, courier.stop
    app.state.stopping = stopping  # ends what hangs on purpose
    return app


def _exists(name: str) -> bool:
    return bool(importlib.util.find_spec(name.rpartition(".")[0]) and importlib.util.find_spec(name))
