"""Signed-in browsers: a random token in a cookie, its SHA-256 in the database, nothing else anywhere.

SHA-256 without a salt is enough for 256 random bits: there is nothing to guess, and the lookup stays one index probe.
"""

import hashlib
from datetime import timedelta

from sqlmodel import Session

from core import clock, ids
from core.db import system_session, tenant_session
from models.identity import Role, SignInMethod, UserSession
from services.identity import repository
from services.identity.cookies import is_token
from services.identity.schemas import NewSession, Principal, SessionSummary

IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=90)
TOUCH_EVERY = timedelta(minutes=5)
"""A session in use is written this often, not at each request."""


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(
    session: Session, user_id: str, merchant_id: str, method: SignInMethod, *, user_agent: str = "", replaces: str = ""
) -> NewSession:
    """Open a session with a new token, ending the one whose token is `replaces` (a fixed or stolen one dies there).

    `session` is the system login's. Expiry: 14 days idle, 90 days at most.
    """
    if is_token(replaces):
        repository.delete_session(session, hash_token(replaces))
    token, now = ids.new_secret(32), clock.now()
    session.add(
        UserSession(
            token_hash=hash_token(token),
            user_id=user_id,
            merchant_id=merchant_id,
            method=method,
            created_at=now,
            last_seen_at=now,
            expires_at=now + ABSOLUTE,
            user_agent=printable(user_agent)[:200],
        )
    )
    session.flush()
    return NewSession(token, user_id, merchant_id, now + ABSOLUTE)


def resolve_session(cookie_value: str) -> Principal | None:
    """Who a session cookie belongs to, or None: unknown, expired, revoked, or no longer a member of its merchant.

    A boundary of its own: one indexed query as the system login and one as the application, because neither login
    may see the other's half.
    """
    if not is_token(cookie_value):
        return None
    now = clock.now()
    with system_session() as platform:
        row = repository.get_live_session(platform, hash_token(cookie_value), now, now - IDLE)
        if row is None:
            return None
        if now - row.last_seen_at > TOUCH_EVERY:
            repository.touch_session(platform, row.token_hash, now)
    with tenant_session(row.merchant_id) as tenant:
        member = repository.get_member(tenant, row.merchant_id, row.user_id)
    if member is None:
        return None
    return Principal(
        session_id=row.token_hash,
        user_id=row.user_id,
        email=member.email,
        name=member.name,
        email_verified=member.email_verified_at is not None,
        merchant_id=row.merchant_id,
        merchant_name=member.merchant_name,
        role=Role(member.role),
        method=SignInMethod(row.method),
    )


def revoke_token(session: Session, token: str) -> bool:
    """End the session of a cookie value (sign-out); false when there was none. System login."""
    return is_token(token) and repository.delete_session(session, hash_token(token))


def revoke_session(session: Session, user_id: str, session_id: str) -> bool:
    """End one of a person's sessions, from their list; false for anybody else's. System login."""
    return repository.delete_session(session, session_id, user_id)


def revoke_all(session: Session, user_id: str, *, but: str | None = None) -> int:
    """End all sessions of a person, except the one with id `but`: after a changed password. System login."""
    return repository.delete_sessions_of(session, user_id, but)


def list_sessions(session: Session, user_id: str) -> list[SessionSummary]:
    """A person's live sessions, last used first. System login."""
    now = clock.now()
    return [
        SessionSummary(
            row.token_hash, SignInMethod(row.method), row.user_agent, row.created_at, row.last_seen_at, row.expires_at
        )
        for row in repository.list_live_sessions(session, user_id, now, now - IDLE)
    ]


def printable(text: str) -> str:
    """What a client says about itself, without control characters (PostgreSQL refuses NUL, logs break on newlines)."""
    return "".join(character for character in text if character.isprintable())
