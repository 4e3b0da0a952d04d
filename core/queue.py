"""Redis as the muscle: RQ queues and the channel that tells open browsers what changed.

Nothing here is the truth: tasks live in PostgreSQL, and losing Redis loses no work. What announces
therefore never raises for Redis' sake: whoever calls it has committed already, and the Sentinel's sweeper finds
what was not announced.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from core.config import settings

CHANGED_CHANNEL = "phantom:changed"
WAKE_KEY = "phantom:wake"
TASK_QUEUE = "phantom-tasks"
LONG_TASK_QUEUE = "phantom-long-tasks"
BATCH_FUNCTION = "jobs.worker.run_batch"

WAKE_MILLISECONDS = 2000  # how long a wake-up that a dying worker swallowed can hold others back
MAX_QUEUED_BATCHES = 32
ANNOUNCE_SECONDS = 0.4
AWAY_SECONDS = 1.0

log = logging.getLogger(__name__)


def connection_url() -> str:
    """Where Redis is, password included: for RQ's worker, which needs a client of its own."""
    return settings().redis_url.get_secret_value()


def _client(timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        connection_url(),
        socket_connect_timeout=min(timeout, 2),
        socket_timeout=timeout,
        health_check_interval=15,
        retry=at_once(),
    )


def at_once() -> Retry:
    """How clients of Redis try again: once, for a connection that broke, never for a server that is silent.

    The library's own way waits several times the time-out, and sleeps in between.
    """
    return Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))


@functools.cache
def connection() -> redis.Redis:
    """The process's Redis client; time-outs keep a silent Redis from holding a request."""
    return _client(5)


@functools.cache
def _announcer() -> redis.Redis:
    """Announcing happens inside somebody's request: it waits for less than half a second."""
    return _client(ANNOUNCE_SECONDS)


def task_queue(name: str = TASK_QUEUE, *, client: redis.Redis | None = None) -> Queue:
    """A queue whose jobs each carry a batch of durable tasks. JSON, because pickle from Redis runs code."""
    return Queue(name, connection=client or connection(), serializer=JSONSerializer)


class _Outage:
    """Remembers that Redis is away: says so once, and spares callers the time-out for a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._away = False

    def attempt(self, action: Callable[[], None]) -> bool:
        """Whether `action` was done; False when Redis is away."""
        if self._away and time.monotonic() < self._until:
            return False
        try:
            action()
        except redis.RedisError as error:
            self._note(away=True, reason=type(error).__name__)
            return False
        if self._away:
            self._note(away=False, reason="")
        return True

    def forget(self) -> None:
        self._away = False

    def _note(self, *, away: bool, reason: str) -> None:
        with self._lock:
            changed, self._away = self._away != away, away
            self._until = time.monotonic() + AWAY_SECONDS
        if changed and away:
            log.warning("queue.redis_away", extra={"facts": {"reason": reason}})
        elif changed:
            log.info("queue.redis_back")


_outage = _Outage()


def worker_heartbeats() -> list[datetime]:
    """When each worker's lane last told Redis of itself, in the machine's time. Raises `redis.RedisError`."""
    client = connection()
    beats = [worker.last_heartbeat for worker in Worker.all(connection=client, serializer=JSONSerializer)]
    return [beat if beat.tzinfo else beat.replace(tzinfo=UTC) for beat in beats if beat is not None]


def announce_work(name: str = TASK_QUEUE) -> bool:
    """Wake a worker: call it after the commit, once for however many tasks. False when Redis is away.

    One RQ job stands for all the work there is, so a second announcement adds nothing until a worker has taken
    the first (`work_taken`, which it calls before it looks for tasks: nothing committed earlier can be missed).
    """
    return _outage.attempt(functools.partial(_enqueue_batch, name))


def _enqueue_batch(name: str) -> None:
    client = _announcer()
    if not client.set(f"{WAKE_KEY}:{name}", b"1", nx=True, px=WAKE_MILLISECONDS):
        return
    queue = task_queue(name, client=client)
    if queue.count < MAX_QUEUED_BATCHES:
        queue.enqueue_call(BATCH_FUNCTION, args=[name], timeout=-1, result_ttl=0, failure_ttl=60)


def work_taken(name: str = TASK_QUEUE) -> bool:
    """Said by a worker before it claims: from now on work needs a new announcement. False when Redis is away."""

    def forget() -> None:
        _announcer().delete(f"{WAKE_KEY}:{name}")

    return _outage.attempt(forget)


def answers() -> bool:
    """Whether Redis answers at once."""

    def ask() -> None:
        _announcer().ping()

    return _outage.attempt(ask)


def announce_change(merchant_id: str) -> bool:
    """Tell open pages of this merchant that something they show has changed; after the commit."""
    return announce_changes([merchant_id])


def announce_changes(merchant_ids: Collection[str]) -> bool:
    """The same for several merchants, in one round trip. False when Redis is away."""

    def publish() -> None:
        with _announcer().pipeline(transaction=False) as pipeline:
            for merchant_id in merchant_ids:
                pipeline.publish(CHANGED_CHANNEL, merchant_id)
            pipeline.execute()

    return _outage.attempt(publish) if merchant_ids else True


def script(text: str, keys: Sequence[str], arguments: Sequence[str]) -> bytes | None:
    """What a Lua script answers that counts where all processes see it; None when Redis is away."""
    found: list[bytes] = []

    def run() -> None:
        found.append(cast(bytes, _announcer().eval(text, len(keys), *keys, *arguments)))

    return found[0] if _outage.attempt(run) else None


def disconnect() -> None:
    """Close this process's connections and forget outages: after a fork, and at shutdown."""
    _outage.forget()
    for client in (connection, _announcer):
        if client.cache_info().currsize:
            client().close()
            client.cache_clear()
