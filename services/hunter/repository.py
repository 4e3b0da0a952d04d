"""All SQL of hunts: their rows, the spool that sweeps are joined through, and what was billed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ARRAY, String, any_, bindparam, delete, func, or_, text
from sqlmodel import Session, col, select

from core import clock, ids
from core.rows import insert_rows
from models.ghost import GIVEN_UP, UNPAID_STATES, GhostKind, GhostState, GhostTarget
from models.merchant import BilledInvoice
from models.money import Recovery, RecoveryKind
from models.work import Hunt, HuntSpool, HuntState

BILLED_KEPT = timedelta(days=60)
_SEEN = "seen:"  # an invoice's own row holds its payment
_KEY_LENGTH = 64  # of `hunt_spool.object_id`: the mark and an id can be longer
_BATCH = 1000
ABANDONED = timedelta(days=7)
HUNTS_KEPT = timedelta(days=180)

_READ_SPOOL = text("""
select object_id, facts::text from hunt_spool
where merchant_id = :merchant_id and hunt_id = :hunt_id and object_id = any(:ids)
""")
_ABANDON = text("""
with old as materialized (
    select id from hunts where merchant_id = :merchant_id and state = 'running' and started_at < :before
    for update skip locked
), given_up as (
    update hunts set state = 'failed', error = 'Abandoned: nobody went on with it for a week.', finished_at = :now
    where merchant_id = :merchant_id and id in (select id from old)
    returning id
)
delete from hunt_spool where merchant_id = :merchant_id and hunt_id in (select id from given_up)
""")


def lock_hunt(session: Session, merchant_id: str, hunt_id: str) -> Hunt | None:
    """The hunt as it is now, to this transaction's end."""
    return session.get(Hunt, (merchant_id, hunt_id), with_for_update=True, populate_existing=True)


def get_running(session: Session, merchant_id: str, trigger: str) -> Hunt | None:
    """The unfinished hunt of this kind, to be gone on with; locked, so that of two workers the later one has it."""
    return session.exec(
        select(Hunt)
        .where(Hunt.merchant_id == merchant_id, Hunt.state == HuntState.RUNNING, Hunt.trigger == trigger)
        .order_by(col(Hunt.started_at).desc())
        .limit(1)
        .with_for_update()
    ).first()


def looked_until(session: Session, merchant_id: str, name: str) -> datetime | None:
    """Until when the last hunt that could look saw everything of a kind; None when none ever did."""
    kept = col(Hunt.looked_until)
    seconds = session.exec(
        select(kept[name])
        .where(Hunt.merchant_id == merchant_id, Hunt.state == HuntState.DONE, func.jsonb_exists(kept, name))
        .order_by(col(Hunt.started_at).desc())
        .limit(1)
    ).first()
    return None if seconds is None else clock.from_timestamp(seconds)


def first_payment(session: Session, merchant_id: str, *, recorded_since: datetime | None) -> datetime | None:
    """When the earliest of the payments that recovered a ghost was made; of those recorded since then, or of all.

    The ledger's ids begin with the time they were made at.
    """
    statement = select(func.min(Recovery.occurred_at)).where(
        Recovery.merchant_id == merchant_id, Recovery.kind == RecoveryKind.RECOVERED
    )
    if recorded_since is not None:
        statement = statement.where(col(Recovery.id) >= ids.first_id_of("rc", recorded_since))
    return session.exec(statement).one()


def list_recent(session: Session, merchant_id: str, limit: int) -> Sequence[Hunt]:
    return session.exec(
        select(Hunt).where(Hunt.merchant_id == merchant_id).order_by(col(Hunt.started_at).desc()).limit(limit)
    ).all()


def add_to_spool(session: Session, rows: list[dict[str, Any]]) -> None:
    """Keep rows for the join. Of several payments of one invoice the default one wins, else the last listed."""
    unique = {(row["object_id"]): row for row in sorted(rows, key=_default_last)}
    insert_rows(
        session,
        "hunt_spool",
        list(unique.values()),
        conflict="(merchant_id, hunt_id, object_id) do update set facts = excluded.facts",
    )


def _default_last(row: dict[str, Any]) -> bool:
    return bool(row["facts"].get("payment", {}).get("is_default"))


