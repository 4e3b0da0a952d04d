"""A real web server for tests: the built pages, a worker, this test run's database and Redis."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import socketio

from core import db, ids
from core.embedded.process import free_port
from models.identity import SignInMethod
from phantom_app import runtime
from services.identity import people
from services.identity import service as identity
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Person:
    merchant_id: str
    merchant: str
    cookie: str


def sign_up(merchant: str) -> Person:
    """A merchant with an owner who is signed in."""
    merchant_id = ids.new_id("mer")
    email = f"{merchant_id}@example.com"
    with db.user_session() as session:
        user_id = people.create_person(session, email=email, name="Ada")
    with db.tenant_session(merchant_id) as session:
        people.provision_merchant(session, merchant_id, user_id, merchant)
    opened = identity.sign_in_as(email, merchant_id, SignInMethod.DEMO)
    return Person(merchant_id, merchant, opened.token)


@dataclass
class Served:
    """A running `python -m phantom_app.serve`."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path
    health: str = "/ping"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def start(cls, folder: Path, *arguments: str, health: str = "/ping") -> "Served":
        port, log = free_port(), folder / f"serve-{uuid.uuid4().hex}.log"
        with log.open("w") as output:
            process = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "phantom_app.serve", "--port", str(port), *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        served = cls(process, port, log, health)
        wait_until(served.answers, timeout=180, what=f"the web server answers ({log})")
        return served

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        try:
            return httpx.get(self.url + self.health, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie waiting for its parent does not)."""
    try:
        state = re.search(r"^State:\s+(\w)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
    return state is not None and state[1] != "Z"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@dataclass
class Tab:
    """What an attacker without a browser can do: a socket, any token, any event."""

    url: str
    cookie: str = ""
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    path: str = "/dashboard"
    received: list[dict[str, Any]] = field(default_factory=list)
    is_cut: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, **headers: str) -> "Tab":
        self.http = aiohttp.ClientSession()  # ours, because the client leaves its own open when it is refused
        self.client = socketio.AsyncClient(reconnection=False, http_session=self.http)
        self.client.on("event", self._hear, namespace="/_event")
        self.client.on("disconnect", self._lose, namespace="/_event")
        sent = {"Origin": self.url, **headers}
        if self.cookie:
            sent["Cookie"] = f"phantom_session={self.cookie}"
        await self.client.connect(
            f"{self.url}/?token={self.token}",
            socketio_path="/_event",
            namespaces=["/_event"],
            transports=["websocket"],
            headers=sent,
        )
        return self

    async def __aenter__(self) -> "Tab":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.client.disconnect()
        await self.http.close()

    def _hear(self, update: dict[str, Any]) -> None:
        self.received.append(update)
        self._news.set()

    def _lose(self, *_reason: str) -> None:
        self.is_cut = True
        self._news.set()

    async def until(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Wait until something is so, looking each time something came. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def emit(self, data: Any) -> None:
        await self.client.emit("event", data, namespace="/_event")

    async def call(self, name: str, **payload: Any) -> None:
        """Send an event with a forged cookie beside it."""
        await self.emit(
            {
                "name": name,
                "payload": payload,
                "router_data": {
                    "pathname": self.path,
                    "query": {},
                    "asPath": self.path,
                    "headers": {"cookie": "phantom_session=" + "x" * 43},
                },
            }
        )

    async def load(self) -> None:
        await self.call(f"{runtime.ROOT}hydrate_and_load")

    def heard(self) -> str:
        """Everything that came, as text."""
        return str(self.received)

    def told_to_go(self) -> list[str]:
        """Where the tab was sent."""
        return [
            event["payload"]["path"]
            for update in self.received
            for event in update.get("events") or []
            if event["name"] == "_redirect"
        ]
