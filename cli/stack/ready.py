"""Waits until a process really does its work, and turns one that cannot into a single clear line."""

import contextlib
import http.client
import select
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.errors import CommandError
from cli.stack.supervisor import Supervisor
from core.embedded.process import last_complaint

_LOOK_EVERY = 0.05
_HTTP_SECONDS = 5.0
# What a server says while the one before it on the same folder is still ending; the supervisor tries again
_PASSING = ("postmaster.pid", "shared memory block", "starting up", "shutting down", "Address already in use")


def pause() -> None:
    """Give the processor away until the next look."""
    select.select([], [], [], _LOOK_EVERY)


def wait_ready(
    supervisor: Supervisor, name: str, is_ready: Callable[[], bool], *, log: Path, log_start: int, timeout: float
) -> None:
    """Return when `is_ready`. Raises `CommandError` with the process's own last words when it ended or is too slow."""
    deadline = time.monotonic() + timeout
    while not is_ready():
        state = supervisor.process(name)
        complaint = last_complaint(log, log_start)
        if state.gave_up and (state.state == "FATAL" or not any(words in complaint for words in _PASSING)):
            raise CommandError(f"{name} does not start: {complaint or f'see {log}'}")
        if time.monotonic() > deadline:
            raise CommandError(f"{name} is not ready after {timeout:.0f} s: {complaint or f'see {log}'}")
        pause()


def postgres_answers(url: str) -> bool:
    """Whether PostgreSQL takes a connection with this login. Raises `CommandError` when waiting would not help."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise CommandError(
                "PostgreSQL refuses the kept password: its data has older secrets; remove .phantom to begin anew"
            ) from None
        return False
    return True


def redis_answers(url: str) -> bool:
    """Whether Redis has loaded its data and accepts the password."""
    at_once = Retry(NoBackoff(), 0)  # its own default tries for ten seconds, even with a wrong password
    with (
        contextlib.suppress(redis.RedisError),
        redis.Redis.from_url(url, socket_connect_timeout=2, retry=at_once) as client,
    ):
        return bool(client.ping())
    return False


def fetch(url: str, timeout: float = _HTTP_SECONDS) -> tuple[int, bytes] | None:
    """Status and body of a GET on this machine, past any proxy; None when nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, http.client.HTTPException):
        return None


def http_answers(url: str) -> bool:
    """Whether a GET succeeds."""
    answer = fetch(url)
    return answer is not None and answer[0] < 400
