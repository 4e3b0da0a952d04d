"""The control of `tasks`: RQ alone. `python -m benchmarks.bare_rq simple|forking URL` works until told to stop."""

import sys

import redis
from rq import Queue, SimpleWorker, Worker


def queue_of(kind: str, connection: redis.Redis) -> Queue:
    """The queue of one kind of worker: the other kind is up too and must not take from it."""
    return Queue(f"bare-{kind}", connection=connection)


def nothing() -> None:
    """The job."""


def main(kind: str, url: str) -> None:
    connection = redis.Redis.from_url(url)
    worker = (SimpleWorker if kind == "simple" else Worker)([queue_of(kind, connection)], connection=connection)
    worker.log_result_lifespan = False
    worker.work(logging_level="ERROR")


if __name__ == "__main__":
    main(*sys.argv[1:])
