"""How a handler reaches the services: as the signed-in person's merchant, in a thread, in one transaction."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from core.db import tenant_session
from phantom_app.guard import principal

Result = TypeVar("Result")

FAILED = "This could not be loaded just now. It will be tried again; nothing was changed."


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
