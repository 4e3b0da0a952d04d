"""All SQL of what could not be read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, String, bindparam, text
from sqlmodel import Session, col, select

from core.rows import read
from models.health import UnreadableObjects

# Another hunt counts from the beginning; the first examples stay, because they are the ones somebody looks at.
_ADD = text("""
insert into unreadable_objects as known
    (merchant_id, via, reason, shape, hunt_id, number, examples, first_at, last_at)
values (:merchant_id, :via, :reason, :shape, :hunt_id, :number, jsonb_build_object('ids', to_jsonb(:ids)), :now, :now)
on conflict (merchant_id, via, reason, shape) do update set
    number = case when known.hunt_id = excluded.hunt_id then known.number + excluded.number else excluded.number end,
    examples = case when known.hunt_id <> excluded.hunt_id then excluded.examples
        else jsonb_build_object('ids', (
            select coalesce(jsonb_agg(id order by place), '[]') from (
                select id, min(place) as place from jsonb_array_elements_text(
                    known.examples -> 'ids' || (excluded.examples -> 'ids')) with ordinality as listed (id, place)
                group by id order by min(place) limit :most
            ) first)) end,
    hunt_id = excluded.hunt_id, last_at = greatest(known.last_at, excluded.last_at)
""").bindparams(bindparam("ids", type_=ARRAY(String)))


_FORGET = text("""
delete from unreadable_objects
where merchant_id = :merchant_id and (via = 'hunt' and hunt_id <> :hunt_id or via = 'webhook' and last_at < :before)
""")


def add(session: Session, values: dict[str, Any]) -> None:
    read(session, _ADD, **values)


def list_all(session: Session, merchant_id: str) -> Sequence[UnreadableObjects]:
    return session.exec(
        select(UnreadableObjects)
        .where(UnreadableObjects.merchant_id == merchant_id)
        .order_by(
            col(UnreadableObjects.number).desc(),
            col(UnreadableObjects.via),
            col(UnreadableObjects.reason),
            col(UnreadableObjects.shape),
        )
    ).all()


def forget(session: Session, merchant_id: str, hunt_id: str, webhooks_before: datetime) -> None:
    """What other hunts met, and webhooks before then."""
    read(session, _FORGET, merchant_id=merchant_id, hunt_id=hunt_id, before=webhooks_before)
