"""What identity gives out."""

from dataclasses import dataclass, field
from datetime import datetime

from models.identity import Role, SignInMethod
from services.identity.errors import PermissionDeniedError
from services.identity.permissions import ROLE_PERMISSIONS, Permission


@dataclass(frozen=True, slots=True)
class Principal:
    """A person acting in one merchant, as a valid session says."""

    session_id: str  # the stored hash of the token: names the session, opens nothing
    user_id: str
    email: str
    name: str
    email_verified: bool
    merchant_id: str
    merchant_name: str
    role: Role
    method: SignInMethod

    @property
    def permissions(self) -> frozenset[Permission]:
        return ROLE_PERMISSIONS[self.role]

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises `PermissionDeniedError` unless the person's role has `permission`."""
        if not self.may(permission):
            raise PermissionDeniedError


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just opened. `token` goes into the cookie and nowhere else."""

    token: str = field(repr=False)
    user_id: str
    merchant_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One of a person's sessions, for the list in Settings."""

    session_id: str
    method: SignInMethod
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
