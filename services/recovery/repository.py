"""All SQL about ghosts, their events, the ledger and attempts; every statement names the merchant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, String, and_, bindparam, exists, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core.rows import entities, entity, insert_rows, is_one_of, read
from models.ghost import (
    COLLECTIBLE_STATES,
    GIVEN_UP,
    UNPAID_STATES,
    GhostEvent,
    GhostKind,
    GhostState,
    GhostTarget,
    ManualTask,
    ManualTaskState,
)
from models.money import UNSETTLED, AttemptSource, AttemptState, PaymentAttempt, Recovery
from services.recovery.lifecycle import Trigger
from services.recovery.schemas import GhostQuery

_MERCHANT = bindparam("merchant_id", type_=String)
_GHOSTS = select(GhostTarget).where(GhostTarget.merchant_id == _MERCHANT)
_LOCKED = {"populate_existing": True}
# Built once: these are asked for in nearly every unit of work.
_BY_INVOICES = (
    _GHOSTS.where(col(GhostTarget.invoice_id) == func.any(bindparam("ids", type_=ARRAY(String))))
    .order_by(col(GhostTarget.id))
    .with_for_update()
    .execution_options(**_LOCKED)
)
_BY_ID = _GHOSTS.where(GhostTarget.id == bindparam("id", type_=String))
_BY_ID_LOCKED = _BY_ID.with_for_update().execution_options(**_LOCKED)
_CUSTOMERS_OF_GHOSTS = text("select customer_id from ghost_targets where merchant_id = :merchant_id and id = any(:ids)")
_CUSTOMERS_OF_INVOICES = text(
    "select invoice_id, customer_id from ghost_targets where merchant_id = :merchant_id and invoice_id = any(:ids)"
)
_CUSTOMER_OF_MESSAGE = text("""
select customer_id from ghost_targets where merchant_id = :merchant_id
    and id = (select ghost_id from messages where merchant_id = :merchant_id and id = :message_id)
""")
_HAS_GHOST = text(
    "select exists (select from ghost_targets where merchant_id = :merchant_id and invoice_id = :invoice_id)"
)
_UNPAID_OF_SUBSCRIPTION = text("""
select invoice_id from ghost_targets
where merchant_id = :merchant_id and subscription_id = :subscription_id and kind = 'failed' and state = any(:states)
    and (state <> 'lost' or close_reason = :given_up)
order by id
""")
_PAID_BY_INTENTS = text("""
select payment_intent_id, invoice_id, state from ghost_targets
where merchant_id = :merchant_id and payment_intent_id = any(:ids) and state in ('recovered', 'reversed')
union
select part.payment_intent_id, ghost.invoice_id, ghost.state from payment_parts as part
    join ghost_targets as ghost on ghost.merchant_id = part.merchant_id and ghost.id = part.ghost_id
where part.merchant_id = :merchant_id and part.payment_intent_id = any(:ids) and part.amount_cents > 0
    and ghost.state in ('recovered', 'reversed')
