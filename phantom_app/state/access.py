"""How a handler reaches the services: as the signed-in person's merchant, in a thread, in one transaction."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from core.db import tenant_session
from core.queue import announce_change, announce_work
from phantom_app.guard import principal

Result = TypeVar("Result")


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


async def change_as_tenant(work: Callable[[Session, str], Result]) -> Result:
    """As `as_tenant`, for what changes something: workers and open pages are told after the commit."""
    result = await as_tenant(work)
    merchant_id = principal().merchant_id

    def tell() -> None:
        announce_work()
        announce_change(merchant_id)

    await asyncio.to_thread(tell)
    return result
