"""A worker with one more kind of task: it says where it runs, and waits to be let go there.

`python -m tests.deploy.probe_worker HOST`
"""

import sys
from datetime import timedelta
from typing import Any

import redis

from core import queue
from jobs import registry
from services.tasks.schemas import ClaimedTask

KIND = "lab_probe"
RAN = "lab:ran"
_host = ""


def go(host: str) -> str:
    """The Redis list at which a host's handler waits."""
    return f"lab:go:{host}"


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task's handler."""
    with redis.Redis.from_url(queue.connection_url()) as client:
        client.rpush(RAN, f"{task.id} {_host}")
        client.blpop([go(_host)], timeout=90)
    return {"host": _host}


def main() -> int:
    global _host
    _host = sys.argv[1]
    registry.KINDS[KIND] = registry.Kind("tests.deploy.probe_worker", timedelta(seconds=100))
    from jobs import worker

    return worker.main([])


if __name__ == "__main__":
    # the handler is found by its module's name; without this, that copy would not know its host
    from tests.deploy.probe_worker import main as imported_main

    sys.exit(imported_main())
