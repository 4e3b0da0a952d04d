"""A hunt as it is in production: the real SDK, real HTTP, a large account, and no more memory than for a small one."""

import tracemalloc
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlmodel import select

from core import db
from jobs.hunt import hunt
from models.ghost import GhostTarget
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe import transport
from tests.sandbox.process import SandboxProcess
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant

SMALL, LARGE = 500, 1_500
OBJECTS = 3  # of each ghost a payment, a subscription and an invoice are listed

pytestmark = pytest.mark.usefixtures("redis_url")


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=("--platform-secret-key", "sk_test_platform", "--pull")) as process:
        with environment.changed(STRIPE_API_BASE=process.base, STRIPE_CONNECT_BASE=process.base):
            yield process
        transport.close_connections()


def merchant_with(sandbox: SandboxProcess, ghosts: int) -> str:
    """A merchant in platform mode whose account has so many failed invoices."""
    account = sandbox.act("create_account", name="Northwind", email="owner@example.com")["id"]
    sandbox.act("connect", account=account)
    sandbox.control("seed", {"account": account, "customers": ghosts})
    return make_merchant(stripe_user_id=account)


def ghosts_of(merchant: str) -> dict[str, tuple[str, datetime]]:
    with db.tenant_session(merchant) as session:
        return {ghost.id: (ghost.state, ghost.updated_at) for ghost in session.exec(select(GhostTarget))}


def peak(merchant: str) -> tuple[HuntProgress, int]:
    """A hunt, and the most bytes that it held at once over what was there before."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    progress = hunt(merchant, HuntRequest())
    return progress, tracemalloc.get_traced_memory()[1] - before


def test_costs_a_request_a_hundred_objects_and_changes_nothing_twice(
    database: WorkerDatabase, sandbox: SandboxProcess
) -> None:
    merchant = merchant_with(sandbox, LARGE)
    sandbox.control("requests?reset=1")
    first = hunt(merchant, HuntRequest())
    assert (first.listed, first.found, first.updated, first.unreadable) == (OBJECTS * LARGE, LARGE, 0, 0)
    assert first.requests <= 1.05 * first.listed / 100 + 10
    assert sandbox.control("requests")["total"] == first.requests  # what it says is what Stripe saw
    ghosts = ghosts_of(merchant)
    assert len(ghosts) == LARGE

    second = hunt(merchant, HuntRequest())
    assert (second.listed, second.found, second.updated, second.unreadable) == (OBJECTS * LARGE, 0, 0, 0)
    assert second.requests == first.requests
    assert ghosts_of(merchant) == ghosts


def test_takes_no_more_memory_for_more_ghosts(database: WorkerDatabase, sandbox: SandboxProcess) -> None:
    small, large = merchant_with(sandbox, SMALL), merchant_with(sandbox, LARGE)
    hunt(merchant_with(sandbox, 1), HuntRequest())  # what is made once: connections, statements, locales
    tracemalloc.start()
    try:
        (few, held), (many, held_for_many) = peak(small), peak(large)
    finally:
        tracemalloc.stop()
    assert (few.found, many.found) == (SMALL, LARGE)
    assert held_for_many < 1.5 * held
