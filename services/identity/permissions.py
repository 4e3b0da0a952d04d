"""The one table of what each role may do; handlers, API and jobs all ask it."""

from enum import StrEnum

from models.identity import Role


class Permission(StrEnum):
    DASHBOARD_READ = "dashboard:read"
    GHOSTS_READ = "ghosts:read"
    GHOSTS_MANAGE = "ghosts:manage"
    MANUAL_TASKS_MANAGE = "manual_tasks:manage"
    MESSAGES_READ = "messages:read"
    SYSTEM_READ = "system:read"
    TASKS_MANAGE = "tasks:manage"
    HUNTS_RUN = "hunts:run"
    EXPORTS_CREATE = "exports:create"
    SHARES_MANAGE = "shares:manage"
    SETTINGS_READ = "settings:read"
    SETTINGS_MANAGE = "settings:manage"
    SECRETS_MANAGE = "secrets:manage"
    CONNECTION_MANAGE = "connection:manage"
    MEMBERS_READ = "members:read"
    MEMBERS_MANAGE = "members:manage"
    AUDIT_READ = "audit:read"
    PLAN_MANAGE = "plan:manage"
    DATA_PURGE = "data:purge"
    OWNERS_MANAGE = "owners:manage"


_ANALYST = frozenset(
    {
        Permission.DASHBOARD_READ,
        Permission.GHOSTS_READ,
        Permission.SYSTEM_READ,
        Permission.SETTINGS_READ,
        Permission.MEMBERS_READ,
    }
)
_MEMBER = _ANALYST | {
    Permission.GHOSTS_MANAGE,
    Permission.MANUAL_TASKS_MANAGE,
    Permission.MESSAGES_READ,
    Permission.HUNTS_RUN,
    Permission.EXPORTS_CREATE,
    Permission.SHARES_MANAGE,
}
_ADMIN = _MEMBER | {
    Permission.TASKS_MANAGE,
    Permission.SETTINGS_MANAGE,
    Permission.SECRETS_MANAGE,
    Permission.CONNECTION_MANAGE,
    Permission.MEMBERS_MANAGE,
    Permission.AUDIT_READ,
}
_OWNER = frozenset(Permission)

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ANALYST: _ANALYST,
    Role.MEMBER: _MEMBER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _OWNER,
}
