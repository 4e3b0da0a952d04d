"""All SQL of hunts: their rows, the spool that sweeps are joined through, and what was billed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, String, bindparam, text
from sqlmodel import Session, col, select

from core import clock, ids
from core.rows import entity, insert_rows, read
from models.ghost import GIVEN_UP, UNPAID_STATES
from models.work import Hunt, HuntState

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
_PRUNE = text("""
with old as materialized (
    select id from hunts where merchant_id = :merchant_id and state = 'running' and started_at < :abandoned
    for update skip locked
), given_up as (
    update hunts set state = 'failed', error = 'Abandoned: nobody went on with it for a week.', finished_at = :now
    where merchant_id = :merchant_id and id in (select id from old)
    returning id
), unwanted as (
    delete from hunt_spool where merchant_id = :merchant_id and hunt_id in (select id from given_up)
), unpaid as (
    delete from billed_invoices where merchant_id = :merchant_id and billed_on < :billed
)
delete from hunts where merchant_id = :merchant_id and started_at < :kept and id not in (select id from old)
""")
_RUNNING = (
    select(Hunt)
    .where(
        Hunt.merchant_id == bindparam("merchant_id", type_=String),
        Hunt.state == HuntState.RUNNING,
        Hunt.trigger == bindparam("trigger", type_=String),
    )
    .order_by(col(Hunt.started_at).desc())
    .limit(1)
    .with_for_update()
)
_LOCK = text("select state, cursor from hunts where merchant_id = :merchant_id and id = :hunt_id for update")
_SAVE = text("""
update hunts set state = :state, error = :error, sweep = :sweep, cursor = cast(:cursor as jsonb), listed = :listed,
    found = :found, updated = :updated, unreadable = :unreadable, requests = :requests, seconds = :seconds,
    finished_at = :finished_at, looked_until = coalesce(cast(:looked_until as jsonb), looked_until)
where merchant_id = :merchant_id and id = :hunt_id
""")
_LOOKED_UNTIL = text("""
select kind.name, (
    select cast(looked_until ->> kind.name as bigint) from hunts
    where merchant_id = :merchant_id and state = 'done' and jsonb_exists(looked_until, kind.name)
    order by started_at desc limit 1) as seconds
from (values ('refunds'), ('disputes')) as kind (name)
""")
_FIRST_PAYMENT = text("""
select least(
    (select min(occurred_at) from recoveries
        where merchant_id = :merchant_id and kind = 'recovered' and id >= :first_id),
    (select min(paid_at) from payment_parts
        where merchant_id = :merchant_id and amount_cents > 0 and recorded_at >= :recorded_since))
""")
_FIRST_REVERSAL = text("""
select min(occurred_at) from recoveries
where merchant_id = :merchant_id and kind = 'reversed' and amount_cents < 0 and occurred_at >= :since
    and source_id not like 'reopened:%'
""")
_FIRST_PAYMENT_OF_REVERSED = text("""
select min(paid.occurred_at) from recoveries as back
    join recoveries as paid on paid.merchant_id = back.merchant_id and paid.ghost_id = back.ghost_id
        and paid.kind = 'recovered'
where back.merchant_id = :merchant_id and back.kind = 'reversed' and back.amount_cents < 0
    and back.occurred_at >= :since and back.source_id not like 'reopened:%'
""")
_CLEAR_SPOOL = text("delete from hunt_spool where merchant_id = :merchant_id and hunt_id = :hunt_id")
_PRESENT = text(
    "select object_id from hunt_spool"
    " where merchant_id = :merchant_id and hunt_id = :hunt_id and object_id = any(:keys)"
)
_MISSING = text("""
select id, invoice_id from ghost_targets
where merchant_id = :merchant_id and id > :after and kind = 'failed' and state = any(:unpaid)
    and (state <> 'lost' or close_reason = :given_up) and found_at < :found_before
order by id limit :limit
""")


def lock_hunt(session: Session, merchant_id: str, hunt_id: str) -> Row[Any] | None:
    """State and cursor of the hunt as they are now, to this transaction's end."""
    found: Row[Any] | None = read(session, _LOCK, merchant_id=merchant_id, hunt_id=hunt_id).one_or_none()
    return found


def save_hunt(session: Session, merchant_id: str, hunt_id: str, values: dict[str, Any]) -> None:
    """Write how far a hunt is; `looked_until` None leaves what it was."""
    written = {
        name: orjson.dumps(values[name]).decode() for name in ("cursor", "looked_until") if values[name] is not None
    }
    read(session, _SAVE, merchant_id=merchant_id, hunt_id=hunt_id, **{**values, **written})


def get_running(session: Session, merchant_id: str, trigger: str) -> Hunt | None:
    """The unfinished hunt of this kind, to be gone on with; locked, so that of two workers the later one has it."""
    return entity(session, _RUNNING, merchant_id=merchant_id, trigger=trigger)


def looked_until(session: Session, merchant_id: str) -> dict[str, datetime]:
    """Until when the last hunts that could look saw everything of a kind, by its name."""
    rows = read(session, _LOOKED_UNTIL, merchant_id=merchant_id)
    return {name: clock.from_timestamp(seconds) for name, seconds in rows if seconds is not None}


