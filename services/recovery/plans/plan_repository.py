"""SQL of plans: what is due, whose customers' ghosts go with it, and what a plan is made from; set-wise."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, DateTime, Integer, String, and_, bindparam, exists, func, or_, tuple_
from sqlmodel import Session, col, select

from core.rows import entities, is_one_of, read
from models.ghost import CHASED_STATES, OPEN_STATES, GhostState, GhostTarget, ManualTask, ManualTaskState, Strategy
from services.merchants.policies import RecoveryPolicy
from services.messaging.history import SEND
from services.recovery.schemas import Apart, PlanRow

_COLUMNS: tuple[Any, ...] = tuple(getattr(GhostTarget, name) for name in PlanRow._fields)


def _planned_apart() -> ColumnElement[bool]:
    """Not chased, and yet a message of theirs stands planned, which takes a place of the customer's week."""
    return and_(
        col(GhostTarget.state).in_((GhostState.IMPENDING, GhostState.STOPPED)), col(GhostTarget.next_action) == SEND
    )


# As a table, so that PostgreSQL joins it, however many they are.
_ASKED = func.unnest(bindparam("asked", type_=ARRAY(String))).table_valued("id").render_derived()
_CHASED_OF_CUSTOMERS = (
    GhostTarget.merchant_id == bindparam("merchant_id", type_=String),
    col(GhostTarget.customer_id) == func.any(bindparam("customers", type_=ARRAY(String))),
    or_(col(GhostTarget.state).in_(CHASED_STATES), _planned_apart()),
    ~exists(select(_ASKED.c.id).where(_ASKED.c.id == GhostTarget.id)),
)
_BY_ID = col(GhostTarget.id)
# Built once: these are asked for in nearly every unit of work.
_PLANS_OF_CUSTOMERS = select(*_COLUMNS).where(*_CHASED_OF_CUSTOMERS).order_by(_BY_ID)
_GHOSTS_OF_CUSTOMERS = select(GhostTarget).where(*_CHASED_OF_CUSTOMERS).order_by(_BY_ID)
_LOCKED_OF_CUSTOMERS = _GHOSTS_OF_CUSTOMERS.with_for_update().execution_options(populate_existing=True)
_DUE = (
    select(*_COLUMNS)
    .where(
        GhostTarget.merchant_id == bindparam("merchant_id", type_=String),
        col(GhostTarget.next_action_at) <= bindparam("until", type_=DateTime(timezone=True)),
    )
    .order_by(col(GhostTarget.next_action_at), col(GhostTarget.id))
    .limit(bindparam("most", type_=Integer))
)
_DUE_AFTER = _DUE.where(
    tuple_(col(GhostTarget.next_action_at), col(GhostTarget.id))
    > tuple_(bindparam("after", type_=DateTime(timezone=True)), bindparam("after_id", type_=String))
)


def _rows(session: Session, statement: Any) -> list[PlanRow]:
    return list(map(PlanRow._make, session.execute(statement)))


def list_due(
    session: Session, merchant_id: str, until: datetime, limit: int, after: tuple[datetime, str] | None
) -> list[PlanRow]:
    """Ghosts whose next action is due by then, the first due first, after the given (time, id). Nothing is locked."""
    asked: dict[str, Any] = {"merchant_id": merchant_id, "until": until, "most": limit}
    if after is not None:
        asked |= {"after": after[0], "after_id": after[1]}
    return list(map(PlanRow._make, read(session, _DUE if after is None else _DUE_AFTER, **asked)))