order by invoice_id
""")
_CARRIERS = text("""
select subscription_id from ghost_targets
where merchant_id = :merchant_id and subscription_id = any(:ids) and state = any(:states) and shadow_cents > 0
""")
_UNPAID = sorted(UNPAID_STATES)
REPEATED_FOR = timedelta(days=1)  # for longer no charge that was begun is called again: Stripe has forgotten its key

_NEXT_CARRIER = (
    _GHOSTS.where(
        GhostTarget.subscription_id == bindparam("subscription_id", type_=String),
        GhostTarget.id != bindparam("id", type_=String),
        # Lost and stopped ghosts belong to subscriptions that ended: nothing recurs there any more.
        col(GhostTarget.state).in_(sorted(COLLECTIBLE_STATES)),
    )
    .order_by(col(GhostTarget.found_at))
    .limit(1)
    .with_for_update()
)
_ATTEMPT = select(PaymentAttempt).where(
    PaymentAttempt.merchant_id == _MERCHANT, PaymentAttempt.idempotency_key == bindparam("key", type_=String)
)


@dataclass(frozen=True, slots=True)
class _Sort:
    """How the list is sorted by a column: as an index has it, or as that index is read backwards."""

    key: Any
    ascends: bool  # which of both the index is, whose last entries are those without a value
    forwards: tuple[Any, ...]
    backwards: tuple[Any, ...]
    may_be_empty: bool = False


_FOUND, _ID = col(GhostTarget.found_at), col(GhostTarget.id)
_AMOUNT, _NEXT = col(GhostTarget.amount_cents), col(GhostTarget.next_action_at)
_SEEN = col(GhostTarget.last_presence_at)
_SORTS = {
    "found": _Sort(_FOUND, False, (_FOUND.desc(), _ID), (_FOUND, _ID.desc())),
    "amount": _Sort(_AMOUNT, False, (_AMOUNT.desc(), _ID), (_AMOUNT, _ID.desc())),
    "next": _Sort(_NEXT, True, (_NEXT, _ID), (_NEXT.desc(), _ID.desc()), may_be_empty=True),
    # Those never seen have the newest first, as the list has without presence.
    "active": _Sort(
        _SEEN, False, (_SEEN.desc().nulls_last(), _FOUND.desc(), _ID), (_SEEN.nulls_first(), _FOUND, _ID.desc()), True
    ),
}


def lock_by_invoices(session: Session, merchant_id: str, invoice_ids: Sequence[str]) -> dict[str, GhostTarget]:
    """The ghosts of these invoices, locked until the transaction ends, by invoice id."""
    found = entities(session, _BY_INVOICES, merchant_id=merchant_id, ids=list(invoice_ids))
    return {ghost.invoice_id: ghost for ghost in found}


def customers_of_ghosts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> list[str | None]:
    """The customer of each of these ghosts, as far as known; nothing is locked or kept in the session."""
    return list(read(session, _CUSTOMERS_OF_GHOSTS, merchant_id=merchant_id, ids=list(ghost_ids)).scalars())


def customers_of_invoices(session: Session, merchant_id: str, invoice_ids: Sequence[str]) -> dict[str, str | None]:
    """The customer of each ghost of these invoices, by invoice id."""
    rows = read(session, _CUSTOMERS_OF_INVOICES, merchant_id=merchant_id, ids=list(invoice_ids))
    return dict(rows.all())


def customers_of_message(session: Session, merchant_id: str, message_id: str) -> list[str | None]:
    """The customer of the ghost that a message belongs to, in a list of one; empty when there is none."""
    return list(read(session, _CUSTOMER_OF_MESSAGE, merchant_id=merchant_id, message_id=message_id).scalars())


def get_ghost(session: Session, merchant_id: str, ghost_id: str, *, lock: bool = False) -> GhostTarget | None:
    """A ghost; with `lock` as it is once nobody else changes it, whatever this session read of it before."""
    statement = _BY_ID_LOCKED if lock else _BY_ID
    return entity(session, statement, merchant_id=merchant_id, id=ghost_id)


def get_by_invoice(session: Session, merchant_id: str, invoice_id: str) -> GhostTarget | None:
    return session.exec(
        select(GhostTarget).where(GhostTarget.merchant_id == merchant_id, GhostTarget.invoice_id == invoice_id)
    ).first()


def has_ghost(session: Session, merchant_id: str, invoice_id: str) -> bool:
    """Whether this invoice has a ghost."""
    return bool(read(session, _HAS_GHOST, merchant_id=merchant_id, invoice_id=invoice_id).scalar())


def unpaid_invoices_of_subscription(session: Session, merchant_id: str, subscription_id: str) -> list[str]:
    """The invoices of a subscription's ghosts that may still be paid, in the order in which those were found.

    What was lost with its invoice is left out: a long history of a subscription has nothing new to tell.
    """
    asked = {"merchant_id": merchant_id, "subscription_id": subscription_id, "states": _UNPAID, "given_up": GIVEN_UP}
    return list(read(session, _UNPAID_OF_SUBSCRIPTION, **asked).scalars())


def list_unpaid_of_customer(session: Session, merchant_id: str, customer_id: str) -> Sequence[GhostTarget]:
    return session.exec(
        select(GhostTarget)
        .where(
            GhostTarget.merchant_id == merchant_id,
            GhostTarget.customer_id == customer_id,
            GhostTarget.kind == GhostKind.FAILED,
            col(GhostTarget.state).in_(UNPAID_STATES),
        )
        .order_by(col(GhostTarget.original_invoice_date), col(GhostTarget.id))
    ).all()


def has_unpurged(session: Session, merchant_id: str) -> bool:
    """Whether there is a ghost whose personal data is still there."""
    statement = select(GhostTarget.id).where(
        GhostTarget.merchant_id == merchant_id, col(GhostTarget.purged_at).is_(None)
    )
    return session.exec(statement.limit(1)).first() is not None


def list_unpurged(session: Session, merchant_id: str, *, found_before: datetime, limit: int) -> list[GhostTarget]:
    """Ghosts whose personal data is still there, the oldest first, locked."""
    statement = (
        select(GhostTarget)
        .where(
            GhostTarget.merchant_id == merchant_id,
            col(GhostTarget.purged_at).is_(None),
            GhostTarget.found_at < found_before,
        )
        .order_by(col(GhostTarget.found_at))
        .limit(limit)
        .with_for_update()
    )
    return list(session.exec(statement))


def list_of_customer(session: Session, merchant_id: str, customer_id: str) -> list[GhostTarget]:
    """All ghosts a customer ever had, locked."""
    statement = (
        select(GhostTarget)
        .where(GhostTarget.merchant_id == merchant_id, GhostTarget.customer_id == customer_id)
        .order_by(col(GhostTarget.id))
        .with_for_update()
    )
    return list(session.exec(statement))


def count_of_customer(session: Session, merchant_id: str, customer_id: str) -> int:
    """How many ghosts a customer ever had; locks none, so that shards may be taken after it."""
    mine = (GhostTarget.merchant_id == merchant_id, GhostTarget.customer_id == customer_id)
    return session.exec(select(func.count()).select_from(GhostTarget).where(*mine)).one()


def invoices_of_intent(session: Session, merchant_id: str, payment_intent_id: str) -> Sequence[str]:
    """The invoices of the ghosts for which this payment was the last one heard of."""
    statement = select(GhostTarget.invoice_id).where(
        GhostTarget.merchant_id == merchant_id, GhostTarget.payment_intent_id == payment_intent_id
    )
    return session.exec(statement).all()


def paid_by_intents(
    session: Session, merchant_id: str, payment_intent_ids: Sequence[str], *, also_reversed: bool = False
) -> dict[str, list[str]]:
    """The invoices of ghosts that these payments paid, by payment; one payment can have paid several.

    Only payments of which something is still recovered, unless `also_reversed`: what went back as a whole cannot go
    back again.
    """
    if not payment_intent_ids:
        return {}
    found: dict[str, list[str]] = {}
    left = set()
    for intent, invoice, state in read(
        session, _PAID_BY_INTENTS, merchant_id=merchant_id, ids=list(payment_intent_ids)
    ):
        found.setdefault(intent, []).append(invoice)
        if also_reversed or state == GhostState.RECOVERED:
            left.add(intent)
    return {intent: invoices for intent, invoices in found.items() if intent in left}


def list_recoveries(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> Sequence[Recovery]:
    """The ledger's rows of these ghosts, in the order of their keys."""
    return session.exec(
        select(Recovery)
        .where(Recovery.merchant_id == merchant_id, is_one_of(Recovery.ghost_id, ghost_ids))
        .order_by(col(Recovery.id))
    ).all()


