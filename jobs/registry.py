"""Which code runs which kind of task; imported on demand, so that a worker starts before it needs a vendor's SDK."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.queue import LONG_TASK_QUEUE, TASK_QUEUE
from models.work import TaskLane
from services.tasks.errors import UnknownKindError
from services.tasks.schemas import ClaimedTask

Handler = Callable[[ClaimedTask], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind's `run` lives and how long one run may take; services/tasks/lanes.py says in which lane it waits."""

    module: str
    limit: timedelta = timedelta(seconds=60)


KINDS: dict[str, Kind] = {
    "handle_event": Kind("jobs.handle_event"),
    "hunt": Kind("jobs.hunt", timedelta(hours=2)),
    "pulse": Kind("jobs.pulse", timedelta(minutes=5)),
    "dunning_retry": Kind("jobs.dunning_retry"),
    "send_message": Kind("jobs.send_message"),
    "notify_action_required": Kind("jobs.notify_action_required"),
    "report_usage": Kind("jobs.report_usage", timedelta(minutes=30)),
    "send_weekly_digest": Kind("jobs.send_weekly_digest", timedelta(minutes=5)),
    "purge_pii": Kind("jobs.purge_pii", timedelta(minutes=30)),
    "deliver_webhook": Kind("jobs.deliver_webhook"),
}


def handler(kind: str) -> Handler:
    """The function that runs tasks of `kind`. Raises `UnknownKindError` when there is none (yet)."""
    known = KINDS.get(kind)
    if known is None:
        raise UnknownKindError(f"No handler is registered for tasks of the kind {kind!r}.")
    try:
        module = importlib.import_module(known.module)
    except ModuleNotFoundError as error:
        if error.name != known.module:
            raise  # the handler exists and something it needs does not: a failure to be retried and seen
        raise UnknownKindError(f"Tasks of the kind {kind!r} are not built yet: {known.module} is missing.") from None
    run: Handler = module.run
    return run


def limit(kind: str) -> timedelta:
    """How long one run of this kind may take."""
    return KINDS[kind].limit if kind in KINDS else Kind("").limit


@dataclass(frozen=True, slots=True)
class Lane:
    """The RQ queue that wakes a lane's workers, and how many tasks they claim at once."""

    name: TaskLane
    queue: str
    batch: int


LANES = (
    Lane(TaskLane.QUICK, TASK_QUEUE, batch=100),
    Lane(TaskLane.LONG, LONG_TASK_QUEUE, batch=1),
)


def lane(name: str) -> Lane:
    """The lane of this name."""
    return next(each for each in LANES if each.name == name)


def lane_of_queue(queue_name: str) -> Lane:
    """The lane this RQ queue wakes."""
    return next(each for each in LANES if each.queue == queue_name)
