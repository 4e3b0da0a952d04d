"""What can go wrong with a task, and the two things a handler may say instead of failing."""

from datetime import datetime, timedelta

from core.errors import BadRequestError, NotFoundError, PhantomError


class TaskNotFoundError(NotFoundError):
    code, title = "task_not_found", "There is no such task"


class UnknownKindError(PhantomError):
    """A task whose kind no handler is written for; trying again would not help."""

    code, title = "unknown_task_kind", "Nothing here knows how to do this task"


class NotStorableError(BadRequestError):
    """A payload or result that PostgreSQL's `jsonb` cannot hold: not JSON, NUL characters, lone surrogates."""

    code, title = "task_data_not_storable", "The task's data cannot be stored"


class ResultTooLargeError(NotStorableError):
    code, title = "task_result_too_large", "The task's result is too large to keep"


class Retry(Exception):
    """Raised by a handler that must wait and has not failed: a rate limit, a vendor away, a worker stopping.

    The attempt does not count. Give `at` (aware) for a moment that is known; with nothing it runs again as soon as
    possible. Give `after` while somebody is away: a pause that grows each time in a row, jittered, until the task is
    given up for a person to see (`backoff.MOST_PAUSES`).
    """

    def __init__(self, *, at: datetime | None = None, after: timedelta | None = None, reason: str = "") -> None:
        super().__init__(reason or "run again later")
        self.at = at
        self.after = after
        self.reason = reason

    @property
    def at_least(self) -> timedelta:
        """How long the vendor asked to be left alone, where it was raised from an error that knows (`retry_after`)."""
        return timedelta(seconds=getattr(self.__cause__, "retry_after", None) or 0.0)


class Discard(Exception):
    """Raised by a handler whose task has become pointless: it is done, and `reason` is its result."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
