"""What had ended and is owed again; what only looked as if it were; and payments that take days to fail."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.audit import UsageLog
from models.ghost import FoundVia, GhostEvent, GhostState
from models.money import Recovery
from services.hunter.schemas import HuntRequest
from services.integrations.stripe.parsing import parse_invoice
from services.integrations.stripe.returns import MoneyBack
from services.merchants.policies import RecoveryPolicy
from services.recovery import service as recovery
from services.recovery.charging import retries
from services.recovery.credit import reversals
from services.recovery.credit.reversals import Returned
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.services.recovery.charging.test_new_cards import add, charges, failed, run
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


@pytest.fixture
def subscription(shop: Shop) -> Any:
    return failed(shop)


def pay(shop: Shop) -> None:
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card["id"])
    shop.deliver()
    assert shop.ghosts[0].state == GhostState.RECOVERED


def edit_invoice(shop: Shop, **fields: Any) -> dict[str, Any]:
    return shop.actions.edit_object(shop.account, "invoice", shop.ghosts[0].invoice_id, fields)


def tell(shop: Shop, kind: str) -> list[str]:
    """An event about the invoice as it stands; what became of it."""
    invoice = shop.world.space(shop.account).table("invoice").objects[shop.ghosts[0].invoice_id]
    shop.actions.send_event(shop.account, kind, invoice)
    return [shop.handle(each) for each in shop.take() if each.type == kind]


def undo(shop: Shop) -> None:
    """The payment is taken off the invoice, which is open again."""
    shop.clock.advance(timedelta(days=3))
    edit_invoice(shop, status="open", amount_paid=0, amount_remaining=4900)


def make_again(shop: Shop) -> None:
    """A payment after the one that was undone."""
    shop.clock.advance(timedelta(days=1))
    paid_at = {"paid_at": int(shop.clock.now().timestamp())}
    edit_invoice(shop, status="paid", amount_paid=4900, amount_remaining=0, status_transitions=paid_at)


def paid_charge(shop: Shop) -> str:
    charges_made = shop.world.space(shop.account).table("charge").objects.values()
    intent = shop.ghosts[0].payment_intent_id
    return next(str(each["id"]) for each in charges_made if each["payment_intent"] == intent and each["paid"])


def amounts(shop: Shop) -> list[int]:
    return [row.amount_cents for row in sorted(shop.rows(Recovery), key=lambda row: str(row.id))]


class TestPaymentUndone:
    @pytest.mark.parametrize("by", ["webhook", "hunt"])
    def test_it_is_taken_back_and_chased_again(self, shop: Shop, subscription: Any, by: str):
        pay(shop)
        undo(shop)
        for _ in range(2):  # hearing of it again changes nothing
            if by == "webhook":
                tell(shop, "invoice.updated")
            else:
                hunt(shop.merchant, HuntRequest())
            (ghost,) = shop.ghosts
            assert (ghost.state, ghost.recovered_cents, ghost.mechanism) == (GhostState.OPEN, 0, "")
            assert (ghost.closed_at, ghost.shadow_cents, ghost.next_action != "") == (None, 4900, True)
            assert amounts(shop) == [4900, -4900]
            assert_sums_agree(shop.merchant)
        assert [event.name for event in shop.rows(GhostEvent)].count("reopened") == 1

    def test_after_its_days_were_over_it_has_them_again(self, shop: Shop, subscription: Any):
        with db.tenant_session(shop.merchant) as session:
            recovery.start_messages(session, shop.merchant, "usr_1")
        pay(shop)
        found_at = shop.ghosts[0].found_at
        shop.clock.advance(timedelta(days=33))
        undo(shop)
        tell(shop, "invoice.updated")
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.next_action) == (GhostState.OPEN, "send_message")
        assert (ghost.found_at, ghost.reopened_at) == (found_at, shop.clock.now())
        assert not retries.may_charge(RecoveryPolicy(paused=False), retries.case_of(ghost), shop.clock.now()).endswith(
            "days are over."
        )

    def test_paid_again_it_counts_again_and_once(self, shop: Shop, subscription: Any):
        pay(shop)
        undo(shop)
        tell(shop, "invoice.updated")
        make_again(shop)
        assert tell(shop, "invoice.paid") + tell(shop, "invoice.paid") == ["ghost_updated", "unchanged"]
        assert (shop.ghosts[0].state, amounts(shop)) == (GhostState.RECOVERED, [4900, -4900, 4900])
        kinds = ("recovery.recovered", "recovery.reversed")
        assert sum(row.quantity for row in shop.rows(UsageLog) if row.kind in kinds) == 4900
        assert_sums_agree(shop.merchant)

    def test_what_we_charged_before_it_was_undone_is_no_merit_of_the_payment_after_it(
        self, shop: Shop, subscription: Any
    ):
        add(shop, subscription)
        shop.deliver()
        run(shop)
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        undo(shop)
        tell(shop, "invoice.updated")
        shop.clock.advance(timedelta(days=20))
        make_again(shop)
        tell(shop, "invoice.paid")
        assert [(row.kind, row.mechanism) for row in shop.rows(Recovery)] == [
            ("recovered", "own_attempt"),
            ("reversed", "own_attempt"),
            ("recovered", "organic"),
        ]

    @pytest.mark.parametrize(("ahead", "state"), [(2, GhostState.RECOVERED), (20, GhostState.OPEN)])
    def test_a_host_whose_clock_is_ahead_proves_nothing_by_what_it_read_before(
        self, shop: Shop, subscription: Any, ahead: int, state: GhostState
    ):
        invoice = dict(shop.world.space(shop.account).table("invoice").objects[shop.ghosts[0].invoice_id])
        seen = parse_invoice({**invoice, "customer": {"id": invoice["customer"]}}, subscription=subscription)
        pay(shop)
        read = replace(seen, read_at=shop.clock.now() + timedelta(seconds=ahead))
        with db.tenant_session(shop.merchant) as session:
            observe(session, merchant_context(session, shop.merchant), [read], FoundVia.WEBHOOK, shop.clock.now())
        assert shop.ghosts[0].state == state

    def test_after_a_partial_refund_only_the_rest_is_taken_back(self, shop: Shop, subscription: Any):
        pay(shop)
        shop.actions.refund(shop.account, paid_charge(shop), 900)
        shop.deliver()
        undo(shop)
        tell(shop, "invoice.updated")
        assert amounts(shop) == [4900, -900, -4000]
        assert_sums_agree(shop.merchant)

    def test_what_was_seen_before_the_payment_proves_nothing(self, shop: Shop, subscription: Any):
        invoice = dict(shop.world.space(shop.account).table("invoice").objects[shop.ghosts[0].invoice_id])
        seen = parse_invoice({**invoice, "customer": {"id": invoice["customer"]}}, subscription=subscription)
        pay(shop)
        with db.tenant_session(shop.merchant) as session:
            observe(session, merchant_context(session, shop.merchant), [seen], FoundVia.HUNT, shop.clock.now())
        assert (shop.ghosts[0].state, amounts(shop)) == (GhostState.RECOVERED, [4900])

    def test_a_refund_of_the_second_payment_counts_that_one_alone(self, shop: Shop, subscription: Any):
        pay(shop)
        undo(shop)
        tell(shop, "invoice.updated")
        make_again(shop)
        tell(shop, "invoice.paid")
        (ghost,) = shop.ghosts
        half = MoneyBack(  # it paid another one, too
            ghost.payment_intent_id, "re_1", 4900, "refunded", shop.clock.now(), charged=9800
        )
        with db.tenant_session(shop.merchant) as session:
            merchant = merchant_context(session, shop.merchant)
            reversals.take_back(session, merchant, [Returned(half, (ghost.invoice_id,))], shop.clock.now())
        assert amounts(shop) == [4900, -4900, 4900, -2450]
        assert_sums_agree(shop.merchant)

    def test_a_reversed_one_stays_reversed(self, shop: Shop, subscription: Any):
        pay(shop)
        shop.actions.refund(shop.account, paid_charge(shop))
        shop.deliver()
        undo(shop)
        assert tell(shop, "invoice.updated") == ["unchanged"]
        assert (shop.ghosts[0].state, amounts(shop)) == (GhostState.REVERSED, [4900, -4900])


class TestBankDebit:
    """Stripe keeps the invoice open while a debit is under way, and says days later that it failed."""

    def test_nobody_is_charged_while_it_is_under_way_and_the_ghost_goes_on_when_it_fails(
        self, shop: Shop, subscription: Any
    ):
        intent = shop.ghosts[0].payment_intent_id or ""
        shop.actions.edit_object(shop.account, "payment_intent", intent, {"status": "processing"})
        shop.clock.advance(timedelta(hours=1))
        tell(shop, "invoice.updated")
        card = add(shop, subscription)
        shop.deliver()
        assert [each["attempt"] for each in run(shop)] == ["held"]
        assert (charges(shop, card), shop.ghosts[0].state, amounts(shop)) == ([], GhostState.OPEN, [])
        shop.clock.advance(timedelta(days=4))
        shop.actions.edit_object(shop.account, "payment_intent", intent, {"status": "requires_payment_method"})
        tell(shop, "invoice.payment_failed")
        assert shop.ghosts[0].state == GhostState.OPEN
        pay(shop)
        assert amounts(shop) == [4900]
        assert_sums_agree(shop.merchant)


class TestLost:
    def test_written_off_by_a_person_and_found_open_it_stays_lost_and_is_recovered_when_paid(
        self, shop: Shop, subscription: Any
    ):
        """At Stripe neither void nor uncollectible becomes open again; what a person gave up is theirs to take up."""
        edit_invoice(shop, status="uncollectible")
        tell(shop, "invoice.marked_uncollectible")
        assert shop.ghosts[0].state == GhostState.LOST
        shop.clock.advance(timedelta(days=1))
        edit_invoice(shop, status="open")
        assert tell(shop, "invoice.updated") == ["unchanged"]
        hunt(shop.merchant, HuntRequest())
        assert shop.ghosts[0].state == GhostState.LOST
        pay(shop)
        assert amounts(shop) == [4900]
        assert_sums_agree(shop.merchant)
