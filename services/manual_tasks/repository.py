"""All SQL of manual tasks; every statement names the merchant."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import func
from sqlalchemy import select as any_select  # SQLModel types four columns at most
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models.ghost import GhostTarget, ManualTask, ManualTaskState
from models.identity import User

_Assignee, _Closer = aliased(User), aliased(User)
_COLUMNS: tuple[Any, ...] = (ManualTask, GhostTarget, _Assignee.name, _Assignee.email, _Closer.name, _Closer.email)


class Joined(NamedTuple):
    """A task, its ghost, and the names of whom it is given to and who closed it."""

    task: ManualTask
    ghost: GhostTarget
    assignee: str
    closer: str


def _lines() -> Any:
    return (
        any_select(*_COLUMNS)
        .join(
            GhostTarget,
            (col(GhostTarget.merchant_id) == ManualTask.merchant_id) & (col(GhostTarget.id) == ManualTask.ghost_id),
        )
        .outerjoin(_Assignee, col(_Assignee.id) == ManualTask.assignee_id)
        .outerjoin(_Closer, col(_Closer.id) == ManualTask.closed_by)
    )


def list_page(session: Session, merchant_id: str, state: ManualTaskState, offset: int, limit: int) -> list[Joined]:
    """Tasks with their ghosts and people: the open ones oldest first, the done ones as they were closed."""
    newest_first = (col(ManualTask.closed_at).desc(), col(ManualTask.id))
    oldest_first = (col(ManualTask.created_at), col(ManualTask.id))
    statement = _lines().where(ManualTask.merchant_id == merchant_id, ManualTask.state == state)
    order = oldest_first if state is ManualTaskState.OPEN else newest_first
    return _joined(session, statement.order_by(*order).offset(offset).limit(limit))


def list_lines(session: Session, merchant_id: str, task_ids: Sequence[str]) -> list[Joined]:
    """The same of these tasks, oldest first."""
    statement = _lines().where(ManualTask.merchant_id == merchant_id, col(ManualTask.id).in_(task_ids))
    return _joined(session, statement.order_by(col(ManualTask.created_at), col(ManualTask.id)))


def _joined(session: Session, statement: Any) -> list[Joined]:
    return [
        Joined(task, ghost, name or email or "", closer_name or closer_email or "")
        for task, ghost, name, email, closer_name, closer_email in session.execute(statement)
    ]


def count(session: Session, merchant_id: str, state: ManualTaskState) -> int:
    return session.exec(
        select(func.count())
        .select_from(ManualTask)
        .where(ManualTask.merchant_id == merchant_id, ManualTask.state == state)
    ).one()


def get(session: Session, merchant_id: str, task_id: str, *, lock: bool = False) -> ManualTask | None:
    statement = select(ManualTask).where(ManualTask.merchant_id == merchant_id, ManualTask.id == task_id)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.exec(statement).first()


def get_of_ghost(session: Session, merchant_id: str, ghost_id: str) -> ManualTask | None:
    return session.exec(
        select(ManualTask).where(ManualTask.merchant_id == merchant_id, ManualTask.ghost_id == ghost_id)
    ).first()


def lock_unalerted(session: Session, merchant_id: str, limit: int) -> Sequence[ManualTask]:
    """Open tasks nobody was told of yet, oldest first, locked."""
    return session.exec(
        select(ManualTask)
        .where(
            ManualTask.merchant_id == merchant_id,
            ManualTask.state == ManualTaskState.OPEN,
            col(ManualTask.alerted_at).is_(None),
        )
        .order_by(col(ManualTask.created_at), col(ManualTask.id))
        .limit(limit)
        .with_for_update()
    ).all()
