"""The hot path of webhooks: verify, collect for a moment, commit together, acknowledge after the commit.

Async with plain SQL on its own pool (ARCHITECTURE rule 4). A commit costs the same for one event or a hundred,
so events that arrive within a millisecond share one (measured: 2.1 times a bare insert per request).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core import clock, queue
from core.config import settings
from core.crash_points import crash_point
from services.handshake import repository, service
from services.handshake.errors import EndpointDisabledError, NotStoredError, SignatureError
from services.handshake.signature import verify

MAX_BATCH = 128
WINDOW_SECONDS = 0.001
COMMITTERS = 2
MAX_WAITING, MAX_WAITING_BYTES = 4096, 64 * 1024 * 1024
CONNECTION_SECONDS = 2.0
ACKNOWLEDGE_SECONDS = 8.0
COMMIT_TRIES = 3
COMMIT_SECONDS = 6.0  # beyond the server's own statement_timeout: a network that swallows everything
_PASSING = frozenset({"57P01", "57P02", "40001", "40P01"})  # shut down, crashed, serialisation failure, deadlock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    row: repository.Row
    size: int
    stored: "asyncio.Future[None]"


class Intake:
    """One a process and event loop; `counts` says what became of what came in."""

    def __init__(self, *, announce: Callable[[], object] = queue.announce_work) -> None:
        self.loop = asyncio.get_running_loop()
        self.counts: Counter[str] = Counter()
        self._announce = announce
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._bytes = 0
        self._committed = asyncio.Event()
        self._stopping = False
        self._silent_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            settings().database_system_url.get_secret_value().replace("+psycopg", "", 1),
            min_size=COMMITTERS,
            max_size=COMMITTERS,
            timeout=CONNECTION_SECONDS,
            reconnect_timeout=CONNECTION_SECONDS,  # then the next event tries at once, not a back-off of minutes
            open=False,
            name="webhook-intake",
            kwargs={
                "autocommit": True,
                "prepare_threshold": 1,
                "connect_timeout": 3,
                "application_name": "phantom-intake",
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 8000,
                "options": "-c statement_timeout=5000 -c timezone=UTC",
            },
        )

    async def start(self) -> Self:
        """Start committing. PostgreSQL may be away: events are refused with 503 until it is there."""
        await self._pool.open(wait=False)
        for work in (*([self._commit_batches] * COMMITTERS), self._announce_commits):
            self._run(work)
        return self

    async def stop(self) -> None:
        """Commit what was accepted, then close."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await self._queue.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    async def accept(self, raw: bytes, signature: str, *, connect: bool) -> str:
        """Verify and store one delivery; returns `stored` or `ignored` once it is committed or needs no storing.

        Raises `EndpointDisabledError`, `SignatureError`, `NotAnEventError`, or `NotStoredError` when PostgreSQL is
        away or too far behind, in which case Stripe sends the event again. A caller that goes away changes nothing:
        what was queued is committed all the same.
        """
        secrets = settings().webhook_secrets(connect=connect)
        if not secrets:
            raise EndpointDisabledError
        try:
            verify(raw, signature, secrets, clock.now())
        except SignatureError as error:
            self.counts["bad_signature"] += 1
            self._log_refusal(error.reason, connect=connect)
            raise
        envelope = service.read_envelope(raw)
        if envelope.livemode is not settings().livemode:
            self.counts["wrong_mode"] += 1
            return "ignored"
        handled = envelope.type in service.HANDLED_TYPES
        payload, outcome = (raw, "") if handled else (None, "ignored")
        await self._store((envelope.id, envelope.type, envelope.account, envelope.livemode, payload, outcome))
        self.counts["stored" if handled else "ignored"] += 1
        return "stored" if handled else "ignored"

    def _log_refusal(self, reason: str, *, connect: bool) -> None:
        """One line a second at most: anybody can send forgeries, and the log is not theirs to fill."""
        if self.loop.time() >= self._silent_until:
            self._silent_until = self.loop.time() + 1.0
            facts = {"reason": reason, "connect": connect, "so_far": self.counts["bad_signature"]}
            log.warning("webhook.refused", extra={"facts": facts})

    async def _store(self, row: repository.Row) -> None:
        size = len(row[4] or b"")
        if self._stopping or self._queue.full() or self._bytes + size > MAX_WAITING_BYTES:
            self.counts["refused"] += 1
            raise NotStoredError
        stored: asyncio.Future[None] = self.loop.create_future()
        self._queue.put_nowait(_Waiting(row, size, stored))
        self._bytes += size
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await stored
        except TimeoutError:
            self.counts["refused"] += 1
            raise NotStoredError from None

    def _run(self, work: Callable[[], Any]) -> None:
        task = asyncio.create_task(work())
        self._tasks.add(task)

        def ended(finished: "asyncio.Task[None]") -> None:
            # An error nobody foresaw must neither stay silent nor end intake for good.
            self._tasks.discard(finished)
            if not finished.cancelled() and not self._stopping:
                log.error("webhook.committer_died", exc_info=finished.exception())
                self._run(work)

        task.add_done_callback(ended)

    async def _commit_batches(self) -> None:
        while True:
            batch = [await self._queue.get()]
            try:
                if self._queue.qsize() < MAX_BATCH // 16:
                    await asyncio.sleep(WINDOW_SECONDS)  # nearly alone: wait a moment for company
                while len(batch) < MAX_BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._commit([waiting.row for waiting in batch])
            except (psycopg.Error, TimeoutError) as error:
                log.warning(
                    "webhook.not_stored", extra={"facts": {"error": type(error).__name__, "events": len(batch)}}
                )
                batch += self._drain()  # they would only wait for the same
                _answer(batch, stored=False)
            except BaseException:
                _answer(batch, stored=False)
                raise
            else:
                crash_point("intake.committed")
                self._committed.set()
                _answer(batch, stored=True)
            finally:
                self._bytes -= sum(waiting.size for waiting in batch)
                for _ in batch:
                    self._queue.task_done()

    async def _commit(self, rows: list[repository.Row]) -> None:
        """Commit; a connection that died since its last use, or a deadlock, is worth another try. Idempotent."""
        for attempt in range(1, COMMIT_TRIES + 1):
            try:
                async with self._pool.connection() as connection, asyncio.timeout(COMMIT_SECONDS):
                    await repository.store(connection, rows, clock.now(), service.EVENT_PRIORITY)
            except psycopg.OperationalError as error:
                if attempt == COMMIT_TRIES or not _is_passing(error):
                    raise
            else:
                return

    def _drain(self) -> list[_Waiting]:
        drained = []
        while not self._queue.empty():
            drained.append(self._queue.get_nowait())
        return drained

    async def _announce_commits(self) -> None:
        """Wake the workers, once for however many commits; in a thread, because Redis may be slow to answer."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            crash_point("intake.acknowledged")
            await asyncio.to_thread(self._announce)


def _answer(batch: list[_Waiting], *, stored: bool) -> None:
    for waiting in batch:
        if waiting.stored.done():  # its caller gave up
            continue
        if stored:
            waiting.stored.set_result(None)
        else:
            waiting.stored.set_exception(NotStoredError())


def _is_passing(error: psycopg.OperationalError) -> bool:
    """Whether another try makes sense at once: a connection that was cut, or a lost race; not a server that is away."""
    if error.sqlstate is None:
        return not isinstance(error, PoolTimeout)
    return error.sqlstate in _PASSING
