"""The one-time link by which an operator lets a person in: `phantom owner create --email …`.

The link needs no table. It is signed, names a person and the password they have now (as a keyed fingerprint), and
ends by itself: setting a password changes the fingerprint, so the link works once.
"""

import base64
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core import clock
from core.config import settings
from core.db import system_session, tenant_session, user_session
from core.errors import GoneError
from models.identity import SignInMethod, User
from services.identity import people, repository, sessions
from services.identity.emails import normalise_email
from services.identity.passwords import hash_password
from services.identity.schemas import NewSession
from services.identity.service import first_merchant
from services.vault.keys import Purpose, derived_keys

LIFE = timedelta(hours=48)
PATH = "/auth/owner/"
_SHAPE = re.compile(r"(?P<user_id>usr_[0-9a-z]{26})\.(?P<expires>[0-9]{1,12})\.[A-Za-z0-9_-]{43}")


class OwnerLinkOverError(GoneError):
    code, title = "owner_link_over", "This link has been used, or is too old"


@dataclass(frozen=True, slots=True)
class OwnerLink:
    """An address to hand to the person; whoever has it sets their password."""

    url: str = field(repr=False)
    expires_at: datetime
    merchants: tuple[str, ...]
    """What the person will find: an operator should look before handing the link over, because a person who came
    through Stripe chose their email address themselves."""


def create_owner_link(email: str) -> OwnerLink:
    """A link for the person with this email, who is made if they do not exist. A boundary: commits by itself.

    For commands only: whoever calls it decides who gets in. Raises `InvalidEmailError`.
    """
    known_as = normalise_email(email)
    with user_session() as session:
        user = repository.get_user_by_email(session, known_as)
        if user is None:
            people.create_person(session, email=known_as)
            user = repository.get_user_by_email(session, known_as)
    if user is None:
        raise OwnerLinkOverError
    first_merchant(user.id, user.name or known_as.partition("@")[0])
    expires_at = (clock.now() + LIFE).replace(microsecond=0)
    url = settings().public_url + PATH + _sign(user, int(expires_at.timestamp()))
    return OwnerLink(url, expires_at, _merchant_names(user.id))


def _merchant_names(user_id: str) -> tuple[str, ...]:
    with user_session(user_id) as session:
        merchant_ids = [membership.merchant_id for membership in repository.list_memberships(session, user_id)]
    names = []
    for merchant_id in merchant_ids:
        with tenant_session(merchant_id) as tenant:
            member = repository.get_member(tenant, merchant_id, user_id)
        names.append(member.merchant_name if member else merchant_id)
    return tuple(names)


def check_owner_link(token: str) -> str:
    """The email of the person a link is for. Raises `OwnerLinkOverError`."""
    return _person(token).email


def use_owner_link(token: str, password: str, *, user_agent: str = "", replaces: str = "") -> NewSession:
    """Set the person's password, end their other sessions and sign them in; their email counts as verified.

    A boundary. Raises `OwnerLinkOverError`, `InvalidPasswordError` (the link stays good then).
    """
    user, now = _person(token), clock.now()
    password_hash = hash_password(password)
    with user_session() as session:
        # Compared and set in one statement: of two uses at once, one wins.
        if not repository.replace_password_hash(session, user.id, user.password_hash, password_hash, now):
            raise OwnerLinkOverError
        repository.set_verified(session, user.id, now)
    merchant_id = first_merchant(user.id, user.name or user.email.partition("@")[0])
    with system_session() as platform:
        sessions.revoke_all(platform, user.id)
        return sessions.open_session(
            platform, user.id, merchant_id, SignInMethod.INVITATION, user_agent=user_agent, replaces=replaces
        )


def _person(token: str) -> User:
    """Whose link this is, if it is genuine, in time and unused."""
    user_id, expires = _parse(token)
    with user_session() as session:
        user = repository.get_user(session, user_id)
    if user is None or expires <= clock.timestamp():
        raise OwnerLinkOverError
    genuine = (_sign(user, expires, key) for key in derived_keys(Purpose.OWNER_LINKS))
    if not any(hmac.compare_digest(token.encode(), one.encode()) for one in genuine):
        raise OwnerLinkOverError
    return user


def _sign(user: User, expires: int, key: bytes | None = None) -> str:
    """`user.expires.signature`; the signature covers the present password hash too."""
    named = f"{user.id}.{expires}"
    secret = key or derived_keys(Purpose.OWNER_LINKS)[0]
    digest = hmac.digest(secret, f"{named}.{user.password_hash or ''}".encode(), "sha256")
    return f"{named}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _parse(token: str) -> tuple[str, int]:
    found = _SHAPE.fullmatch(token)
    if found is None:
        raise OwnerLinkOverError
    return found["user_id"], int(found["expires"])