def read_spool(session: Session, merchant_id: str, hunt_id: str, object_ids: list[str]) -> dict[str, dict[str, Any]]:
    """What is known of these objects, by id. Bounded numbers alone are in it, so the fast reader is exact."""
    rows = session.connection().execute(
        _READ_SPOOL, {"merchant_id": merchant_id, "hunt_id": hunt_id, "ids": object_ids}
    )
    return {object_id: orjson.loads(facts) for object_id, facts in rows}


def add_seen(session: Session, merchant_id: str, hunt_id: str, invoice_ids: list[str]) -> None:
    """Remember that the hunt saw these invoices open."""
    rows = [
        {"merchant_id": merchant_id, "hunt_id": hunt_id, "object_id": _seen(each), "facts": {}} for each in invoice_ids
    ]
    insert_rows(session, "hunt_spool", rows, conflict="do nothing")


def list_missing(session: Session, merchant_id: str, hunt_id: str, found_before: datetime, limit: int) -> list[str]:
    """Invoices of ghosts that may still be paid, which the hunt did not see open; oldest first.

    What was lost with its invoice is left out, which was not open before either; what was given up while the invoice
    was open is not. Batch by batch, because as one anti-join it is quadratic: behind row-level security PostgreSQL
    looks nothing up by a value it computed (`'seen:' || …` is not leakproof).
    """
    missing: list[str] = []
    after = ""
    while len(missing) < limit:
        batch = session.exec(
            select(GhostTarget.id, GhostTarget.invoice_id)
            .where(
                GhostTarget.merchant_id == merchant_id,
                GhostTarget.id > after,
                GhostTarget.kind == GhostKind.FAILED,
                col(GhostTarget.state).in_(UNPAID_STATES),
                or_(col(GhostTarget.state) != GhostState.LOST, col(GhostTarget.close_reason) == GIVEN_UP),
                GhostTarget.found_at < found_before,
            )
            .order_by(col(GhostTarget.id))
            .limit(_BATCH)
        ).all()
        if not batch:
            break
        after = batch[-1][0]
        keys = {_seen(invoice_id): invoice_id for _, invoice_id in batch}
        there = _present(session, merchant_id, hunt_id, list(keys))
        missing += [invoice_id for key, invoice_id in keys.items() if key not in there]
    return missing[:limit]


def _present(session: Session, merchant_id: str, hunt_id: str, keys: list[str]) -> set[str]:
    return set(
        session.exec(
            select(HuntSpool.object_id).where(
                HuntSpool.merchant_id == merchant_id,
                HuntSpool.hunt_id == hunt_id,
                col(HuntSpool.object_id) == any_(bindparam("keys", keys, ARRAY(String))),
            )
        )
    )


def _seen(invoice_id: str) -> str:
    return (_SEEN + invoice_id)[:_KEY_LENGTH]


def refresh_statistics(session: Session) -> None:
    """Have PostgreSQL look at the ghosts anew; it is passed over while somebody else does."""
    session.execute(text("select refresh_statistics()"))


def clear_spool(session: Session, merchant_id: str, hunt_id: str) -> None:
    session.execute(
        delete(HuntSpool).where(col(HuntSpool.merchant_id) == merchant_id, col(HuntSpool.hunt_id) == hunt_id)
    )


def add_billed(session: Session, rows: list[dict[str, Any]]) -> set[str]:
    """Record recurring invoices as billed; the ids that were new."""
    new = insert_rows(session, "billed_invoices", rows, conflict="do nothing", returning="id")
    return set(new.scalars()) if new else set()


def prune_billed(session: Session, merchant_id: str, today: date) -> None:
    session.execute(
        delete(BilledInvoice).where(
            col(BilledInvoice.merchant_id) == merchant_id, col(BilledInvoice.billed_on) < today - BILLED_KEPT
        )
    )


def abandon_hunts(session: Session, merchant_id: str, now: datetime) -> None:
    """Give up hunts that nobody went on with for a week, and forget what they had kept for their joins.

    One that is locked is gone on with now; waiting for it could be a deadlock, because both hold ghosts.
    """
    session.execute(_ABANDON, {"merchant_id": merchant_id, "now": now, "before": now - ABANDONED})


def prune_hunts(session: Session, merchant_id: str, now: datetime) -> None:
    session.execute(delete(Hunt).where(col(Hunt.merchant_id) == merchant_id, col(Hunt.started_at) < now - HUNTS_KEPT))
