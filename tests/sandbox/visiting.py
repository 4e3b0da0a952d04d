"""A browser without a browser: pages of a world answered in process."""

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette

from sandbox.server import create_app
from sandbox.stripe.world import World

BASE = "http://127.0.0.1:12111"


class Visitor:
    """Gets and posts on a world's pages; redirects are not followed."""

    def __init__(self, world: World) -> None:
        self.app: Starlette = create_app(world.settings, world)

    def request(self, method: str, url: str, **given: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE) as client:
                return await client.request(method, url, **given)

        return asyncio.run(send())

    def get(self, url: str, **params: str) -> httpx.Response:
        return self.request("GET", url, params=params or None)

    def post(self, url: str, **form: str) -> httpx.Response:
        return self.request("POST", url, data=form)

    def post_together(self, url: str, times: int, **form: str) -> list[httpx.Response]:
        """The same form several times at once."""

        async def send() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE) as client:
                return await asyncio.gather(*(client.post(url, data=form) for _ in range(times)))

        return asyncio.run(send())

    def control(self, path: str, body: Any = None, method: str | None = None) -> Any:
        answer = self.request(method or ("GET" if body is None else "POST"), f"/_sandbox/{path}", json=body)
        return answer.json()


def location(answer: httpx.Response) -> str:
    """Where a redirect leads."""
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def query_of(url: str) -> dict[str, str]:
    """A URL's parameters, none of them repeated."""
    return dict(httpx.QueryParams(urlsplit(url).query))


def text_of(answer: httpx.Response) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text.partition("<body>")[2]).split())
