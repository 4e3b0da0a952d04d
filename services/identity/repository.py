"""SQL of users and memberships (application login) and of sessions (system login)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, update
from sqlalchemy import select as any_select  # SQLModel types four columns at most
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.identity import Membership, Role, User, UserSession
from models.merchant import Merchant


class Member(NamedTuple):
    """A person in a merchant."""

    email: str
    name: str
    email_verified_at: datetime | None
    merchant_name: str
    role: str


def get_member(session: Session, merchant_id: str, user_id: str) -> Member | None:
    """Needs a session of that merchant: row-level security shows no other."""
    columns = (User.email, User.name, User.email_verified_at, Merchant.name, Membership.role)
    found = session.execute(
        any_select(*map(col, columns))
        .join(Membership, col(Membership.user_id) == User.id)
        .join(Merchant, col(Merchant.id) == Membership.merchant_id)
        .where(col(User.id) == user_id, col(Membership.merchant_id) == merchant_id)
    ).first()
    return Member(*found) if found else None


def get_user_by_email(session: Session, email: str) -> User | None:
    return session.exec(select(User).where(func.lower(User.email) == func.lower(email))).first()


def get_user(session: Session, user_id: str) -> User | None:
    return session.get(User, user_id)


def insert_user(session: Session, user: User) -> bool:
    """False when the email is taken: decided by the index, so that two at once cannot both win."""
    values = user.model_dump()
    inserted = session.execute(insert(User).values(**values).on_conflict_do_nothing().returning(col(User.id)))
    return inserted.first() is not None


def set_password_hash(session: Session, user_id: str, password_hash: str, now: datetime) -> None:
    session.execute(update(User).where(col(User.id) == user_id).values(password_hash=password_hash, updated_at=now))


def replace_password_hash(session: Session, user_id: str, former: str | None, new: str, now: datetime) -> bool:
    """False when the hash is no longer `former`."""
    statement = (
        update(User)
        .where(col(User.id) == user_id, col(User.password_hash).is_not_distinct_from(former))
        .values(password_hash=new, updated_at=now)
        .returning(col(User.id))
    )
    return session.execute(statement).first() is not None


def list_memberships(session: Session, user_id: str) -> Sequence[Membership]:
    """The oldest first. Needs a session of that user."""
    return session.exec(
        select(Membership)
        .where(Membership.user_id == user_id)
        .order_by(col(Membership.created_at), col(Membership.merchant_id))
    ).all()


def get_owner_id(session: Session, merchant_id: str) -> str | None:
    """The merchant's first owner."""
    return session.exec(
        select(Membership.user_id)
        .where(Membership.merchant_id == merchant_id, Membership.role == Role.OWNER)
        .order_by(col(Membership.created_at), col(Membership.user_id))
    ).first()


def list_team_addresses(session: Session, merchant_id: str, roles: Sequence[Role]) -> Sequence[tuple[str, str]]:
    """Ids and verified addresses of a merchant's members in these roles, in the order they joined."""
    return session.exec(
        select(User.id, User.email)
        .join(Membership, col(Membership.user_id) == User.id)
        .where(
            Membership.merchant_id == merchant_id,
            col(Membership.role).in_(roles),
            col(User.email_verified_at).is_not(None),
        )
        .order_by(col(Membership.created_at), col(User.id))
    ).all()


def list_people(session: Session, merchant_id: str, roles: Sequence[Role]) -> Sequence[tuple[str, str, str]]:
    """Ids, names and addresses of a merchant's members in these roles, in the order they joined."""
    return session.exec(
        select(User.id, User.name, User.email)
        .join(Membership, col(Membership.user_id) == User.id)
        .where(Membership.merchant_id == merchant_id, col(Membership.role).in_(roles))
        .order_by(col(Membership.created_at), col(User.id))
    ).all()


def get_role(session: Session, merchant_id: str, user_id: str) -> Role | None:
    found = session.exec(
        select(Membership.role).where(Membership.merchant_id == merchant_id, Membership.user_id == user_id)
    ).first()
    return Role(found) if found else None


def get_live_session(session: Session, token_hash: str, now: datetime, seen_after: datetime) -> UserSession | None:
    return session.exec(
        select(UserSession).where(
            UserSession.token_hash == token_hash,
            UserSession.expires_at > now,
            UserSession.last_seen_at > seen_after,
        )
    ).first()


def list_live_sessions(session: Session, user_id: str, now: datetime, seen_after: datetime) -> Sequence[UserSession]:
    return session.exec(
        select(UserSession)
        .where(UserSession.user_id == user_id, UserSession.expires_at > now, UserSession.last_seen_at > seen_after)
        .order_by(col(UserSession.last_seen_at).desc())
    ).all()


def touch_session(session: Session, token_hash: str, now: datetime) -> None:
    session.execute(update(UserSession).where(col(UserSession.token_hash) == token_hash).values(last_seen_at=now))


def delete_session(session: Session, token_hash: str, user_id: str | None = None) -> bool:
    statement = delete(UserSession).where(col(UserSession.token_hash) == token_hash)
    if user_id is not None:
        statement = statement.where(col(UserSession.user_id) == user_id)
    return session.execute(statement.returning(col(UserSession.token_hash))).first() is not None


def delete_sessions_of(session: Session, user_id: str, but: str | None = None) -> int:
    statement = delete(UserSession).where(col(UserSession.user_id) == user_id)
    if but is not None:
        statement = statement.where(col(UserSession.token_hash) != but)
    return len(session.execute(statement.returning(col(UserSession.token_hash))).all())


def set_verified(session: Session, user_id: str, now: datetime) -> None:
    session.execute(
        update(User)
        .where(col(User.id) == user_id, col(User.email_verified_at).is_(None))
        .values(email_verified_at=now, updated_at=now)
    )


def put_membership(session: Session, merchant_id: str, user_id: str, role: Role, now: datetime) -> None:
    statement = insert(Membership).values(merchant_id=merchant_id, user_id=user_id, role=role, created_at=now)
    session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "user_id"], set_={"role": role}))
