"""Redis as the muscle: RQ queues and the channel that tells open browsers what changed.

Nothing here is the truth: tasks live in PostgreSQL, and losing Redis loses no work (PRODUCT §7.5).
"""

import functools

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from core.config import settings

CHANGED_CHANNEL = "phantom:changed"
WAKE_KEY = "phantom:wake"
TASK_QUEUE = "phantom-tasks"


@functools.cache
def connection() -> redis.Redis:
    """The process's Redis client; time-outs keep a silent Redis from holding a request."""
    return redis.Redis.from_url(
        settings().redis_url.get_secret_value(),
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=15,
    )


def task_queue() -> Queue:
    """The queue whose jobs each carry a batch of durable tasks. JSON, because pickle from Redis runs code."""
    return Queue(TASK_QUEUE, connection=connection(), serializer=JSONSerializer)
