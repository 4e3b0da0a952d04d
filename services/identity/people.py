"""Making people and what they own. All sessions here are the application login's."""

from sqlmodel import Session

from core import clock, ids
from models.identity import Membership, Role, User
from models.merchant import Merchant
from services.identity import repository
from services.identity.emails import normalise_email
from services.identity.errors import EmailTakenError
from services.identity.passwords import hash_password

LONGEST_NAME = 200


def create_person(session: Session, *, email: str, name: str = "", password: str | None = None) -> str:
    """A new person, unverified; their id. Raises `EmailTakenError`: nobody becomes an existing person this way."""
    return _insert(session, normalise_email(email), name, hash_password(password) if password is not None else None)


def create_nameless_person(session: Session, placeholder: str) -> str:
    """A person without an email: `placeholder` ends in .invalid, which sign-in refuses. Their id, old or new."""
    try:
        return _insert(session, placeholder, "", None)
    except EmailTakenError:
        user = repository.get_user_by_email(session, placeholder)
        if user is None:
            raise
        return user.id


def _insert(session: Session, email: str, name: str, password_hash: str | None) -> str:
    now = clock.now()
    user = User(
        id=ids.new_id("usr"),
        email=email,
        name=clean_name(name),
        password_hash=password_hash,
        created_at=now,
        updated_at=now,
    )
    if not repository.insert_user(session, user):
        raise EmailTakenError
    return user.id


def add_member(session: Session, merchant_id: str, user_id: str, role: Role) -> None:
    """Make a person a member of the session's merchant, or change their role."""
    repository.put_membership(session, merchant_id, user_id, role, clock.now())


def provision_merchant(session: Session, merchant_id: str, user_id: str, name: str) -> Merchant:
    """A new FREE-tier merchant with its owner. `session` is a tenant session of the new id."""
    now = clock.now()
    merchant = Merchant(id=merchant_id, name=clean_name(name), created_at=now, updated_at=now)
    session.add(merchant)
    session.add(Membership(merchant_id=merchant_id, user_id=user_id, role=Role.OWNER, created_at=now))
    session.flush()
    return merchant


def provision_owner(
    session: Session,
    merchant_id: str,
    *,
    email: str,
    name: str = "",
    password: str | None = None,
    verified: bool = False,
) -> str:
    """Make sure that the person with this email owns the merchant; their id. Repeating it changes nothing more.

    For commands and the demo only, never for a request: a person who exists already is taken as they are, and a
    password given replaces theirs. Raises `InvalidEmailError`, `InvalidPasswordError`.
    """
    now = clock.now()
    user = repository.get_user_by_email(session, normalise_email(email))
    user_id = user.id if user else create_person(session, email=email, name=name)
    if password is not None:
        repository.set_password_hash(session, user_id, hash_password(password), now)
    if verified:
        repository.set_verified(session, user_id, now)
    add_member(session, merchant_id, user_id, Role.OWNER)
    return user_id


def clean_name(text: str) -> str:
    """A name as it may be stored: printable, single-spaced, not longer than its column."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_NAME]
