"""The ledger's entries: what each says, and that a source has one of a kind for each ghost."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostTarget, Mechanism
from models.money import Recovery, RecoveryKind
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import neighbours, repository
from services.recovery.credit.entries import enter, paid_amount
from services.recovery.observe import observe
from services.recovery.work import Work, merchant_context
from tests.support.factories import make_merchant, raw_invoice


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    """A merchant with two ghosts."""
    merchant = make_merchant()
    failed = [parse_invoice(raw_invoice(number)) for number in (1, 2)]
    with db.tenant_session(merchant) as session:
        observe(session, merchant_context(session, merchant), failed, FoundVia.WEBHOOK, clock.now())
    return merchant


def ghosts(merchant: str) -> list[GhostTarget]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(GhostTarget).order_by(col(GhostTarget.invoice_id))).all())


def ledger(merchant: str) -> list[Recovery]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(Recovery).order_by(col(Recovery.id))).all())


def entered(merchant: str, clock: ManualClock, kind: RecoveryKind, source: str, amount: int, number: int = 0) -> bool:
    """An entry of that ghost, an hour ago, in a transaction of its own."""
    ghost_id = ghosts(merchant)[number].id
    with db.tenant_session(merchant) as session:
        needed = neighbours.of_ghosts(session, merchant, [ghost_id])
        work = Work.begin(session, merchant_context(session, merchant), clock.now(), needed)
        ghost = repository.get_ghost(session, merchant, ghost_id, lock=True)
        assert ghost is not None
        ghost.mechanism = Mechanism.CLICK
        return enter(work, ghost, kind, source, amount, clock.now() - timedelta(hours=1), "msg_1")


class TestAnEntry:
    def test_says_whose_it_is_what_it_is_worth_and_when(self, merchant: str, clock: ManualClock):
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 4900)
        (row,), ghost = ledger(merchant), ghosts(merchant)[0]
        assert (row.merchant_id, row.ghost_id, row.currency, row.found_at) == (
            merchant,
            ghost.id,
            ghost.currency,
            ghost.found_at,
        )
        assert (row.kind, row.source_id, row.amount_cents) == (RecoveryKind.RECOVERED, "in_1", 4900)
        assert (row.mechanism, row.message_id) == (Mechanism.CLICK, "msg_1")
        assert (row.recorded_at, row.recorded_at - row.occurred_at) == (clock.now(), timedelta(hours=1))

    def test_is_made_once_a_source_whatever_it_says_the_second_time(self, merchant: str, clock: ManualClock):
        assert entered(merchant, clock, RecoveryKind.REVERSED, "re_1", -900)
        assert not entered(merchant, clock, RecoveryKind.REVERSED, "re_1", -4900)
        assert [row.amount_cents for row in ledger(merchant)] == [-900]

    def test_of_another_kind_or_ghost_is_another(self, merchant: str, clock: ManualClock):
        """A refund may concern several ghosts, and an invoice that was protected can be recovered."""
        assert entered(merchant, clock, RecoveryKind.PROTECTED, "in_1", 4900)
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 4900)
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 4900, number=1)
        assert len({(row.ghost_id, row.kind) for row in ledger(merchant)}) == 3


class TestWhatWasPaid:
    def amount(self, merchant: str) -> int:
        with db.tenant_session(merchant) as session:
            return paid_amount(session, ghosts(merchant)[0])

    def test_is_nothing_before_anybody_paid(self, merchant: str, clock: ManualClock):
        assert entered(merchant, clock, RecoveryKind.PROTECTED, "in_1", 4900)
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 700, number=1)
        assert self.amount(merchant) == 0

    def test_stays_whatever_went_back_of_it_or_was_credited_elsewhere(self, merchant: str, clock: ManualClock):
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 4900)
        assert entered(merchant, clock, RecoveryKind.REVERSED, "re_1", -1000)
        assert entered(merchant, clock, RecoveryKind.CREDITED, "att_1:from", -4900)
        assert entered(merchant, clock, RecoveryKind.CREDITED, "att_1:to", 4900)
        assert self.amount(merchant) == 4900

    def test_is_the_last_payment_of_those_that_were_undone(self, merchant: str, clock: ManualClock):
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1", 4900)
        clock.advance(timedelta(days=3))
        assert entered(merchant, clock, RecoveryKind.REVERSED, "reopened:1", -4900)
        assert entered(merchant, clock, RecoveryKind.RECOVERED, "in_1:2", 2500)
        assert self.amount(merchant) == 2500
