"""A small history end to end: the engine's books against an account kept by the sandbox's side alone."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core import clock, db
from models.ghost import GhostState, GhostTarget
from models.messaging import Message
from models.money import Recovery, RecoveryKind
from models.work import ScheduledTask, TaskState
from sandbox.history.build import History, Wanted, history, write_demo_file
from sandbox.history.merchant import DemoMerchant
from sandbox.history.reset import remains
from sandbox.outbox.store import outbox_of
from sandbox.population.business import Business
from sandbox.population.living import Life
from sandbox.stripe import lookups
from sandbox.stripe.cards import Attempt, Outcome
from sandbox.stripe.store import Json
from sandbox.stripe.world import Settings, World
from services.identity import service as identity
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.recount import assert_sums_agree

SANDBOX = "http://127.0.0.1:12111"
ENDS = datetime(2026, 9, 16, 9, 30, tzinfo=UTC)


@pytest.fixture
def wanted(database: WorkerDatabase, redis_url: str, tmp_path: Path) -> Iterator[Wanted]:
    bases = dict.fromkeys(("STRIPE_API_BASE", "STRIPE_CONNECT_BASE", "RESEND_API_BASE"), SANDBOX)
    with environment.changed(**bases):
        yield Wanted(months=2, customers=24, seed="small", data=tmp_path / "sandbox", ends=ENDS)


class Books:
    """What the sandbox's side saw: which invoices a bank refused, and what became of them."""

    def __init__(self, under_way: History) -> None:
        self.world, self.space = under_way.world, under_way.business.space
        self.refused: set[str] = set()
        self.began = 0
        decide = self.world.decide

        def watch(attempt: Attempt) -> Outcome:
            outcome = decide(attempt)
            invoice = attempt.invoice
            asked_for_real = invoice is not None and invoice["id"] != ""  # life asks the bank beforehand, too
            if invoice and asked_for_real and not outcome.approved and "cycle" in invoice["billing_reason"]:
                self.refused.add(invoice["id"])
            return outcome

        self.world.decide = watch

    def invoice(self, identifier: str) -> Json:
        return self.space.table("invoice").objects[identifier]

    def paid_late(self) -> list[Json]:
        """Invoices paid after a refusal, since PHANTOM was there."""
        late = map(self.invoice, sorted(self.refused))
        return [one for one in late if one["status"] == "paid" and one["status_transitions"]["paid_at"] >= self.began]

    def money_back(self) -> dict[str, int]:
        """What of that was refunded in full, or lost in a dispute."""
        sums: dict[str, int] = defaultdict(int)
        for invoice in self.paid_late():
            intent = lookups.intent_of(self.space, invoice)
            charge = self.space.get("charge", intent["latest_charge"]) if intent else None
            disputes = self.space.table("dispute").where("charge", charge and charge["id"])
            if charge and (charge["refunded"] or any(one["status"] == "lost" for one in disputes)):
                sums[invoice["currency"]] += invoice["amount_paid"]
        return dict(sums)

    def money(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for invoice in self.paid_late():
            sums[invoice["currency"]] += invoice["amount_paid"]
        return dict(sums)


def recoveries(merchant_id: str, kind: RecoveryKind) -> dict[str, int]:
    with db.tenant_session(merchant_id) as session:
        rows = session.exec(select(Recovery).where(Recovery.merchant_id == merchant_id, Recovery.kind == kind)).all()
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[row.currency] += row.amount_cents
    return dict(sums)


def ghosts_of(merchant_id: str) -> dict[str, GhostTarget]:
    with db.tenant_session(merchant_id) as session:
        rows = session.exec(select(GhostTarget).where(GhostTarget.merchant_id == merchant_id)).all()
    return {ghost.id: ghost for ghost in rows}


def check_books(books: Books, merchant_id: str) -> None:
    """Every amount PHANTOM calls recovered was paid late at the sandbox, and the other way round."""
    assert books.money(), "a history in which nothing was paid late shows nothing"
    assert recoveries(merchant_id, RecoveryKind.RECOVERED) == books.money()
    returned = {currency: -amount for currency, amount in recoveries(merchant_id, RecoveryKind.REVERSED).items()}
    assert returned == books.money_back()
    ghosts = ghosts_of(merchant_id)
    closed = (GhostState.RECOVERED, GhostState.REVERSED)
    assert {ghost.invoice_id for ghost in ghosts.values() if ghost.state in closed} == {
        invoice["id"] for invoice in books.paid_late()
    }
    known = {ghost.invoice_id for ghost in ghosts.values()}
    assert known <= books.refused


def check_mail(books: Books, merchant_id: str) -> None:
    """At most three mails a ghost, none after it was paid, all of them in the outbox once."""
    ghosts = ghosts_of(merchant_id)
    with db.tenant_session(merchant_id) as session:
        told = {row.id: row for row in session.exec(select(Message).where(Message.merchant_id == merchant_id))}
    sent = outbox_of(books.world).messages(channel="email", limit=1000)
    mails = [mail for mail in sent if "phantom_message" in mail.tags]  # the others are the merchant's own digests
    assert mails
    assert sorted(mail.tags["phantom_message"] for mail in mails) == sorted(told)
    assert max(Counter(message.ghost_id for message in told.values()).values()) <= 3
    for mail in mails:
        ghost = ghosts[told[mail.tags["phantom_message"]].ghost_id]
        paid_at = books.invoice(ghost.invoice_id)["status_transitions"]["paid_at"]
        assert paid_at is None or mail.created <= paid_at + 1, "a mail after paying"
        assert mail.to == [ghost.customer_email]


class TestHistory:
    def test_months_lived_by_the_engine_balance_with_the_sandbox(self, wanted: Wanted):
        told: list[float] = []
        with history(wanted) as under_way:
            books = Books(under_way)
            merchant = under_way.run(lambda share, moment: told.append(share))
            books.began = under_way.began
            check_books(books, merchant.merchant_id)
            check_mail(books, merchant.merchant_id)
            assert under_way.world.deliveries.pending() == {"due": 0, "waiting": 0}
            assert abs(under_way.world.now() - clock.timestamp()) <= 1
            found, recovered = self.live(under_way, merchant.merchant_id)
            assert found, "a visitor sees ghosts appear"
            assert recovered, "and recover, while they watch"
            check_books(books, merchant.merchant_id)
        assert_sums_agree(merchant.merchant_id, billed=False)
        with db.system_session() as session:
            tasks = session.exec(select(ScheduledTask).where(col(ScheduledTask.state) != TaskState.DONE)).all()
        assert {task.state for task in tasks} <= {TaskState.PENDING}, [task.last_error for task in tasks]
        assert all(task.run_at > ENDS for task in tasks)
        assert told == sorted(told)
        assert (
            identity.sign_in(merchant.email, merchant.password, address="127.0.0.1").merchant_id == merchant.merchant_id
        )
        assert remains(wanted.data or Path()) == "the database has a connected merchant already"
        self.check_restart(wanted, merchant)

    @staticmethod
    def live(under_way: History, merchant_id: str) -> tuple[int, int]:
        """What the long-running sandbox does, with PHANTOM's programs beside it: new ghosts, and how many recovered."""
        began = clock.now()
        life = Life.of(under_way.business, under_way.browser)
        while True:
            for _ in range(60):
                under_way.travel.move_on(under_way.world.now() + 5)
                while under_way.world.clockwork.step(under_way.world.now()):
                    pass
                life.beat()
                under_way.engine.settle()
            new = [ghost for ghost in ghosts_of(merchant_id).values() if ghost.found_at > began]
            recovered = sum(ghost.state == GhostState.RECOVERED for ghost in new)
            if recovered or clock.now() - began > timedelta(hours=1):
                return len(new), recovered

    @staticmethod
    def check_restart(wanted: Wanted, merchant: DemoMerchant) -> None:
        """The long-running sandbox that starts afterwards finds the same business."""
        world = World(Settings(data=wanted.data, deliver=False))
        business = Business.resume(world)
        assert business is not None
        assert business.account == merchant.account_id
        assert business.space.table("subscription").count("status", "active") > 5
        world.close()


class TestDemoFile:
    def test_it_is_written_whole_and_for_its_owner_alone(self, tmp_path: Path):
        path = tmp_path / "demo.json"
        write_demo_file(path, DemoMerchant("mer_1", "demo@example.com", "secret", "acct_1"))
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text()) == {
            "merchant_id": "mer_1",
            "email": "demo@example.com",
            "password": "secret",
            "account_id": "acct_1",
        }
        assert [one.name for one in tmp_path.iterdir()] == ["demo.json"]
