"""Deny by default, and a tab that changes hands starts empty."""

from types import SimpleNamespace
from typing import Any

import pytest
import reflex as rx
from reflex_base.event import Event
from sqlalchemy.exc import OperationalError

import phantom_app.phantom_app  # noqa: F401  # registers every state
from core.errors import NotAuthenticatedError, UnavailableError
from models.identity import Role, SignInMethod
from phantom_app import guard, runtime
from phantom_app.guard import Guard, Sessions, TabOwner
from phantom_app.state.dashboard import Dashboard
from phantom_app.state.ghost import Ghost
from phantom_app.state.shell import Shell
from services.identity.schemas import Principal

APP: Any = SimpleNamespace()


def person(role: Role = Role.OWNER, merchant: str = "mer_1") -> Principal:
    return Principal("s", "usr_1", "ada@example.com", "Ada", True, merchant, "Aurora", role, SignInMethod.PASSWORD)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """A guard over sessions that a test can end, and a tab that may send events."""

    def __init__(self, **known: Principal) -> None:
        self.broken = False
        self.known, self.asked, self.forgotten, self.clock = dict(known), 0, list[str](), Clock()

        def resolve(value: str) -> Principal | None:
            self.asked += 1
            if self.broken:
                raise OperationalError("select", {}, Exception("away"))
            return self.known.get(value)

        sessions = Sessions(resolve, lambda header: header.removeprefix("session=") or None, clock=self.clock)
        self.guard = Guard(sessions, self.forgotten.append)
        self.root = rx.State(_reflex_internal_init=True)  # type: ignore[call-arg]

    def connect(self, cookie: str) -> None:
        self.root.router_data = {"headers": {"cookie": cookie}, "token": "tab", "pathname": "/dashboard"}
        self.root._update_router_vars(self.root.router_data, {})

    async def send(self, name: str) -> Any:
        return await self.guard.preprocess(APP, self.root, Event(name=name, payload={}))

    async def call(self, handler: Any) -> Any:
        return await self.send(runtime.handler_name(handler))


class TestDenyByDefault:
    async def test_a_handler_without_declaration_is_refused(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        refused = await world.send(f"{runtime.ROOT}setvar")
        assert refused is not None
        assert not refused.events

    async def test_an_unknown_handler_is_refused(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        assert await world.send(f"{runtime.ROOT}nobody.knows") is not None

    async def test_a_public_handler_runs_for_anybody(self) -> None:
        world = World()
        world.connect("")
        assert await world.call(Shell.visit) is None
        assert guard.visitor() is None
        with pytest.raises(NotAuthenticatedError):
            guard.principal()

    async def test_a_declared_handler_runs_for_who_may(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        assert await world.call(Dashboard.load) is None
        assert guard.principal().merchant_id == "mer_1"

    async def test_a_visitor_is_sent_to_sign_in_with_an_emptied_tab(self) -> None:
        world = World()
        world.connect("")
        refused = await world.call(Dashboard.load)
        first, second = refused.events
        assert first.name in runtime.HYDRATE
        assert second.name == "_redirect"
        assert "/sign-in" in str(second.payload["path"])

    async def test_a_role_without_the_permission_is_refused(self) -> None:
        world = World(analyst=person(Role.ANALYST))
        world.connect("session=analyst")
        assert await world.call(Ghost.load) is None
        assert await world.call(Ghost.pause) is not None

    @pytest.mark.parametrize("name", sorted(runtime.FRAMEWORK_HANDLERS))
    async def test_framework_handlers_pass(self, name: str) -> None:
        world = World()
        world.connect("")
        assert await world.send(name) is None


class TestSessions:
    async def test_a_revoked_session_stops_within_the_memory(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        assert await world.call(Dashboard.load) is None
        world.known.clear()
        world.clock.now += guard.SESSION_MEMORY
        assert await world.call(Dashboard.load) is not None

    async def test_a_burst_of_events_costs_one_question(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        for _ in range(20):
            await world.call(Dashboard.refresh)
        assert world.asked == 1

    async def test_without_a_database_only_the_public_goes_on(self) -> None:
        world = World(good=person())
        world.connect("session=good")
        world.broken = True
        with pytest.raises(UnavailableError):
            await world.call(Dashboard.load)
        assert await world.call(Shell.report_failure) is None

    async def test_no_cookie_asks_nothing(self) -> None:
        world = World()
        world.connect("")
        await world.call(Dashboard.refresh)
        assert world.asked == 0


class TestTabOwner:
    """sessionStorage keeps a tab's token across sign-out and merchant switch: the everyday case."""

    def tab(self, world: World) -> Any:
        return world.root.get_substate(TabOwner.get_full_name().split("."))

    def figures(self, world: World) -> Any:
        return world.root.get_substate(Dashboard.get_full_name().split("."))

    async def hydrate(self, world: World, cookie: str) -> None:
        world.connect(cookie)
        await world.send(f"{runtime.ROOT}hydrate_and_load")

    @pytest.mark.parametrize("then", ["", "session=b", "session=other-merchant"])
    async def test_another_session_starts_empty(self, then: str) -> None:
        world = World(a=person(), b=person(), **{"other-merchant": person(merchant="mer_2")})
        await self.hydrate(world, "session=a")
        self.figures(world).last_hunt = "acme"
        await self.hydrate(world, then)
        assert self.figures(world).last_hunt == ""
        assert world.forgotten[-1:] == ["tab"]

    async def test_the_same_session_keeps_its_state(self) -> None:
        world = World(a=person())
        await self.hydrate(world, "session=a")
        self.figures(world).last_hunt = "acme"
        await self.hydrate(world, "session=a")
        assert self.figures(world).last_hunt == "acme"

    async def test_what_a_visitor_planted_is_gone_after_sign_in(self) -> None:
        world = World(a=person())
        await self.hydrate(world, "")
        self.figures(world).last_hunt = "planted"
        await self.hydrate(world, "session=a")
        assert self.figures(world).last_hunt == ""

    async def test_a_revoked_session_owns_nothing(self) -> None:
        world = World(a=person())
        await self.hydrate(world, "session=a")
        world.known.clear()
        world.clock.now += guard.SESSION_MEMORY
        await self.hydrate(world, "session=a")
        assert self.tab(world)._owner == ""
