"""How every process of PHANTOM begins: settings, logs, clock, vault and database, or one clear line and no start."""

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import config, db, logging
from core.errors import ConfigurationError, PhantomError
from services.vault import service as vault


class Refusal(Exception):
    """A reason not to start, in one line for a person."""


def prepare() -> config.Settings:
    """Everything a process needs before its first work; prints the vault's line. Raises `Refusal`."""
    try:
        settings = config.settings()
    except ConfigurationError as error:
        raise Refusal(error.detail) from None
    logging.configure(settings.phantom_log_level)
    config.install_test_doubles(settings)
    try:
        vault.boot()
    except PhantomError as error:
        raise Refusal(f"the vault's self-test failed: {error.detail}") from None
    _check_database()
    return settings


def _check_database() -> None:
    """Both logins that work needs must answer."""
    for name, session in (("DATABASE_SYSTEM_URL", db.system_session), ("DATABASE_URL", db.user_session)):
        try:
            with session() as opened:
                opened.execute(text("select 1"))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise Refusal(f"the database of {name} cannot be used: {reason}") from None
