"""The hot path of webhooks: verify, collect for a moment, commit together, acknowledge after the commit.

Async with plain SQL on its own pool (ARCHITECTURE rule 4). A commit costs the same for one event or a hundred,
so events that arrive within two milliseconds share one.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core import clock, queue
from core.config import Settings, settings
from core.crash_points import crash_point
from services.handshake import repository, service
from services.handshake.errors import EndpointDisabledError, NotStoredError, SignatureError
from services.handshake.outcomes import ACCEPTED, BAD_SIGNATURE, WRONG_MODE, Outcomes
from services.handshake.signature import verify

MAX_BATCH, MAX_BATCH_BYTES = 128, 4 * 1024 * 1024
WINDOW_SECONDS = 0.002  # how long the first event of a commit waits for company
ENOUGH = 64  # events that need no more company: a row costs a third in a batch of 64 of what it costs in one of 8
COMMITTERS = 2
MAX_WAITING, MAX_WAITING_BYTES = 4096, 64 * 1024 * 1024
CONNECTION_SECONDS = 2.0
ACKNOWLEDGE_SECONDS = 8.0
LOOK_SECONDS = 0.25  # how exactly the time above is kept
ANNOUNCE_PAUSE_SECONDS = 0.01
TOLD_SECONDS = 30.0  # how often what became of deliveries is written down
COMMIT_TRIES = 3
STATEMENT_MILLISECONDS = 5000
COMMIT_SECONDS = 6.0  # beyond the server's own statement_timeout: a network that swallows everything
_PASSING = frozenset({"57P01", "57P02", "40001", "40P01"})  # shut down, crashed, serialisation failure, deadlock

log = logging.getLogger(__name__)


class _Waiting:
    """An event that was accepted and is not answered. A plain class: this is made for every one."""

    __slots__ = ("overdue", "row", "size", "stored")

    def __init__(self, row: repository.Row, size: int, stored: "asyncio.Future[None]", overdue: float) -> None:
        self.row, self.size, self.stored, self.overdue = row, size, stored, overdue


class Intake:
    """One a process and event loop; `counts` says what became of what came in."""

    def __init__(self, *, announce: Callable[[], object] = queue.announce_work) -> None:
        self.loop = asyncio.get_running_loop()
        self.counts: Counter[str] = Counter()
        self._outcomes = Outcomes()
        self._announce = announce
        # Not the loop's threads, which whatever else the process does can keep busy for seconds.
        self._announcer = ThreadPoolExecutor(1, thread_name_prefix="announce")
        self._follow(settings())
        self._waiting: deque[_Waiting] = deque()
        self._in_hand: dict[int, list[_Waiting]] = {}  # what each committer is at
        self._bytes = 0
        self._arrived, self._committed, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._collecting = asyncio.Lock()
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
                "options": f"-c statement_timeout={STATEMENT_MILLISECONDS} -c timezone=UTC",
            },
        )

    async def start(self) -> Self:
        """Start committing. PostgreSQL may be away: events are refused with 503 until it is there."""
        await self._pool.open(wait=False)
        for work in (*([self._commit_batches] * COMMITTERS), self._announce_commits, self._refuse_overdue, self._tell):
            self._run(work)
        return self

    async def stop(self) -> None:
        """Commit what was accepted, then close."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                while self._waiting or self._in_hand:
                    self._idle.clear()
                    await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._committed.is_set():  # the pause before it was cut short
            await self.loop.run_in_executor(self._announcer, self._announce)
        self._announcer.shutdown(wait=False)
        await self._write_outcomes()
        await self._pool.close()

    async def accept(self, raw: bytes, signature: str, *, connect: bool) -> str:
        """Verify and store one delivery; returns `stored` or `ignored` once it is committed or needs no storing.

        Raises `EndpointDisabledError`, `SignatureError`, `NotAnEventError`, or `NotStoredError` when PostgreSQL is
        away or too far behind, in which case Stripe sends the event again. A caller that goes away changes nothing:
        what was queued is committed all the same.
        """
        if settings() is not self._settings:
            self._follow(settings())
        secrets = self._secrets[connect]
        if not secrets:
            raise EndpointDisabledError
        try:
            verify(raw, signature, secrets, clock.now())
        except SignatureError as error:
            self.counts["bad_signature"] += 1
            self._outcomes.add(BAD_SIGNATURE, connect=connect)
            self._log_refusal(error.reason, connect=connect)
            raise
        envelope = service.read_envelope(raw)
        if envelope.livemode is not self._livemode:
            self.counts["wrong_mode"] += 1
            self._outcomes.add(WRONG_MODE, connect=connect)
            return "ignored"
        self._outcomes.add(ACCEPTED, connect=connect)
        outcome = "stored" if envelope.type in service.HANDLED_TYPES else "ignored"
        payload, verdict = (raw, "") if outcome == "stored" else (None, "ignored")
        try:
            await self._store((envelope.id, envelope.type, envelope.account, envelope.livemode, payload, verdict))
        except NotStoredError:
            self.counts["refused"] += 1
            raise
        self.counts[outcome] += 1
        return outcome

    def _follow(self, configured: Settings) -> None:
        """Take over settings: they are asked for with every delivery, and reading secrets out of them takes a while."""
        self._settings, self._livemode = configured, configured.livemode
        self._secrets = {connect: configured.webhook_secrets(connect=connect) for connect in (True, False)}

    def _log_refusal(self, reason: str, *, connect: bool) -> None:
        """One line a second at most: anybody can send forgeries, and the log is not theirs to fill."""
        if self.loop.time() >= self._silent_until:
            self._silent_until = self.loop.time() + 1.0
            facts = {"reason": reason, "connect": connect, "so_far": self.counts["bad_signature"]}
            log.warning("webhook.refused", extra={"facts": facts})

    def _store(self, row: repository.Row) -> "asyncio.Future[None]":
        """Queue the event; the future is done when it is committed. Raises `NotStoredError` where there is no room."""
        size = len(row[4] or b"")
        if self._stopping or len(self._waiting) >= MAX_WAITING or self._bytes + size > MAX_WAITING_BYTES:
            raise NotStoredError
        stored: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(_Waiting(row, size, stored, self.loop.time() + ACKNOWLEDGE_SECONDS))
        self._bytes += size
        self._arrived.set()
        return stored

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
            batch = await self._collect()
            self._in_hand[id(batch)] = batch
            try:
                await self._commit([waiting.row for waiting in batch])
            except (psycopg.Error, TimeoutError) as error:
                log.warning(
                    "webhook.not_stored",
                    extra={"facts": {"error": type(error).__name__, "events": len(batch), "state": _sqlstate(error)}},
                )
                batch += self._drain()  # they would only wait for the same
                _answer(batch, stored=False)
            except BaseException:
                _answer(batch, stored=False)
                raise
            else:
                crash_point("intake.committed")
                _answer(batch, stored=True)
                self._committed.set()
            finally:
                del self._in_hand[id(batch)]
                self._bytes -= sum(waiting.size for waiting in batch)
                self._idle.set()

    async def _collect(self) -> list[_Waiting]:
        """The next events to commit together. One committer collects at a time; the others are at their commits."""
        async with self._collecting:
            batch: list[_Waiting] = []
            while not batch:  # in the pause a failed commit may answer all who wait
                await self._arrived.wait()
                if len(self._waiting) < ENOUGH:
                    await asyncio.sleep(WINDOW_SECONDS)
                batch = self._take()
            return batch

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        if not self._waiting:
            self._arrived.clear()
        return batch

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
        drained = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        return drained

    async def _refuse_overdue(self) -> None:
        """Answer who has waited too long. What they sent stays queued and may yet be committed: that harms nobody."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self.loop.time()
            for batch in (*self._in_hand.values(), self._waiting):
                _answer([waiting for waiting in batch if waiting.overdue <= now], stored=False)

    async def _announce_commits(self) -> None:
        """Wake the workers, once for however many commits; in a thread, because Redis may be slow to answer."""
        while True:
            await self._committed.wait()
            await asyncio.sleep(
                ANNOUNCE_PAUSE_SECONDS
            )  # whoever was answered has the answer, and more may be committed
            self._committed.clear()
            crash_point("intake.acknowledged")
            await self.loop.run_in_executor(self._announcer, self._announce)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TOLD_SECONDS)
            await self._write_outcomes()

    async def _write_outcomes(self) -> None:
        """Write what became of deliveries, when there is something new; while PostgreSQL is away it waits."""
        if self._outcomes:
            with contextlib.suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(COMMIT_SECONDS), self._pool.connection() as connection:
                    await self._outcomes.write(connection, clock.now())


def _answer(batch: Iterable[_Waiting], *, stored: bool) -> None:
    for waiting in batch:
        if waiting.stored.done():  # its caller gave up
            continue
        if stored:
            waiting.stored.set_result(None)
        else:
            waiting.stored.set_exception(NotStoredError())


def _sqlstate(error: Exception) -> str | None:
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def _is_passing(error: psycopg.OperationalError) -> bool:
    """Whether another try makes sense at once: a connection that was cut, or a lost race; not a server that is away."""
    if error.sqlstate is None:
        return not isinstance(error, PoolTimeout)
    return error.sqlstate in _PASSING
