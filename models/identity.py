"""Who may sign in, as whom, and for how long."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, text
from sqlmodel import Field

from models.base import Scope, Table, enum_text, optional_utc, utc_column


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    ANALYST = "analyst"


class SignInMethod(StrEnum):
    """How a session began. One opened through Stripe speaks for that account alone: it never changes merchant."""

    PASSWORD = "password"  # noqa: S105  # the name of a way, no secret
    CONNECT = "connect"
    DEMO = "demo"
    INVITATION = "invitation"


class User(Table, table=True):
    """A person. Emails are unique without regard to case; grows with people only."""

    __tablename__ = "users"
    scope = Scope.ACCOUNT

    id: str = Field(primary_key=True, max_length=40)
    email: str = Field(max_length=320)
    name: str = Field(default="", max_length=200)
    password_hash: str | None = None
    email_verified_at: datetime | None = optional_utc()
    created_at: datetime = utc_column()
    updated_at: datetime = utc_column()

    __table_args__ = (Index("uq_users_email_lower", text("lower(email)"), unique=True),)


class Membership(Table, table=True):
    """A user's role in a merchant. Grows with people only."""

    __tablename__ = "memberships"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    user_id: str = Field(primary_key=True, max_length=40, index=True)
    role: Role = enum_text(Role.MEMBER)
    created_at: datetime = utc_column()


class UserSession(Table, table=True):
    """A signed-in browser; only the cookie's hash is stored. Expired rows are pruned by the janitor."""

    __tablename__ = "sessions"
    scope = Scope.PLATFORM

    token_hash: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(max_length=40, index=True)
    merchant_id: str = Field(max_length=40)
    method: SignInMethod = enum_text(SignInMethod.PASSWORD)
    created_at: datetime = utc_column()
    expires_at: datetime = utc_column(index=True)
    last_seen_at: datetime = utc_column()
    user_agent: str = Field(default="", max_length=200)


class OAuthState(Table, table=True):
    """A connection under way: single use, ten minutes, bound to one browser. Pruned by the janitor."""

    __tablename__ = "oauth_states"
    scope = Scope.PLATFORM

    state_hash: str = Field(primary_key=True, max_length=64)
    browser_hash: str = Field(max_length=64)
    user_id: str | None = Field(default=None, max_length=40)
    merchant_id: str | None = Field(default=None, max_length=40)
    code_verifier: str = Field(default="", max_length=128)
    created_at: datetime = utc_column()
    expires_at: datetime = utc_column(index=True)
    used_at: datetime | None = optional_utc()
