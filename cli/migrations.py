"""The schema: Alembic to the newest revision, then the logins' membership in the group roles it made."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from alembic import command
from cli.logins import Logins, grant_groups, login_problems
from cli.paths import ROOT
from core.errors import ConfigurationError


def head() -> str | None:
    """The newest revision of these sources."""
    return ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head()


def upgrade() -> None:
    """Bring the schema of DATABASE_ADMIN_URL to the newest revision."""
    command.upgrade(Config(ROOT / "alembic.ini"), "head")


def migrate(logins: Logins) -> None:
    """Schema, memberships, and a look at what they left. Raises `ConfigurationError` for a login too powerful."""
    upgrade()
    grant_groups(logins)
    if problems := login_problems(logins):
        raise ConfigurationError("; ".join(problems))
