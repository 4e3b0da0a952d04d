"""A small TCP proxy that can be slow, cut, silent, or cut at the worst moment: between any two of our processes."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from core.config import settings


class Proxy:
    """Every connection to it goes on to `target`. Its methods are for the loop it runs in."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._delay = 0.0
        self._bytes_per_second = 0
        self._cuts_answers = 0
        self._cut_when: Callable[[bytes], bool] = _always
        self._writers: set[asyncio.StreamWriter] = set()
        self.cuts = 0
        """How many answers were swallowed so far."""

    def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        self._open = False
        self.drop()

    def drop(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Whatever was wrong is over."""
        self._open, self._delay, self._bytes_per_second, self._cuts_answers = True, 0.0, 0, 0
        self._flowing.set()

    def hold(self) -> None:
        """Nothing flows any more, in either direction; new connections are taken and never answered."""
        self._flowing.clear()

    def slow(self, delay: float = 0.0, bytes_per_second: int = 0) -> None:
        """Each piece waits `delay` seconds in each direction; with `bytes_per_second` it comes in drips."""
        self._delay, self._bytes_per_second = delay, bytes_per_second

    def cut_answers(self, times: int = 1, when: Callable[[bytes], bool] | None = None) -> None:
        """Let the next `times` requests (those that `when` says, looking at the bytes sent) through and reset the
        connection instead of handing back what is answered: the sender cannot know what became of them."""
        self._cuts_answers, self._cut_when = times, when or _always

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, onward_writer}
        self._writers |= pair
        marked = asyncio.Event()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._pump(reader, onward_writer, marked, asks=True),
                self._pump(onward_reader, writer, marked, asks=False),
            )
        self._writers -= pair
        for each in pair:
            each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event, *, asks: bool
    ) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if asks and self._cuts_answers and self._cut_when(data):
                self._cuts_answers -= 1
                marked.set()
            elif not asks and marked.is_set():
                self.cuts += 1
                break
            await self._pass_on(data, writer)
        writer.transport.abort()

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        step = max(1, self._bytes_per_second // 20) if self._bytes_per_second else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self._bytes_per_second:
                await asyncio.sleep(0.05)


def _always(_data: bytes) -> bool:
    return True


class StandingProxy:
    """A proxy in a thread of its own, for tests without a loop: the same methods, each done when it returns."""

    def __init__(self, target: tuple[str, int], loop: asyncio.AbstractEventLoop, port: int, proxy: Proxy) -> None:
        self.target, self.port = target, port
        self._loop, self._proxy = loop, proxy

    @property
    def cuts(self) -> int:
        return self._proxy.cuts

    def url(self, address: str) -> str:
        """`address` with this proxy in place of its host and port."""
        return through(address, self.port)

    def _do(self, method: Callable[..., None], *arguments: Any) -> None:
        async def done() -> None:
            method(*arguments)

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def cut(self) -> None:
        self._do(self._proxy.cut)

    def drop(self) -> None:
        self._do(self._proxy.drop)

    def mend(self) -> None:
        self._do(self._proxy.mend)

    def hold(self) -> None:
        self._do(self._proxy.hold)

    def slow(self, delay: float = 0.0, bytes_per_second: int = 0) -> None:
        self._do(self._proxy.slow, delay, bytes_per_second)

    def cut_answers(self, times: int = 1, when: Callable[[bytes], bool] | None = None) -> None:
        self._do(self._proxy.cut_answers, times, when)


@contextlib.contextmanager
def standing_proxy(address: str, default_port: int = 80) -> Iterator[StandingProxy]:
    """A proxy before the server of a URL, in a thread."""
    parts = urlsplit(address)
    target = (str(parts.hostname), int(parts.port or default_port))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()

    async def begin() -> tuple[Proxy, asyncio.Server]:
        proxy = Proxy(target)
        return proxy, await asyncio.start_server(proxy.serve, "127.0.0.1", 0)

    async def end() -> None:
        server.close()
        proxy.cut()
        proxy.mend()  # what is held goes on, into closed connections
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    proxy, server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield StandingProxy(target, loop, server.sockets[0].getsockname()[1], proxy)
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def through(address: str, port: int) -> str:
    """A URL that leads to another port of this machine."""
    parts = urlsplit(address)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))


@contextlib.asynccontextmanager
async def proxied_system_url() -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the system login's server, and the URL that leads through it."""
    url = settings().database_system_url.get_secret_value()
    parts = urlsplit(url)
    proxy = Proxy((str(parts.hostname), int(parts.port or 5432)))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, through(url, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        proxy.cut()
