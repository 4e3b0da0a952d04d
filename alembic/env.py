"""Migrations run as the owner login, with a short lock time-out so that none can freeze a busy table."""

from sqlalchemy import text
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import models  # noqa: F401  # fills the metadata
from alembic import context
from core.config import settings
from core.db import make_engine
from core.errors import ConfigurationError

LOCK_TIMEOUT = "4s"


def run() -> None:
    admin = settings().database_admin_url
    if admin is None:
        raise ConfigurationError("DATABASE_ADMIN_URL is not set: migrations run as the owner of the schema")
    url = admin.get_secret_value().replace("postgresql://", "postgresql+psycopg://", 1)
    with make_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_server_default=False)
        with context.begin_transaction():
            # Two starts at once must not migrate at once; the second waits and finds nothing to do.
            connection.execute(text("select pg_advisory_xact_lock(4815162342)"))
            context.run_migrations()


if context.is_offline_mode():
    raise ConfigurationError("Offline migrations are not supported: policies depend on the roles that exist")
run()
