"""The three database logins: who they are, what an embedded cluster must be given, and that none is too powerful.

The migrations own two group roles without login; which users are their members is a matter of the installation,
so it is settled here, after them.
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from core.config import Settings
from core.errors import ConfigurationError

APPLICATION_GROUP, PLATFORM_GROUP = "phantom_application", "phantom_platform"
_CONNECT_SECONDS = 5
_POWERS = """
    select rolsuper, rolbypassrls, exists (
        select from pg_class join pg_namespace n on n.oid = relnamespace
        where nspname = 'public' and relkind in ('r', 'p') and relowner = r.oid)
    from pg_roles r where rolname = %s"""


def plain_url(url: str) -> str:
    """The form psycopg reads, without SQLAlchemy's driver name."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@dataclass(frozen=True)
class Login:
    """One database user, as its URL names it."""

    url: str

    @property
    def user(self) -> str:
        return unquote(urlsplit(self.url).username or "")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.url).password or "")

    @property
    def database(self) -> str:
        return unquote(urlsplit(self.url).path.lstrip("/"))

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url, autocommit=True, connect_timeout=_CONNECT_SECONDS)


@dataclass(frozen=True)
class Logins:
    """The three logins every database of ours has."""

    owner: Login
    application: Login
    platform: Login

    @classmethod
    def of_urls(cls, owner: str, application: str, platform: str) -> "Logins":
        return cls(*(Login(plain_url(url)) for url in (owner, application, platform)))

    @classmethod
    def of_settings(cls, configured: Settings) -> "Logins":
        """Raises `ConfigurationError` without DATABASE_ADMIN_URL, which only migrations need."""
        if configured.database_admin_url is None:
            raise ConfigurationError("DATABASE_ADMIN_URL is not set: migrations run as the owner of the schema")
        secrets = (configured.database_admin_url, configured.database_url, configured.database_system_url)
        return cls.of_urls(*(secret.get_secret_value() for secret in secrets))


def ensure_logins(logins: Logins, *, maintenance_url: str) -> None:
    """Make the two logins and the database where we are the only ones who could: on an embedded cluster."""
    with Login(maintenance_url).connect() as connection:
        for login in (logins.application, logins.platform):
            exists = connection.execute("select 1 from pg_roles where rolname = %s", (login.user,)).fetchone()
            verb = sql.SQL("alter" if exists else "create")
            connection.execute(
                sql.SQL("{} role {} login nosuperuser nobypassrls nocreatedb nocreaterole password {}").format(
                    verb, sql.Identifier(login.user), sql.Literal(login.password)
                )
            )
        name = logins.owner.database
        if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def grant_groups(logins: Logins) -> None:
    """Make the logins members of their group, and of no other."""
    pairs = ((APPLICATION_GROUP, logins.application), (PLATFORM_GROUP, logins.platform))
    with logins.owner.connect() as connection:
        for group, login in pairs:
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(login.user)))


def login_problems(logins: Logins) -> list[str]:
    """What would make row-level security an empty promise: a login that may ignore it. Empty when all is well."""
    problems = []
    with logins.owner.connect() as connection:
        for name, login in (("DATABASE_URL", logins.application), ("DATABASE_SYSTEM_URL", logins.platform)):
            row = connection.execute(_POWERS, (login.user,)).fetchone()
            what = ("is a superuser", "may bypass row-level security", "owns tables")
            problems += [f"the login of {name} {text}" for text, true in zip(what, row or (), strict=False) if true]
        if logins.application.user == logins.platform.user:
            problems.append("DATABASE_URL and DATABASE_SYSTEM_URL name the same login")
    return problems
