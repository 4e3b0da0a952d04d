"""Hot paths first, then the API, then the pages."""

from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from phantom_app.dispatch import Dispatch, HotFirst, prerendered


async def _hot(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hot")


async def _api(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("api")


async def _pages(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"pages {scope['path']}")(scope, receive, send)


def switch(*, pages: Any = _pages) -> HotFirst:
    api = Starlette(routes=[Route("/health", _api), Route("/r/{token}", _api)])
    rest = Dispatch(
        api=api.router,
        api_app=api,
        pages=pages,
        lifespan=api,
        documents=frozenset({"/dashboard"}),
    )
    hot = [Route("/api/webhooks/stripe", _hot, methods=["POST"]), Route("/api/access/{customer}", _hot)]
    return HotFirst(hot, rest)


async def ask(dispatch: HotFirst, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(dispatch), base_url="http://phantom") as client:
        return await client.request(method, path)


class TestDispatch:
    async def test_each_has_its_own(self) -> None:
        assert (await ask(switch(), "/api/webhooks/stripe", "POST")).text == "hot"
        assert (await ask(switch(), "/api/access/cus_1")).text == "hot"
        assert (await ask(switch(), "/health")).text == "api"
        assert (await ask(switch(), "/r/abc")).text == "api"
        assert (await ask(switch(), "/recoveries/gh_1")).text == "pages /recoveries/gh_1"

    async def test_a_wrong_method_is_not_a_page(self) -> None:
        assert (await ask(switch(), "/api/webhooks/stripe")).status_code == 405
        assert (await ask(switch(), "/health", "DELETE")).status_code == 405

    async def test_a_page_with_a_document_needs_no_redirect(self) -> None:
        assert (await ask(switch(), "/dashboard")).text == "pages /dashboard/"

    async def test_headless_has_no_pages(self) -> None:
        assert (await ask(switch(pages=None), "/dashboard")).status_code == 404

    def test_prerendered_paths(self, tmp_path: Path) -> None:
        for name in ("", "dashboard", "a/b"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "index.html").touch()
        assert prerendered(tmp_path) == {"/dashboard", "/a/b"}
