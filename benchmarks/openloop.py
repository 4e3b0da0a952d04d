"""An open loop: requests leave when they are due, whatever became of the ones before, and latency counts from then.

A closed loop (wrk) sends less while the server is slow and so hides what its callers would suffer ("coordinated
omission"). Raw sockets and ready-made requests: about 20 µs of CPU a request, which `Answers.cpu_share` tells.
"""

import asyncio
import gc
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from benchmarks.harness import BenchError

CONNECTIONS = 64
_TICK_SECONDS = 0.001
_LAST_ANSWER_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phase:
    """So many seconds at so many requests a second."""

    seconds: float
    rate: float


@dataclass
class Answers:
    """What came back, in the order of the answers."""

    due: list[float] = field(default_factory=list)
    """Seconds from the start to when the request was due."""
    milliseconds: list[float] = field(default_factory=list)
    """From when it was due to its complete answer."""
    statuses: list[int] = field(default_factory=list)
    """0 where the connection broke."""
    cpu_share: float = 0.0
    """Of one core, what sending and measuring took."""

    @property
    def refused(self) -> int:
        """Everything that was not acknowledged with a 2xx."""
        return sum(not 200 <= status < 300 for status in self.statuses)

    def between(self, begin: float, end: float) -> list[float]:
        """Milliseconds of the requests that were due then."""
        return [took for due, took in zip(self.due, self.milliseconds, strict=True) if begin <= due < end]


class _Lane(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, crew: "_Crew") -> None:
        self._crew, self._due, self._received = crew, 0.0, b""
        self._transport: asyncio.Transport | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not declared as what they are

    def send(self, request: bytes, due: float) -> None:
        self._due, self.busy = due, True
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length is not None and len(body) >= int(length[1]):
            self._received, self.busy = b"", False
            self._crew.answered(self._due, int(head[9:12]))
            self._crew.next_for(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._crew.lost(self)
        if self.busy:
            self.busy = False
            self._crew.answered(self._due, 0)


class _Crew:
    """The connections, and what is due while all of them are busy."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answers = Answers()
        self._requests = requests
        # The one that rested longest goes first: a server closes a connection on which nothing comes for half a minute.
        self._idle: deque[_Lane] = deque()
        self._late: deque[float] = deque()
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._expected = 0

    async def work(self, port: int, phases: Sequence[Phase]) -> None:
        transports = []
        for _ in range(CONNECTIONS):
            transport, lane = await self._loop.create_connection(lambda: _Lane(self), "127.0.0.1", port)
            transports.append(transport)
            self._idle.append(lane)
        try:
            await self._send(phases)
        finally:
            for transport in transports:
                transport.close()
            await asyncio.sleep(0)  # the loop's turn to close them

    async def _send(self, phases: Sequence[Phase]) -> None:
        self._began = time.perf_counter()  # the loop's own clock ticks in milliseconds
        for due in _times(phases):
            while (wait := self._began + due - time.perf_counter()) > 0:  # noqa: ASYNC110  # waits for the time itself
                await asyncio.sleep(min(wait, _TICK_SECONDS))
            self._expected += 1
            self._late.append(due)
            if self._idle:
                self.next_for(self._idle.popleft())
        async with asyncio.timeout(_LAST_ANSWER_SECONDS):
            while len(self.answers.statuses) < self._expected:  # noqa: ASYNC110  # counted by the connections
                await asyncio.sleep(_TICK_SECONDS)

    def next_for(self, lane: _Lane) -> None:
        """The longest overdue request on this connection, or a rest."""
        if self._late:
            lane.send(next(self._requests), self._late.popleft())
        else:
            self._idle.append(lane)

    def lost(self, lane: _Lane) -> None:
        """Nothing is sent on it any more."""
        if lane in self._idle:
            self._idle.remove(lane)

    def answered(self, due: float, status: int) -> None:
        self.answers.due.append(due)
        self.answers.milliseconds.append((time.perf_counter() - self._began - due) * 1000)
        self.answers.statuses.append(status)


def _times(phases: Sequence[Phase]) -> Iterator[float]:
    begin = 0.0
    for phase in phases:
        for number in range(int(phase.seconds * phase.rate)):
            yield begin + number / phase.rate
        begin += phase.seconds


def total(phases: Sequence[Phase]) -> int:
    """How many requests these phases send."""
    return sum(int(phase.seconds * phase.rate) for phase in phases)


def drive(port: int, phases: Sequence[Phase], requests: Iterator[bytes]) -> Answers:
    """Send `requests` at the pace of `phases`; returns when all are answered.

    Raises `BenchError` when one is not within half a minute, or when nobody listens there.
    """

    async def work() -> Answers:
        crew = _Crew(requests)
        await crew.work(port, phases)
        return crew.answers

    began, cpu = time.perf_counter(), time.process_time()
    gc.collect()
    gc.disable()  # its pauses would count as the server's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            answers = runner.run(work())
    except TimeoutError as error:
        raise BenchError(f"an answer did not come within {_LAST_ANSWER_SECONDS:g} s of the last request") from error
    except ConnectionError as error:
        raise BenchError(f"no connection to port {port}: {error}") from error
    finally:
        gc.enable()
    answers.cpu_share = (time.process_time() - cpu) / (time.perf_counter() - began)
    return answers
