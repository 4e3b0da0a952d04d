"""Handlers for tests, in this process and in a worker's. A task's payload says what its handler shall do."""

import contextlib
import itertools
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import redis

from core import db, queue
from core.logging import correlation_id
from jobs import registry
from services.tasks import service as tasks
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

RAN = "probe:ran"  # a Redis list of task ids, in the order their handlers started
GO = "probe:go"  # a Redis list a handler may wait at

_forever = threading.Lock()
_forever.acquire()

seen: list[ClaimedTask] = []
hooks: dict[str, Callable[[ClaimedTask], dict[str, Any] | None]] = {}


def run(task: ClaimedTask) -> dict[str, Any] | None:
    seen.append(task)
    return ACTIONS[task.payload.get("do", "return")](task)


def _return(task: ClaimedTask) -> dict[str, Any] | None:
    return task.payload.get("result")


def _fail(task: ClaimedTask) -> None:
    raise ValueError(f"attempt {task.attempts} of whsec_aaaaaaaaaaaaaaaa")


def _retry(task: ClaimedTask) -> None:
    raise Retry(after=timedelta(minutes=3), reason="rate limit")


def _discard(task: ClaimedTask) -> None:
    raise Discard("paid already")


def _follow(task: ClaimedTask) -> dict[str, str]:
    with db.system_session() as session:
        tasks.schedule(session, kind="probe", payload={"do": "return"}, merchant_id=task.merchant_id)
    return {"correlation": correlation_id()}


def _exit(task: ClaimedTask) -> None:
    raise SystemExit(3)


def _hang(task: ClaimedTask) -> None:
    while True:
        select.select([], [], [], 60)


def _deaf(task: ClaimedTask) -> None:
    """Wait in C code that no signal of this process interrupts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})
    _forever.acquire()


def _lockjaw(task: ClaimedTask) -> None:
    """Compute in C code that keeps the interpreter's lock, so that no other thread runs either."""
    sum(itertools.repeat(1))


def _huge(task: ClaimedTask) -> dict[str, str]:
    return {"text": "x" * 50_000_000}


def _nul(task: ClaimedTask) -> dict[str, str]:
    return {"text": "a\x00b"}


def _hook(task: ClaimedTask) -> dict[str, Any] | None:
    return hooks[task.payload["hook"]](task)


def _report(task: ClaimedTask) -> None:
    _redis().rpush(RAN, task.id)


def _wait(task: ClaimedTask) -> None:
    """Say that it started, then wait to be let go."""
    _report(task)
    _redis().blpop([GO], timeout=60)


def _die(task: ClaimedTask) -> None:
    _report(task)
    os.kill(os.getpid(), signal.SIGKILL)


def _redis() -> redis.Redis:
    return redis.Redis.from_url(queue.connection_url())


ACTIONS: dict[str, Callable[[ClaimedTask], dict[str, Any] | None]] = {
    "return": _return,
    "fail": _fail,
    "retry": _retry,
    "discard": _discard,
    "follow": _follow,
    "exit": _exit,
    "hang": _hang,
    "deaf": _deaf,
    "lockjaw": _lockjaw,
    "huge": _huge,
    "nul": _nul,
    "hook": _hook,
    "report": _report,
    "wait": _wait,
    "die": _die,
}


def register(limit: float = 60) -> None:
    """Make `probe` and `long_probe` kinds of this process."""
    registry.KINDS["probe"] = registry.Kind("tests.jobs.probe", timedelta(seconds=limit))
    registry.KINDS["long_probe"] = registry.Kind("tests.jobs.probe", timedelta(seconds=limit))


@contextlib.contextmanager
def registered(limit: float = 60) -> Iterator[None]:
    """The same for the length of a block."""
    register(limit)
    try:
        yield
    finally:
        for kind in ("probe", "long_probe"):
            registry.KINDS.pop(kind, None)
        hooks.clear()
        seen.clear()
