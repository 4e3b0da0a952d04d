"""All SQL of consents. At one moment a no outranks a yes: who is in doubt is not written to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, exists, or_, text
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models.messaging import Channel
from models.sending import Consent

_AT_ONCE = 10_000  # rows a statement
_COLUMNS = (
    "merchant_id", "id", "customer_id", "channel", "address_hash", "state", "happened_at", "source", "text_version",
    "recorded_by", "recorded_at",
)  # fmt: skip
_ARRAYS = ", ".join(
    f"cast(:{name} as {'timestamptz' if name.endswith('_at') else 'text'}[])" for name in _COLUMNS
)  # a parameter a column, not one a value: a file has a hundred thousand rows
_ADD = text(f"""
insert into consents ({", ".join(_COLUMNS)})
select * from unnest({_ARRAYS})
on conflict on constraint uq_consents_fact do nothing
returning id
""")  # noqa: S608  # names above, no input


def add(session: Session, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert what is not recorded yet; the ids of what is new."""
    new: set[str] = set()
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        given = {name: [row[name] for row in part] for name in _COLUMNS}
        new.update(session.execute(_ADD, given).scalars())
    return new


def latest_of(session: Session, merchant_id: str, channel: str, address_hash: str) -> Consent | None:
    return session.exec(
        select(Consent)
        .where(Consent.merchant_id == merchant_id, Consent.channel == channel, Consent.address_hash == address_hash)
        .order_by(col(Consent.happened_at).desc(), col(Consent.state).desc())
        .limit(1)
    ).first()


def get_row(session: Session, merchant_id: str, consent_id: str) -> Consent | None:
    return session.exec(select(Consent).where(Consent.merchant_id == merchant_id, Consent.id == consent_id)).first()


def get_entry(session: Session, merchant_id: str, consent_id: str) -> tuple[Consent, bool] | None:
    """An entry and whether it is its address's latest."""
    query = select(Consent, _is_latest()).where(Consent.merchant_id == merchant_id, Consent.id == consent_id)
    row = session.exec(query).first()
    return (row[0], bool(row[1])) if row else None


def list_entries(
    session: Session,
    merchant_id: str,
    limit: int,
    before: str | None,
    customer_id: str | None,
    hashes: Sequence[str] = (),
) -> list[tuple[Consent, bool]]:
    """Entries newest first, of one customer's or of these addresses where named, and whether each is its latest."""
    query = select(Consent, _is_latest()).where(Consent.merchant_id == merchant_id)
    if before is not None:
        query = query.where(col(Consent.id) < before)
    if customer_id is not None:
        query = query.where(Consent.customer_id == customer_id)
    if hashes:  # a hash belongs to one channel; both are named because the index has the channel first
        query = query.where(col(Consent.channel).in_(tuple(Channel)))
        query = query.where(col(Consent.address_hash).in_(hashes))
    rows = session.exec(query.order_by(col(Consent.id).desc()).limit(limit)).all()
    return [(row, bool(latest)) for row, latest in rows]


def _is_latest() -> Any:
    later = aliased(Consent)
    after = or_(
        col(later.happened_at) > col(Consent.happened_at),
        and_(col(later.happened_at) == col(Consent.happened_at), col(later.state) > col(Consent.state)),
    )
    same = (
        col(later.merchant_id) == col(Consent.merchant_id),
        col(later.channel) == col(Consent.channel),
        col(later.address_hash) == col(Consent.address_hash),
    )
    return ~exists().where(*same, after)
