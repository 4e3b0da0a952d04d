"""SQL of merchants, of which account belongs to which, and of connections under way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from core import db
from core.rows import read
from models.identity import OAuthState
from models.merchant import Merchant, StripeAccount

_READ = text("""
select id, name, stripe_user_id, livemode, credential_mode, state, plan, default_currency, country, timezone, reply_to,
    stripe_mails, brand, cast(policy as text) as policy, created_at, connected_at, disconnected_at
from merchants where id = :id
""")


def read_merchant(session: Session, merchant_id: str) -> Row[Any] | None:
    """What everybody wants to know of a merchant, read once a transaction; `policy` is JSON text."""

    def find() -> Row[Any] | None:
        found: Row[Any] | None = read(session, _READ, id=merchant_id).one_or_none()
        return found

    return db.remembered(session, f"merchant:{merchant_id}", find)


def get_merchant(session: Session, merchant_id: str, *, lock: bool = False) -> Merchant | None:
    """The row itself, to be changed."""
    db.forget(session)
    statement = select(Merchant).where(Merchant.id == merchant_id)
    return session.exec(statement.with_for_update() if lock else statement).first()


def get_account(session: Session, stripe_user_id: str) -> StripeAccount | None:
    return session.exec(select(StripeAccount).where(StripeAccount.stripe_user_id == stripe_user_id)).first()


def list_connected(session: Session) -> Sequence[StripeAccount]:
    """System login."""
    return session.exec(
        select(StripeAccount)
        .where(col(StripeAccount.disconnected_at).is_(None))
        .order_by(col(StripeAccount.connected_at), col(StripeAccount.stripe_user_id))
    ).all()


def put_account(session: Session, stripe_user_id: str, merchant_id: str, *, livemode: bool, now: datetime) -> None:
    """Row-level security raises where the account is another merchant's."""
    values = {"merchant_id": merchant_id, "livemode": livemode, "connected_at": now, "disconnected_at": None}
    statement = insert(StripeAccount).values(stripe_user_id=stripe_user_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["stripe_user_id"], set_=values))


def set_account_disconnected(session: Session, stripe_user_id: str, at: datetime) -> None:
    session.execute(
        update(StripeAccount).where(col(StripeAccount.stripe_user_id) == stripe_user_id).values(disconnected_at=at)
    )


def add_state(session: Session, state: OAuthState) -> None:
    session.add(state)
    session.flush()


def use_state(session: Session, state_hash: str, browser_hash: str, now: datetime) -> OAuthState | None:
    """Take a state, once: two callbacks at the same moment wait for each other here and one finds nothing."""
    statement = (
        update(OAuthState)
        .where(
            col(OAuthState.state_hash) == state_hash,
            col(OAuthState.browser_hash) == browser_hash,
            col(OAuthState.used_at).is_(None),
            col(OAuthState.expires_at) > now,
        )
        .values(used_at=now)
        .returning(OAuthState)
    )
    return session.scalars(statement).first()


def get_state(session: Session, state_hash: str) -> OAuthState | None:
    return session.exec(select(OAuthState).where(OAuthState.state_hash == state_hash)).first()