def lock_ghosts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> list[GhostTarget]:
    """These ghosts as they are now, locked."""
    statement = (
        select(GhostTarget)
        .where(GhostTarget.merchant_id == merchant_id, is_one_of(col(GhostTarget.id), ghost_ids))
        .order_by(col(GhostTarget.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.exec(statement)) if ghost_ids else []


def list_chased_of_customers(
    session: Session, merchant_id: str, customer_ids: Sequence[str], asked: Sequence[str]
) -> list[PlanRow]:
    """What the plans of these customers' other ghosts are made from: of all that are chased, but for those asked."""
    if not customer_ids:
        return []
    return list(map(PlanRow._make, read(session, _PLANS_OF_CUSTOMERS, **_of(merchant_id, customer_ids, asked))))


def read_chased_of_customers(
    session: Session, merchant_id: str, customer_ids: Sequence[str], asked: Sequence[str]
) -> list[GhostTarget]:
    """The same ghosts whole; nothing is locked."""
    if not customer_ids:
        return []
    return entities(session, _GHOSTS_OF_CUSTOMERS, **_of(merchant_id, customer_ids, asked))


def lock_chased_of_customers(
    session: Session, merchant_id: str, customer_ids: Sequence[str], asked: Sequence[str]
) -> list[GhostTarget]:
    """The same ghosts whole, as they are now, locked."""
    if not customer_ids:
        return []
    return entities(session, _LOCKED_OF_CUSTOMERS, **_of(merchant_id, customer_ids, asked))


def _of(merchant_id: str, customer_ids: Sequence[str], asked: Sequence[str]) -> dict[str, Any]:
    return {"merchant_id": merchant_id, "customers": list(customer_ids), "asked": list(asked)}


def _open_of(merchant_id: str) -> tuple[Any, ...]:
    return GhostTarget.merchant_id == merchant_id, col(GhostTarget.state).in_(OPEN_STATES)


def _plannable_of(merchant_id: str, policy: RecoveryPolicy, now: datetime) -> tuple[Any, ...]:
    """Open ghosts, and those others to which something may be said once, or was to be said until the policy changed."""
    ways = [col(GhostTarget.state).in_(OPEN_STATES), _planned_apart()]
    if policy.protection_mails:
        ways.append(col(GhostTarget.state) == GhostState.IMPENDING)
    if policy.polite_note:
        stopped = (col(GhostTarget.state) == GhostState.STOPPED, col(GhostTarget.strategy) == Strategy.STOPPED)
        ways.append(
            and_(*stopped, col(GhostTarget.messages_sent) == 0, col(GhostTarget.found_at) > now - policy.window)
        )
    return GhostTarget.merchant_id == merchant_id, or_(*ways)


def count_open(session: Session, merchant_id: str) -> int:
    """How many ghosts are open, paused ones included."""
    return session.exec(select(func.count()).select_from(GhostTarget).where(*_open_of(merchant_id))).one()


def count_plannable(session: Session, merchant_id: str, policy: RecoveryPolicy, now: datetime) -> int:
    """How many ghosts the schedule has something to say of under this policy: open ones, and those apart."""
    plannable = _plannable_of(merchant_id, policy, now)
    return session.exec(select(func.count()).select_from(GhostTarget).where(*plannable)).one()


def list_plannable(session: Session, merchant_id: str, policy: RecoveryPolicy, now: datetime) -> list[PlanRow]:
    """What the plans of all of these are made from; for a merchant who has few."""
    return _rows(session, select(*_COLUMNS).where(*_plannable_of(merchant_id, policy, now)))


def list_plannable_page(
    session: Session, merchant_id: str, policy: RecoveryPolicy, now: datetime, offset: int, limit: int
) -> list[GhostTarget]:
    """A page of these, the latest found first."""
    statement = (
        select(GhostTarget)
        .where(*_plannable_of(merchant_id, policy, now))
        .order_by(col(GhostTarget.found_at).desc(), col(GhostTarget.id))
        .offset(offset)
        .limit(limit)
    )
    return list(session.exec(statement))


def list_plannable_after(
    session: Session, merchant_id: str, policy: RecoveryPolicy, now: datetime, after: str, limit: int
) -> list[PlanRow]:
    """What their plans are made from, in the order of their ids, after the given one."""
    statement = (
        select(*_COLUMNS)
        .where(*_plannable_of(merchant_id, policy, now), col(GhostTarget.id) > after)
        .order_by(col(GhostTarget.id))
        .limit(limit)
    )
    return _rows(session, statement)


def read_apart(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> dict[str, Apart]:
    """What is needed besides of these ghosts, which are not chased, by their ids."""
    if not ghost_ids:
        return {}
    columns: tuple[Any, ...] = tuple(getattr(GhostTarget, name) for name in Apart._fields)
    statement = select(GhostTarget.id, *columns).where(
        GhostTarget.merchant_id == merchant_id, is_one_of(col(GhostTarget.id), ghost_ids)
    )
    return {row[0]: Apart(*row[1:]) for row in session.execute(statement)}


def list_by_people(
    session: Session, merchant_id: str, ghost_ids: Sequence[str]
) -> dict[str, tuple[datetime | None, bool]]:
    """Of these ghosts that people decide about: when one last let a message go, and whether one is done with it."""
    if not ghost_ids:
        return {}
    done = (col(ManualTask.state) == ManualTaskState.DONE) & col(ManualTask.closed_by).is_not(None)
    rows = session.exec(
        select(ManualTask.ghost_id, ManualTask.released_at, done).where(
            ManualTask.merchant_id == merchant_id, is_one_of(col(ManualTask.ghost_id), ghost_ids)
        )
    )
    return {ghost_id: (released_at, is_done) for ghost_id, released_at, is_done in rows}


def count_due(session: Session, merchant_id: str, action: str, until: datetime, most: int) -> int:
    """How many ghosts have this action due by then, counted up to `most`."""
    due = select(GhostTarget.id).where(*_due(merchant_id, action, until)).limit(most).subquery()
    return session.exec(select(func.count()).select_from(due)).one()


def list_next(session: Session, merchant_id: str, action: str, until: datetime, limit: int) -> list[GhostTarget]:
    """The first ghosts that have this action due by then."""
    statement = select(GhostTarget).where(*_due(merchant_id, action, until))
    order = (col(GhostTarget.next_action_at), col(GhostTarget.id))
    return list(session.exec(statement.order_by(*order).limit(limit)))


def _due(merchant_id: str, action: str, until: datetime) -> tuple[Any, ...]:
    return (
        GhostTarget.merchant_id == merchant_id,
        col(GhostTarget.next_action_at) <= until,
        GhostTarget.next_action == action,
    )
