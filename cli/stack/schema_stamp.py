"""Remembers that a database of ours is migrated, so that a start need not import half of the product to find out."""

import hashlib
import json
from pathlib import Path

import psycopg

from cli.logins import Logins
from cli.paths import ROOT
from cli.stack.folder import write_private

_WHAT_IT_IS = "select version_num, system_identifier::text from alembic_version, pg_control_system()"


def _sources() -> str:
    """A hash of everything that decides what a migration would do."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "alembic").rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _found(logins: Logins) -> dict[str, str] | None:
    """Which cluster and revision this is; None before the first migration."""
    try:
        with logins.owner.connect() as connection:
            row = connection.execute(_WHAT_IT_IS).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    if row is None:
        return None
    users = f"{logins.application.user} {logins.platform.user}"
    return {"revision": str(row[0]), "cluster": str(row[1]), "users": users, "sources": _sources()}


def is_current(folder: Path, logins: Logins) -> bool:
    """Whether these very sources have migrated this very database to where it still is."""
    try:
        kept = json.loads((folder / "schema.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return bool(kept == _found(logins))


def keep(folder: Path, logins: Logins) -> None:
    """Note what was just migrated."""
    write_private(folder / "schema.json", json.dumps(_found(logins)))
