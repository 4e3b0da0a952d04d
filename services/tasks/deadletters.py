"""Dead letters: the tasks that gave up, for a person to look at, to run again or to lay aside.

The session is the merchant's own (row-level security holds) or the platform's with `merchant_id` as the filter.
Whoever calls `replay`, `replay_all` or `delete_dead` for a person writes that to the audit log in the same session.
"""

from sqlmodel import Session

from core import clock
from models.work import TaskState
from services.tasks import deadletters_repository as repository
from services.tasks.errors import TaskNotFoundError
from services.tasks.schemas import TaskView
from services.tasks.service import replay

__all__ = ["PAGE", "delete_dead", "list_dead", "replay", "replay_all"]

PAGE = 50
REPLAY_AT_ONCE = 1000


def list_dead(
    session: Session, merchant_id: str | None, *, limit: int = PAGE, before_id: int | None = None
) -> list[TaskView]:
    """A merchant's dead tasks, newest first; the whole platform's for None (system session).

    The next page begins before the last id of this one: give it as `before_id`.
    """
    rows = repository.list_dead(session, merchant_id, limit, before_id)
    return [TaskView(**{**row._mapping, "state": TaskState(row.state)}) for row in rows]


def replay_all(
    session: Session, merchant_id: str | None, *, kind: str | None = None, limit: int = REPLAY_AT_ONCE
) -> int:
    """Run up to `limit` dead tasks of a merchant again, oldest first, of one `kind` or of all; how many.

    Attempts and deaths begin afresh. None as the merchant means the whole platform (system session).
    """
    return repository.replay_all(session, merchant_id, kind, limit, clock.now())


def delete_dead(session: Session, task_id: int, merchant_id: str | None) -> None:
    """Lay a dead task aside: it counts as done, says so in its result, and is pruned with the others after a week.

    The row stays that long because its key must stay taken: a schedule's slot or an event whose task had vanished
    would be given a new one within a minute. The event of a `handle_event` is handled by this (`laid_aside`), and its
    payload emptied. Raises `TaskNotFoundError` when there is no such dead task, or it is another merchant's.
    """
    if not repository.lay_aside(session, task_id, merchant_id, clock.now()):
        raise TaskNotFoundError("There is no dead task with this number.")