def shadow_carriers(session: Session, merchant_id: str, subscription_ids: Iterable[str]) -> set[str]:
    """Those of the subscriptions that already have an unpaid ghost carrying their shadow leakage."""
    return set(read(session, _CARRIERS, merchant_id=merchant_id, ids=list(subscription_ids), states=_UNPAID).scalars())


def next_shadow_carrier(session: Session, ghost: GhostTarget) -> GhostTarget | None:
    """Another unpaid ghost of the same subscription, oldest first, to hand the shadow leakage to."""
    mine = {"merchant_id": ghost.merchant_id, "subscription_id": ghost.subscription_id, "id": ghost.id}
    return entity(session, _NEXT_CARRIER, **mine)


def add_attempts(session: Session, attempts: list[dict[str, Any]]) -> None:
    """Record charges once each; the idempotency key names the invoice and the attempt's number."""
    insert_rows(session, "payment_attempts", attempts, conflict="do nothing")


def get_attempt(session: Session, merchant_id: str, idempotency_key: str) -> PaymentAttempt | None:
    return entity(session, _ATTEMPT, merchant_id=merchant_id, key=idempotency_key)


def has_own_success(session: Session, ghost: GhostTarget, payment_method_id: str | None, paid_before: datetime) -> bool:
    """Whether the payment is our own attempt's: made before it with its card, and known to have succeeded or begun.

    An attempt counts as begun until its outcome is written down, and the webhook of its success is often faster. What
    it paid may have been undone since: whoever pays what is owed again does so anew.
    """
    undone = exists().where(
        col(GhostEvent.merchant_id) == ghost.merchant_id,
        col(GhostEvent.ghost_id) == ghost.id,
        col(GhostEvent.name) == Trigger.REOPENED,
        col(GhostEvent.occurred_at) > col(PaymentAttempt.attempted_at),
    )
    with_it = col(PaymentAttempt.payment_method_id) == payment_method_id
    known = col(PaymentAttempt.state) == AttemptState.SUCCEEDED
    in_time = col(PaymentAttempt.attempted_at) > paid_before - REPEATED_FOR
    return (
        session.exec(
            select(PaymentAttempt.id).where(
                PaymentAttempt.merchant_id == ghost.merchant_id,
                PaymentAttempt.ghost_id == ghost.id,
                PaymentAttempt.source == AttemptSource.PHANTOM,
                or_(with_it, known) if payment_method_id is None else with_it,
                col(PaymentAttempt.attempted_at) <= paid_before,
                or_(col(PaymentAttempt.state) != AttemptState.STARTED, in_time),
                col(PaymentAttempt.state).in_(UNSETTLED | {AttemptState.SUCCEEDED}),
                ~undone,
            )
        ).first()
        is not None
    )


