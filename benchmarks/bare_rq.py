"""The control of `tasks`: RQ alone. `python -m benchmarks.bare_rq simple|forking URL` works until told to stop."""

import sys

import redis
from rq import Queue, SimpleWorker, Worker

QUEUE = "bare"


def nothing() -> None:
    """The job."""


def main(kind: str, url: str) -> None:
    connection = redis.Redis.from_url(url)
    worker = (SimpleWorker if kind == "simple" else Worker)(
        [Queue(QUEUE, connection=connection)], connection=connection
    )
    worker.log_result_lifespan = False
    worker.work(logging_level="ERROR")


if __name__ == "__main__":
    main(*sys.argv[1:])