def first_payment(session: Session, merchant_id: str, *, recorded_since: datetime | None) -> datetime | None:
    """When the earliest of the payments that recovered a ghost was made; of those recorded since then, or of all.

    The parts of an invoice among them, which may have gone back before the last of them was paid. The ledger's ids
    begin with the time they were made at.
    """
    first_id = "" if recorded_since is None else ids.first_id_of("rc", recorded_since)
    since = recorded_since or clock.from_timestamp(0)
    asked = {"merchant_id": merchant_id, "first_id": first_id, "recorded_since": since}
    found: datetime | None = read(session, _FIRST_PAYMENT, **asked).scalar()
    return found


def first_reversal(session: Session, merchant_id: str, *, since: datetime) -> datetime | None:
    """When the earliest refund or dispute from then on was made that took anything from a recovery."""
    found: datetime | None = read(session, _FIRST_REVERSAL, merchant_id=merchant_id, since=since).scalar()
    return found


def first_payment_of_reversed(session: Session, merchant_id: str, *, since: datetime) -> datetime | None:
    """When the earliest of the payments was made from which a refund or dispute took anything from then on."""
    found: datetime | None = read(session, _FIRST_PAYMENT_OF_REVERSED, merchant_id=merchant_id, since=since).scalar()
    return found


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
    rows = read(session, _READ_SPOOL, merchant_id=merchant_id, hunt_id=hunt_id, ids=object_ids)
    return {object_id: orjson.loads(facts) for object_id, facts in rows}


def add_seen(session: Session, merchant_id: str, hunt_id: str, object_ids: Sequence[str]) -> None:
    """Remember that the hunt saw these invoices open, or these subscriptions renewing."""
    rows = [
        {"merchant_id": merchant_id, "hunt_id": hunt_id, "object_id": _seen(each), "facts": {}} for each in object_ids
    ]
    insert_rows(session, "hunt_spool", rows, conflict="do nothing")


def list_missing(session: Session, merchant_id: str, hunt_id: str, found_before: datetime, limit: int) -> list[str]:
    """Invoices of ghosts that may still be paid, which the hunt did not see open; oldest first.

    What was lost with its invoice is left out, which was not open before either; what was given up while the invoice
    was open is not. Batch by batch, because as one anti-join it is quadratic: behind row-level security PostgreSQL
    looks nothing up by a value it computed (`'seen:' || …` is not leakproof).
    """
    missing: list[str] = []
    asked = {"merchant_id": merchant_id, "unpaid": sorted(UNPAID_STATES), "given_up": GIVEN_UP, "limit": _BATCH}
    after: str | None = ""
    while after is not None and len(missing) < limit:
        batch = read(session, _MISSING, **asked, after=after, found_before=found_before).all()
        after = batch[-1].id if len(batch) == _BATCH else None
        keys = {_seen(row.invoice_id): row.invoice_id for row in batch}
        there = _present(session, merchant_id, hunt_id, list(keys)) if keys else set()
        missing += [invoice_id for key, invoice_id in keys.items() if key not in there]
    return missing[:limit]


def unseen(session: Session, merchant_id: str, hunt_id: str, object_ids: Sequence[str]) -> list[str]:
    """Those which no list of the hunt showed, neither to be remembered nor to be joined."""
    if not object_ids:
        return []
    keys = [*object_ids, *(_seen(each) for each in object_ids)]
    there = _present(session, merchant_id, hunt_id, keys)
    return [each for each in object_ids if not {each, _seen(each)} & there]


def _present(session: Session, merchant_id: str, hunt_id: str, keys: list[str]) -> set[str]:
    return set(read(session, _PRESENT, merchant_id=merchant_id, hunt_id=hunt_id, keys=keys).scalars())


def _seen(invoice_id: str) -> str:
    return (_SEEN + invoice_id)[:_KEY_LENGTH]


def refresh_statistics(session: Session) -> None:
    """Have PostgreSQL look at the ghosts anew; it is passed over while somebody else does."""
    session.execute(text("select refresh_statistics()"))


def clear_spool(session: Session, merchant_id: str, hunt_id: str) -> None:
    read(session, _CLEAR_SPOOL, merchant_id=merchant_id, hunt_id=hunt_id)


def add_billed(session: Session, rows: list[dict[str, Any]]) -> set[str]:
    """Record recurring invoices as billed; the ids that were new."""
    new = insert_rows(session, "billed_invoices", rows, conflict="do nothing", returning="id")
    return set(new.scalars()) if new else set()


def prune(session: Session, merchant_id: str, now: datetime, today: date) -> None:
    """Forget what was billed long ago and hunts of long ago, and give up hunts that nobody went on with for a week.

    With these goes what they had kept for their joins. One that is locked is gone on with now; waiting for it could be
    a deadlock, because both hold ghosts.
    """
    read(
        session,
        _PRUNE,
        merchant_id=merchant_id,
        now=now,
        abandoned=now - ABANDONED,
        kept=now - HUNTS_KEPT,
        billed=today - BILLED_KEPT,
    )