def add_recovery(session: Session, row: dict[str, Any]) -> bool:
    """Add a ledger row; False when this ghost already has one for the same source."""
    session.flush()
    return bool(insert_rows(session, "recoveries", [row], conflict="do nothing", returning="id"))


def put_manual_task(session: Session, row: dict[str, Any]) -> bool:
    """Open a ghost's task, or again what had closed itself; False when it is open, or a person has closed it."""
    statement = insert(ManualTask).values(row)
    reopened = statement.on_conflict_do_update(
        index_elements=["merchant_id", "ghost_id"],
        set_={"state": ManualTaskState.OPEN, "reason": row["reason"], "closed_reason": "", "closed_at": None},
        where=and_(col(ManualTask.state) == ManualTaskState.DONE, col(ManualTask.closed_by).is_(None)),
    )
    return session.execute(reopened.returning(col(ManualTask.id))).first() is not None


_CLOSED = {"state": ManualTaskState.DONE, "closed_by": None, "released_at": None, "released_by": None}
"""A task that nobody closed; what somebody released ends with it, and does not go should it be opened again."""


def end_manual_task(session: Session, merchant_id: str, ghost_id: str, reason: str, at: datetime) -> None:
    """Close a ghost's task, if one is open, without anybody's doing."""
    session.execute(
        update(ManualTask)
        .where(
            col(ManualTask.merchant_id) == merchant_id,
            col(ManualTask.ghost_id) == ghost_id,
            col(ManualTask.state) == ManualTaskState.OPEN,
        )
        .values(**_CLOSED, closed_reason=reason, closed_at=at)
    )


