"""The sandbox as one web application: Stripe, its control endpoints, and whatever pages and outboxes exist."""

import asyncio
import contextlib
import importlib
import importlib.util
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sandbox.stripe import http
from sandbox.stripe.api import Api
from sandbox.stripe.control import Control
from sandbox.stripe.world import Settings, World

# Each exposes `routes(world) -> list[Route]`.
NEIGHBOURS = ("sandbox.outbox.routes", "sandbox.pages.routes")


def create_app(settings: Settings, world: World | None = None) -> Starlette:
    """The application on a world (its own one by default); `app.state.world` and `app.state.api` are its parts."""
    world = world or World(settings)
    api = Api(world)
    courier = http.Courier(world)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(courier.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            world.close()

    routes: list[BaseRoute] = [*Control(world, api, courier).routes()]
    for name in NEIGHBOURS:
        if importlib.util.find_spec(name.rpartition(".")[0]) and importlib.util.find_spec(name):
            routes += importlib.import_module(name).routes(world)
    app = Starlette(routes=[*routes, *http.routes(api)], lifespan=lifespan)
    app.state.world, app.state.api = world, api
    return app
