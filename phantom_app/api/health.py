"""Alive, and ready to work: for supervisors, load balancers and people. No detail that helps a stranger."""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import redis
from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import db, queue
from core.errors import PhantomError
from phantom_app import draining
from services.vault import service as vault

log = logging.getLogger(__name__)

router = APIRouter()

DEADLINE_SECONDS = 2.0
"""What a balancer should wait for at most: behind a network that swallows everything, a check alone takes longer."""

_MIGRATIONS = Path(__file__).parents[2] / "alembic"


@router.get("/health")
async def health() -> JSONResponse:
    """The process answers; asks nobody else, so that an outage of PostgreSQL does not restart the web server."""
    return JSONResponse({"status": "alive"}, headers={"cache-control": "no-store"})


@router.get("/health/ready")
async def ready() -> JSONResponse:
    """Whether everything a request needs is there: 200 with all checks true, else 503; either within the deadline.

    Also 503 from the moment this server was told to stop, so that a balancer sends nobody here any more.
    """
    if draining.has_begun():
        return JSONResponse({"status": "stopping", "checks": {}}, 503, {"cache-control": "no-store"})
    outcomes = await asyncio.gather(*(_holds(name, check) for name, check in _CHECKS.items()))
    checks = dict(zip(_CHECKS, outcomes, strict=True))
    good = all(checks.values())
    return JSONResponse(
        {"status": "ready" if good else "not_ready", "checks": checks},
        200 if good else 503,
        {"cache-control": "no-store"},
    )


async def _holds(name: str, check: Callable[[], bool]) -> bool:
    """The check's outcome; False when it has none in time. One that still runs is waited for, not begun again."""
    asked = _under_way.get(name)
    if asked is None or asked.done():
        asked = _under_way[name] = _threads.submit(_outcome, name, check)
    answered, _late = await asyncio.wait({asyncio.wrap_future(asked)}, timeout=DEADLINE_SECONDS)
    if not answered:
        log.warning("health.not_ready", extra={"facts": {"check": name, "reason": "no answer in time"}})
    return asked.result() if answered else False


def _outcome(name: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (SQLAlchemyError, redis.RedisError, PhantomError) as error:
        log.warning("health.not_ready", extra={"facts": {"check": name, "reason": type(error).__name__}})
        return False


def _database() -> bool:
    for session in (db.user_session, db.system_session):
        with session() as connection:
            connection.execute(text("select 1"))
    return True


def _redis() -> bool:
    return bool(queue.connection().ping())


def _migrations() -> bool:
    """Whether the schema is what these sources need: their newest revision, or one they do not know yet.

    Migrations only add, and come before the webs of their version: those that still serve must not all leave the
    balancer at that moment.
    """
    with db.system_session() as session:
        found = session.execute(text("select version_num from alembic_version")).scalar()
    return found == _head() or found not in _known()


def _vault() -> bool:
    return bool(vault.self_test())


@functools.cache
def _revisions() -> ScriptDirectory:
    """The migrations of these sources; they do not change under a running process."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return ScriptDirectory.from_config(config)


@functools.cache
def _head() -> str | None:
    return _revisions().get_current_head()


@functools.cache
def _known() -> frozenset[str | None]:
    """Every revision up to the newest, and None: a database that was never migrated."""
    return frozenset({None, *(each.revision for each in _revisions().walk_revisions())})


_CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "vault": _vault,
}

# threads of their own, one a check: a server that is gone must not hold those that requests wait for
_threads = ThreadPoolExecutor(len(_CHECKS), thread_name_prefix="ready")
_under_way: dict[str, "Future[bool]"] = {}