def empty_manual_tasks(session: Session, merchant_id: str, ghost_ids: Sequence[str], reason: str, at: datetime) -> None:
    """Close what still waits for a person about these ghosts, and forget what persons wrote when they closed one."""
    theirs = (col(ManualTask.merchant_id) == merchant_id, col(ManualTask.ghost_id).in_(ghost_ids))
    session.execute(
        update(ManualTask)
        .where(*theirs, col(ManualTask.state) == ManualTaskState.OPEN)
        .values(**_CLOSED, closed_reason=reason, closed_at=at)
    )
    session.execute(
        update(ManualTask).where(*theirs, col(ManualTask.closed_by).is_not(None)).values(closed_reason=reason)
    )


def add_events(session: Session, rows: list[dict[str, Any]]) -> None:
    insert_rows(session, "ghost_events", rows)


def list_events(session: Session, merchant_id: str, ghost_id: str) -> Sequence[GhostEvent]:
    return session.exec(
        select(GhostEvent)
        .where(GhostEvent.merchant_id == merchant_id, GhostEvent.ghost_id == ghost_id)
        .order_by(col(GhostEvent.occurred_at), col(GhostEvent.id))
    ).all()


def _conditions(merchant_id: str, query: GhostQuery) -> list[ColumnElement[bool]]:
    conditions: list[Any] = [GhostTarget.merchant_id == merchant_id]
    if query.states:
        conditions.append(col(GhostTarget.state).in_(query.states))
    if query.strategies:
        conditions.append(col(GhostTarget.strategy).in_(query.strategies))
    if query.search:
        escaped = query.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        pattern = f"%{escaped}%"
        conditions.append(
            or_(
                col(GhostTarget.customer_email).ilike(pattern),
                col(GhostTarget.customer_name).ilike(pattern),
                col(GhostTarget.customer_id).ilike(pattern),
                col(GhostTarget.invoice_id).ilike(pattern),
            )
        )
    return conditions


def count_ghosts(session: Session, merchant_id: str, query: GhostQuery) -> int:
    return _count(session, _conditions(merchant_id, query))


def list_ghosts(session: Session, merchant_id: str, query: GhostQuery) -> Sequence[GhostTarget]:
    """One page, in a total order (ties by id), so that paging neither repeats nor skips; without a value comes last.

    Read from the sort's index, forwards or backwards, and no further than the page goes. Backwards an index begins
    with those that have no value: they are asked for after the others.
    """
    sort, conditions = _SORTS[query.sort], _conditions(merchant_id, query)
    first, size = (query.page - 1) * query.page_size, query.page_size
    if query.ascending == sort.ascends:
        return _slice(session, conditions, sort.forwards, first, size)
    if not sort.may_be_empty:
        return _slice(session, conditions, sort.backwards, first, size)
    known = [*conditions, sort.key.is_not(None)]
    rows = _slice(session, known, sort.backwards, first, size)
    if len(rows) == size:
        return rows
    skipped = max(0, first - _count(session, known))
    empty = [*conditions, sort.key.is_(None)]
    return [*rows, *_slice(session, empty, sort.forwards, skipped, size - len(rows))]


def _count(session: Session, conditions: Sequence[ColumnElement[bool]]) -> int:
    return session.exec(select(func.count()).select_from(GhostTarget).where(*conditions)).one()


def _slice(
    session: Session, conditions: Sequence[ColumnElement[bool]], order: tuple[Any, ...], first: int, size: int
) -> Sequence[GhostTarget]:
    return session.exec(select(GhostTarget).where(*conditions).order_by(*order).offset(first).limit(size)).all()


def list_ghosts_before(
    session: Session, merchant_id: str, query: GhostQuery, before: str, limit: int
) -> Sequence[GhostTarget]:
    """Those that the filters match with an id before this one, or all; by id, newest first."""
    conditions = _conditions(merchant_id, query)
    if before:
        conditions.append(col(GhostTarget.id) < before)
    return session.exec(select(GhostTarget).where(*conditions).order_by(col(GhostTarget.id).desc()).limit(limit)).all()
