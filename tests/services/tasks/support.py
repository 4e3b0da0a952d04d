"""Short forms for tests of the queue."""

from typing import Any

from sqlalchemy import text

from core import db
from models.work import TaskLane
from services.tasks import service
from services.tasks.schemas import ClaimedTask


def put(kind: str = "probe", **options: Any) -> int | None:
    if kind == "long_probe":
        options.setdefault("lane", TaskLane.LONG)
    with db.system_session() as session:
        return service.schedule(session, kind=kind, **options)


def claim(limit: int = 10, owner: str = "me", **options: Any) -> list[ClaimedTask]:
    with db.system_session() as session:
        return service.claim(session, owner, limit, **options)


def row(task_id: int | None) -> dict[str, Any]:
    [found] = rows("select * from scheduled_tasks where id = :id", id=task_id)
    return found


def rows(query: str, **parameters: object) -> list[dict[str, Any]]:
    with db.system_session() as session:
        return [dict(found) for found in session.execute(text(query), parameters).mappings()]


def states() -> list[str]:
    return [found["state"] for found in rows("select state from scheduled_tasks order by id")]
