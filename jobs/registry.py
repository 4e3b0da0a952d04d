"""Which code runs which kind of task; imported on demand, so that a worker starts before it needs a vendor's SDK."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.queue import LONG_TASK_QUEUE, TASK_QUEUE
from services.tasks.errors import UnknownKindError
from services.tasks.schemas import ClaimedTask

Handler = Callable[[ClaimedTask], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind's `run` lives and how long one run may take. Long kinds have a lane of their own."""

    module: str
    limit: timedelta = timedelta(seconds=60)
    long: bool = False


KINDS: dict[str, Kind] = {
    "handle_event": Kind("jobs.handle_event"),
    "hunt": Kind("jobs.hunt", timedelta(hours=2), long=True),
    "pulse": Kind("jobs.pulse", timedelta(minutes=5)),
    "dunning_retry": Kind("jobs.dunning_retry"),
    "send_message": Kind("jobs.send_message"),
    "notify_action_required": Kind("jobs.notify_action_required"),
    "report_usage": Kind("jobs.report_usage", timedelta(minutes=30), long=True),
    "send_weekly_digest": Kind("jobs.send_weekly_digest", timedelta(minutes=5)),
    "purge_pii": Kind("jobs.purge_pii", timedelta(minutes=30), long=True),
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
    """A queue and the kinds that run in it: a hunt of minutes must not stand before a webhook."""

    queue: str
    batch: int
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()


def lanes() -> dict[str, Lane]:
    """Both lanes by name. What is unknown runs in the quick one, where it is found out."""
    long = tuple(sorted(name for name, kind in KINDS.items() if kind.long))
    return {
        "quick": Lane(TASK_QUEUE, batch=100, without=long),
        "long": Lane(LONG_TASK_QUEUE, batch=1, only=long),
    }
