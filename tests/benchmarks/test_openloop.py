"""The open loop: latency counts from when a request was due, so a server that stalls cannot hide it."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator

import pytest

from benchmarks import openloop
from benchmarks.harness import BenchError
from benchmarks.openloop import Phase, drive, total
from core.embedded.process import free_port

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


@contextlib.contextmanager
def server(
    stall_at: int = -1, stall_seconds: float = 0.0, status: bytes = b"200 OK", once: bool = False
) -> Iterator[int]:
    """A server that answers in two pieces, and stands still once before it answers request `stall_at`.

    `once`: it closes each connection after its answer.
    """
    loop, numbers = asyncio.new_event_loop(), itertools.count()
    free = asyncio.Event()
    free.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                if next(numbers) == stall_at:
                    free.clear()
                    loop.call_later(stall_seconds, free.set)
                await free.wait()
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Len")
                await writer.drain()
                writer.write(b"gth: 2\r\n\r\nok")
                if once:
                    await writer.drain()
                    writer.close()
                    return await writer.wait_closed()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender is done
        finally:
            writer.transport.abort()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result(10)

    async def end() -> None:
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await listening.wait_closed()

    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class TestDrive:
    def test_sends_at_the_pace_of_its_phases(self):
        phases = [Phase(0.2, 50), Phase(0.2, 500)]
        with server() as port:
            answers = drive(port, phases, itertools.repeat(REQUEST))
        assert len(answers.statuses) == total(phases) == 110
        assert (len(answers.between(0.0, 0.2)), len(answers.between(0.2, 0.4))) == (10, 100)
        assert answers.refused == 0

    def test_what_was_due_while_the_server_stood_still_waited_that_long(self):
        """More is due in the pause than there are connections; a closed loop would have sent 64 and seen 64 late."""
        with server(stall_at=100, stall_seconds=0.4) as port:
            answers = drive(port, [Phase(0.6, 1000)], itertools.repeat(REQUEST))
        late = [took for took in answers.milliseconds if took > 100]
        assert len(late) > 250
        assert max(late) >= 350

    def test_refusals_are_counted(self):
        with server(status=b"503 Service Unavailable") as port:
            answers = drive(port, [Phase(0.1, 100)], itertools.repeat(REQUEST))
        assert answers.refused == 10

    def test_nothing_is_sent_on_a_connection_that_the_server_has_closed(self):
        with server(once=True) as port:
            answers = drive(port, [Phase(0.4, 50)], itertools.repeat(REQUEST))
        assert (len(answers.statuses), answers.refused) == (20, 0)

    def test_a_server_that_never_answers_is_an_error_of_the_bench(self, monkeypatch):
        monkeypatch.setattr(openloop, "_LAST_ANSWER_SECONDS", 0.05)
        with server(stall_at=0, stall_seconds=30.0) as port, pytest.raises(BenchError, match="did not come"):
            drive(port, [Phase(0.1, 50)], itertools.repeat(REQUEST))

    def test_a_server_that_is_not_there_is_an_error_of_the_bench(self):
        with pytest.raises(BenchError, match="no connection"):
            drive(free_port(), [Phase(0.1, 50)], itertools.repeat(REQUEST))
