"""A hunt as it is in production: the real SDK, real HTTP, a large account, and no more memory than for a small one."""

import tracemalloc
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlmodel import select

from core import db
from jobs.hunt import hunt
from models.ghost import GhostTarget
from models.money import Recovery
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe import transport
from services.integrations.stripe.client import client_for
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


def test_a_refund_whose_webhook_is_lost_takes_the_recovery_back_once(
    database: WorkerDatabase, sandbox: SandboxProcess
) -> None:
    merchant = merchant_with(sandbox, 3)
    hunt(merchant, HuntRequest())
    with db.tenant_session(merchant) as session:
        invoice = session.exec(select(GhostTarget.invoice_id).limit(1)).one()
        stripe = client_for(session, merchant)
    card = sandbox.act("create_card", account=stripe.account, token="visa")
    sandbox.act("pay_invoice", account=stripe.account, invoice=invoice, payment_method=card["id"])
    states = [hunted_states(merchant)]  # no webhook is handled here
    paid = next(charge for charge in stripe.raw_get("/v1/charges", {"limit": 100})["data"] if charge["paid"])
    sandbox.act("refund", account=stripe.account, charge=paid["id"])
    states += [hunted_states(merchant) for _ in range(2)]
    assert states == [["open", "open", "recovered"], *[["open", "open", "reversed"]] * 2]
    with db.tenant_session(merchant) as session:
        kept = sorted(session.exec(select(Recovery.kind, Recovery.amount_cents)))
    assert kept == [("recovered", paid["amount"]), ("reversed", -paid["amount"])]


def hunted_states(merchant: str) -> list[str]:
    hunt(merchant, HuntRequest())
    return sorted(state for state, _ in ghosts_of(merchant).values())


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
