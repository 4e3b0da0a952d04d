"""Who answers a request: a hot path, the HTTP API where one of its routes fits, else Reflex.

The API stands before Reflex and not inside it (`api_transformer`), because Reflex's layers cost a route half of
its speed; the hot paths stand before every other layer, and say for themselves what their answers need.
"""

from collections.abc import Iterable
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

_NOT_FOUND = PlainTextResponse("There is nothing here.", status_code=404)


def answers(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    """Whether one of these routes has the path, whatever the method (so that a wrong method answers 405)."""
    return any(route.matches(scope)[0] is not Match.NONE for route in routes)


def prerendered(static: Path) -> frozenset[str]:
    """The paths of a build that have a document of their own."""
    return frozenset(f"/{index.parent.relative_to(static).as_posix()}" for index in static.glob("*/**/index.html"))


class HotFirst:
    """ASGI switch between the hot paths, called without anything in between, and everything else.

    Programs call them, not browsers: the headers that tell browsers what a page may do would cost as much as
    verifying a webhook's signature.
    """

    def __init__(self, hot: Iterable[Route], rest: ASGIApp) -> None:
        hot = list(hot)
        self._fixed = {route.path: route for route in hot if "{" not in route.path}  # found without a search
        self._patterns = [route for route in hot if "{" in route.path]
        self._router = Router(routes=self._patterns)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
        elif route := self._fixed.get(scope["path"]):
            right = scope["method"] in (route.methods or ())
            await (route.app if right else route.handle)(scope, receive, send)  # `handle` says 405
        elif self._patterns and answers(self._patterns, scope):
            await self._router(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


class Dispatch:
    """ASGI switch. `pages` is Reflex, or None in headless mode; `lifespan` runs the start and stop events."""

    def __init__(
        self,
        *,
        api: Router,
        api_app: ASGIApp,
        pages: ASGIApp | None,
        lifespan: ASGIApp,
        documents: frozenset[str] = frozenset(),
    ) -> None:
        self._api, self._api_app, self._pages, self._lifespan = api, api_app, pages, lifespan
        self._documents = documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._chosen(scope)
        if chosen is self._pages and scope.get("path") in self._documents:
            # a page is a folder with an index; without the slash the file server answers with a redirect
            scope = {**scope, "path": scope["path"] + "/"}
        await chosen(scope, receive, send)

    def _chosen(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "lifespan":
            return self._lifespan
        if scope["type"] == "http" and (self._pages is None or answers(self._api.routes, scope)):
            return self._api_app
        return self._pages or _NOT_FOUND
