"""Signing in and out. These are boundaries: each opens the sessions it needs, because people live under the
application login and signed-in browsers under the system login, and neither may see the other's tables.
"""

from sqlmodel import Session

from core import clock, ids
from core.db import system_session, tenant_session, user_session
from core.locks import wait_transaction_lock
from models.identity import Role, SignInMethod
from services.identity import repository, sessions, throttle
from services.identity.emails import LONGEST_EMAIL, normalise_email
from services.identity.errors import InvalidEmailError, WrongCredentialsError
from services.identity.passwords import needs_rehash, rehash, verify_password
from services.identity.people import provision_merchant, provision_owner
from services.identity.permissions import ROLE_PERMISSIONS, Permission
from services.identity.schemas import NewSession, Principal, SessionSummary
from services.identity.sessions import resolve_session

__all__ = [
    "ROLE_PERMISSIONS",
    "NewSession",
    "Permission",
    "Principal",
    "SessionSummary",
    "first_merchant",
    "provision_owner",
    "resolve_session",
    "sign_in",
    "sign_in_as",
    "sign_out",
]  # fmt: skip


def sign_in(email: str, password: str, *, address: str, user_agent: str = "", replaces: str = "") -> NewSession:
    """Open a session for an email and password; the session of the cookie value `replaces` ends.

    An unknown email, a wrong password and a person without one take the same time and raise the same
    `WrongCredentialsError`. Raises `TooManySignInsError` after too many attempts for the account or from
    `address`, `BusyError` when the machine hashes as much as it may.
    """
    known_as = _comparable(email)
    throttle.count_attempt(known_as, address)
    with user_session() as people:
        user = repository.get_user_by_email(people, known_as)
    if not verify_password(password, user.password_hash if user else None) or user is None:
        raise WrongCredentialsError
    throttle.forget_account(known_as)
    if user.password_hash and needs_rehash(user.password_hash):
        with user_session() as people:
            repository.set_password_hash(people, user.id, rehash(password), clock.now())
    merchant_id = first_merchant(user.id, user.name or known_as.partition("@")[0])
    return _open(user.id, merchant_id, SignInMethod.PASSWORD, user_agent, replaces)


def sign_in_as(
    email: str, merchant_id: str, method: SignInMethod, *, user_agent: str = "", replaces: str = ""
) -> NewSession:
    """Open a session for a member without a password: for the demo, or after another proof was checked.

    Raises `WrongCredentialsError` when there is no such person or they are no member of the merchant.
    """
    with tenant_session(merchant_id) as tenant:
        user = repository.get_user_by_email(tenant, _comparable(email))
        role = repository.get_role(tenant, merchant_id, user.id) if user else None
    if user is None or role is None:
        raise WrongCredentialsError
    return _open(user.id, merchant_id, method, user_agent, replaces)


def sign_out(token: str) -> None:
    """End the session of a cookie value; an unknown one is no error."""
    with system_session() as platform:
        sessions.revoke_token(platform, token)


def first_merchant(user_id: str, name: str) -> str:
    """Where a person lands: their oldest membership, or a merchant of their own at the first sign-in."""
    merchant_id = _oldest_merchant(user_id)
    if merchant_id:
        return merchant_id
    merchant_id = ids.new_id("mer")
    with tenant_session(merchant_id) as tenant:
        wait_transaction_lock(tenant, f"first_merchant:{user_id}")
        if other := _oldest_merchant(user_id):  # of two first sign-ins at once the second one
            return other
        provision_merchant(tenant, merchant_id, user_id, name)
    return merchant_id


def _oldest_merchant(user_id: str) -> str:
    with user_session(user_id) as people:
        memberships = repository.list_memberships(people, user_id)
    return memberships[0].merchant_id if memberships else ""


def team_addresses(session: Session, merchant_id: str) -> dict[str, str]:
    """Whom PHANTOM writes to about a merchant: its owners and admins whose address is confirmed, address by user id.

    Tenant session.
    """
    return dict(repository.list_team_addresses(session, merchant_id, (Role.OWNER, Role.ADMIN)))


def address_of(session: Session, merchant_id: str, user_id: str) -> str | None:
    """A member's confirmed address, whatever their role; None where there is none. Tenant session."""
    return member_addresses(session, merchant_id).get(user_id)


def member_addresses(session: Session, merchant_id: str) -> dict[str, str]:
    """The confirmed addresses of all members, whatever their role, by user id. Tenant session."""
    return dict(repository.list_team_addresses(session, merchant_id, tuple(Role)))


def people_who_may(session: Session, merchant_id: str, permission: Permission) -> dict[str, str]:
    """The members whose role has a permission: names by user id. Tenant session."""
    roles = [role for role, allowed in ROLE_PERMISSIONS.items() if permission in allowed]
    found = repository.list_people(session, merchant_id, roles)
    return {user_id: name or email for user_id, name, email in found}


def _open(user_id: str, merchant_id: str, method: SignInMethod, user_agent: str, replaces: str) -> NewSession:
    with system_session() as platform:
        return sessions.open_session(platform, user_id, merchant_id, method, user_agent=user_agent, replaces=replaces)


def _comparable(email: str) -> str:
    """The stored form of an email, or something no stored email equals."""
    try:
        return normalise_email(email[: LONGEST_EMAIL + 1])
    except InvalidEmailError:
        return "nobody@invalid"
