"""How a handler reaches the services: as the signed-in person's merchant, in a thread, in one transaction."""

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from core.db import system_session, tenant_session
from core.queue import announce_change, announce_work
from phantom_app.guard import principal

Result = TypeVar("Result")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def identifier(text: object) -> str:
    """An id that a browser names, or nothing when it cannot be one of ours."""
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else ""


def named_last(path: object) -> str:
    """The id at the end of a page's address, or nothing."""
    return identifier(str(path).rstrip("/").rpartition("/")[2])


def words_of(text: object) -> str:
    """What somebody typed, without what a database cannot hold (NUL, half characters)."""
    return str(text)[:200].replace("\x00", "").encode(errors="ignore").decode()


async def as_tenant(work: Callable[[Session, str], Result]) -> Result:
    """Run `work(session, merchant_id)` for the merchant of the session; commits when it returns.

    The merchant comes from the session alone: an id that a browser names is looked up inside that tenant. Services
    are synchronous, and a handler that waited for one on the loop would hold up every tab of the worker.
    """
    merchant_id = principal().merchant_id

    def run() -> Result:
        with tenant_session(merchant_id) as session:
            return work(session, merchant_id)

    return await asyncio.to_thread(run)


async def as_platform(work: Callable[[Session, str], Result]) -> Result:
    """The same with the system login, for the platform's own tables; `work` filters by the merchant it is given."""
    merchant_id = principal().merchant_id

    def run() -> Result:
        with system_session() as session:
            return work(session, merchant_id)

    return await asyncio.to_thread(run)


async def change_as_tenant(work: Callable[[Session, str], Result]) -> Result:
    """As `as_tenant`, for what changes something: workers and open pages are told after the commit."""
    result = await as_tenant(work)
    merchant_id = principal().merchant_id

    def tell() -> None:
        announce_work()
        announce_change(merchant_id)

    await asyncio.to_thread(tell)
    return result
