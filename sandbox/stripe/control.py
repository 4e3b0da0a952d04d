"""`/_sandbox/...`: what tests and drivers in other processes ask of the sandbox. JSON in, JSON out."""

import asyncio
import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api
from sandbox.stripe.deliveries import Behaviour
from sandbox.stripe.errors import StripeError
from sandbox.stripe.faults import Fault
from sandbox.stripe.http import Courier
from sandbox.stripe.seeding import Seed, seed

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def answer(body: Any, status: int = 200) -> Response:
    """One JSON answer."""
    return Response(orjson.dumps(body, default=asdict), status, media_type="application/json")


async def _given(request: Request) -> dict[str, Any]:
    raw = await request.body()
    return orjson.loads(raw) if raw else {}


class Control:
    """The handlers."""

    def __init__(self, world: "World", api: Api, courier: Courier) -> None:
        self.world, self.api, self.courier = world, api, courier
        self.actions = Actions(world)

    def routes(self) -> list[Route]:
        """All of them; see each handler's docstring for what goes in and out."""
        return [
            Route("/_sandbox/health", self.health),
            Route("/_sandbox/advance", self.advance, methods=["POST"]),
            Route("/_sandbox/next_due", self.next_due),
            Route("/_sandbox/deliveries", self.deliveries),
            Route("/_sandbox/deliveries/take", self.take, methods=["POST"]),
            Route("/_sandbox/deliveries/behaviour", self.behaviour, methods=["POST"]),
            Route("/_sandbox/faults", self.add_faults, methods=["POST"]),
            Route("/_sandbox/faults", self.clear_faults, methods=["DELETE"]),
            Route("/_sandbox/limits", self.limits, methods=["POST"]),
            Route("/_sandbox/seed", self.seed, methods=["POST"]),
            Route("/_sandbox/actions/{name}", self.act, methods=["POST"]),
            Route("/_sandbox/requests", self.requests),
        ]

    async def health(self, request: Request) -> Response:
        """GET: `{"status": "ok", "now", "objects", "accounts", "requests"}`."""
        world = self.world
        objects = sum(len(table) for space in world.store.spaces.values() for table in space.tables.values())
        accounts = list(world.root.table("account").objects)
        return answer(
            {
                "status": "ok",
                "now": world.now(),
                "objects": objects,
                "accounts": accounts,
                "requests": self.api.requests,
                "platform_account": world.settings.platform_account,
                "platform_key": world.settings.platform_secret_key,
            }
        )

    async def advance(self, request: Request) -> Response:
        """POST `{"to": unix}` or `{"seconds": n}`: everything due happens in order; `{"now", "processed"}`."""
        given, world = await _given(request), self.world
        target = int(given["to"]) if "to" in given else world.now() + int(given["seconds"])
        if world.move_clock is None:
            return answer({"error": "this sandbox does not own the clock"}, 409)
        processed = 0
        while world.clockwork.step(target):
            processed += 1
            if processed % 20 == 0:
                await asyncio.sleep(0)  # requests are answered meanwhile
        world.clockwork.move_to(target)
        self.courier.notify()
        return answer({"now": world.now(), "processed": processed})

    async def next_due(self, request: Request) -> Response:
        """GET: `{"now", "next_due", "next_delivery"}`, null when nothing is planned."""
        with self.world.lock:
            due = self.world.clockwork.next_due()
            return answer({"now": self.world.now(), "next_due": due, "next_delivery": self.world.deliveries.next_due()})

    async def deliveries(self, request: Request) -> Response:
        """GET [?wait=1&timeout=30]: `{"idle", "due", "waiting", "enqueued", "delivered", ...}`; waits until idle."""
        if request.query_params.get("wait"):
            await self.courier.wait_idle(float(request.query_params.get("timeout", "30")))
        pending = self.world.deliveries.pending()
        return answer({"idle": pending["due"] == 0} | pending | asdict(self.world.deliveries.counters))

    async def take(self, request: Request) -> Response:
        """POST `{"limit": n}` (pull mode): `[{"id", "url", "headers", "body" (base64), "event_type", ...}]`."""
        taken = self.world.deliveries.take_deliveries((await _given(request)).get("limit"))
        rows = [
            {name: value for name, value in vars(one).items() if name not in ("body", "row")}
            | {"body": base64.b64encode(one.body).decode()}
            for one in taken
        ]
        return answer(rows)

    async def behaviour(self, request: Request) -> Response:
        """POST a deliveries.Behaviour as JSON (`{}`: good); `retry_seconds` and `deliver` (push) besides."""
        given = await _given(request)
        if "retry_seconds" in given:
            self.world.deliveries.retry_seconds = tuple(given.pop("retry_seconds"))
        if "deliver" in given:
            self.world.settings.deliver = bool(given.pop("deliver"))
        if "delay" in given:
            given["delay"] = tuple(given["delay"])
        self.world.deliveries.configure(Behaviour(**given))
        return answer(asdict(self.world.deliveries.behaviour))

    async def add_faults(self, request: Request) -> Response:
        """POST `{"faults": [faults.Fault...], "seed": "..."}` or one Fault."""
        given = await _given(request)
        if "seed" in given:
            self.world.faults.seed(given.pop("seed"))
        for fault in given.get("faults", [given]):
            self.world.faults.add(Fault(**fault))
        return answer([asdict(rule) for rule in self.world.faults.rules])

    async def clear_faults(self, request: Request) -> Response:
        """DELETE: peace."""
        self.world.faults.clear()
        return answer([])

    async def limits(self, request: Request) -> Response:
        """POST `{"rate": 100, "endpoint_rate": 25}` requests per second (null: none)."""
        given = await _given(request)
        self.world.limits.configure(given.get("rate"), given.get("endpoint_rate"))
        return answer(given)

    async def seed(self, request: Request) -> Response:
        """POST a seeding.Seed as JSON: many customers with failed invoices at once."""
        with self.world.transaction():
            return answer(seed(self.world, Seed(**await _given(request))))

    async def act(self, request: Request) -> Response:
        """POST keyword arguments of any method of actions.Actions, e.g. /_sandbox/actions/pay_invoice."""
        name = request.path_params["name"]
        method = getattr(self.actions, name, None) if not name.startswith("_") else None
        if not callable(method):
            return answer({"error": f"no action {name}"}, 404)
        try:
            return answer({"result": method(**await _given(request))})
        except StripeError as error:
            return answer(error.body(), error.status)
        except (KeyError, ValueError, TypeError) as error:
            return answer({"error": f"{type(error).__name__}: {error}"}, 400)

    async def requests(self, request: Request) -> Response:
        """GET: `{"total", "by_route", "refused"}` since the start or the last `?reset=1`."""
        found = {
            "total": self.api.requests,
            "by_route": dict(self.api.by_route),
            "refused": self.world.limits.refused,
            "faults": dict(self.world.faults.struck),
        }
        if request.query_params.get("reset"):
            self.api.requests, self.world.limits.refused = 0, 0
            self.api.by_route.clear()
            self.world.faults.struck.clear()
        return answer(found)
