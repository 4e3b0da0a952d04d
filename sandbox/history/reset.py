"""Beginning cleanly: recognising the remains of a history that never finished, and clearing them away."""

import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from core import db
from core.config import settings
from services.merchants import service as merchants

_TABLES = """
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and not c.relispartition and c.relkind in ('r', 'p') and c.relname <> 'alembic_version'
    order by 1"""


def remains(data: Path) -> str:
    """What stands in the way of a new history, for a person to read; empty when nothing does."""
    with db.system_session() as session:
        if merchants.list_connected(session):
            return "the database has a connected merchant already"
    if data.exists() and any(data.iterdir()):
        return f"{data} is not empty"
    return ""


def reset(data: Path) -> None:
    """Empty every table but the schema's version, as the owner, and the sandbox's folder.

    Raises `psycopg.Error`, and `KeyError` without DATABASE_ADMIN_URL.
    """
    owner = settings().database_admin_url
    if owner is None:
        raise KeyError("DATABASE_ADMIN_URL")
    plain = owner.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, autocommit=True, connect_timeout=5) as connection:
        names = [sql.Identifier(str(row[0])) for row in connection.execute(_TABLES)]
        # The ledger and the audit log refuse to be emptied; only their owner may say otherwise, for this session.
        connection.execute("set session_replication_role = replica")
        connection.execute(sql.SQL("truncate {} restart identity cascade").format(sql.SQL(", ").join(names)))
    if data.exists():
        shutil.rmtree(data)
