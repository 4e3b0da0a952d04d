"""Merit and money end to end: who gets the credit, counted once, and taken back once; bugs that others shipped."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostState
from models.messaging import LinkPurpose, Message, MessageState
from models.money import Recovery
from services.integrations.stripe.parsing import parse_invoice
from services.messaging.links import Link
from services.recovery import clicks
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.open(clock, monkeypatch)
    shop.subscription = shop.subscriber(decline_code="insufficient_funds")  # type: ignore[attr-defined]
    shop.pass_time(days=31, hours=2)
    return shop


def invoice_of(shop: Shop) -> str:
    return str(shop.invoice(shop.subscription)["id"])  # type: ignore[attr-defined]


def pay(shop: Shop) -> None:
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, invoice_of(shop), card["id"])


def charge_of(shop: Shop) -> str:
    return next(
        str(charge["id"])
        for charge in shop.world.space(shop.account).table("charge").objects.values()
        if charge["paid"] and charge["created"] > shop.clock.now().timestamp() - 86_400
    )


def wrote(shop: Shop, message_id: str, *, state: MessageState = MessageState.SENT) -> None:
    """A message that went out now."""
    now = shop.clock.now()
    with db.tenant_session(shop.merchant) as session:
        session.add(
            Message(
                merchant_id=shop.merchant,
                id=message_id,
                ghost_id=shop.ghosts[0].id,
                step=int(message_id[-1]),
                state=state,
                idempotency_key=message_id,
                due_at=now,
                intent_at=now,
                sent_at=now,
                created_at=now,
            )
        )


def follow(shop: Shop, message_id: str) -> None:
    with db.tenant_session(shop.merchant) as session:
        clicks.confirm(session, Link(shop.merchant, shop.ghosts[0].id, message_id, LinkPurpose.PAY))


def ledger(shop: Shop) -> list[tuple[str, int, str, str | None]]:
    return [
        (row.kind, row.amount_cents, row.mechanism, row.message_id)
        for row in sorted(shop.rows(Recovery), key=lambda row: str(row.id))
    ]


class TestWhichMessage:
    def test_the_one_that_was_followed_not_the_last(self, shop: Shop, clock: ManualClock):
        wrote(shop, "msg_1")
        follow(shop, "msg_1")
        clock.advance(timedelta(days=3))
        wrote(shop, "msg_2")
        clock.advance(timedelta(hours=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "click", "msg_1")]

    def test_the_customers_own_retry_after_a_message_is_the_messages(self, shop: Shop, clock: ManualClock):
        wrote(shop, "msg_1")
        clock.advance(timedelta(days=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "message", "msg_1")]

    def test_one_that_came_back_was_read_by_nobody(self, shop: Shop, clock: ManualClock):
        wrote(shop, "msg_1", state=MessageState.BOUNCED)
        clock.advance(timedelta(days=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "organic", None)]

    def test_a_message_after_the_payment_claims_nothing_however_late_the_event(self, shop: Shop, clock: ManualClock):
        clock.advance(timedelta(days=1))
        pay(shop)
        clock.advance(timedelta(days=1))
        wrote(shop, "msg_1")
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "organic", None)]


class TestBugsOfOthers:
    def test_recovered_counted_twice_by_two_handlers(self, shop: Shop):
        """invoice.paid, invoice.payment_succeeded, invoice_payment.paid and a hunt, in whatever order and at once."""
        pay(shop)
        told = shop.take()
        assert len({each.type for each in told if each.type.startswith("invoice")}) >= 3
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(shop.handle, [*told, *reversed(told)]))
        assert ledger(shop) == [("recovered", 4900, "organic", None)]
        assert_sums_agree(shop.merchant)

    def test_same_invoice_failed_then_paid_becomes_two(self, shop: Shop):
        """The failure's event again after the payment's: one ghost, one recovery, and it stays recovered."""
        failed = {**shop.world.space(shop.account).table("invoice").objects[invoice_of(shop)]}
        pay(shop)
        shop.deliver()
        for event in ("invoice.payment_failed", "invoice.paid", "invoice.payment_failed"):
            shop.actions.send_event(shop.account, event, failed)
            shop.deliver()
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.RECOVERED]
        assert len(ledger(shop)) == 1
        assert_sums_agree(shop.merchant)

    def test_a_refund_and_then_a_lost_dispute_of_one_payment_reverse_once(self, shop: Shop):
        pay(shop)
        shop.deliver()
        charge = charge_of(shop)
        dispute = shop.actions.open_dispute(shop.account, charge)
        shop.deliver()
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        stored = {**shop.world.space(shop.account).table("charge").objects[charge], "refunded": True}
        shop.actions.edit_object(shop.account, "charge", charge, {"refunded": True, "amount_refunded": 4900})
        shop.actions.send_event(shop.account, "charge.refunded", stored)
        shop.deliver()
        assert [row[:2] for row in ledger(shop)] == [("recovered", 4900), ("reversed", -4900)]
        assert_sums_agree(shop.merchant)

    def test_a_partial_refund_reverses_nothing(self, shop: Shop):
        pay(shop)
        shop.deliver()
        shop.actions.refund(shop.account, charge_of(shop), 1000)
        shop.deliver()
        assert [row[0] for row in ledger(shop)] == ["recovered"]
        assert_sums_agree(shop.merchant)


class TestOddPayments:
    @pytest.mark.parametrize(
        ("fields", "amount"),
        [
            ({"paid_out_of_band": True, "amount_paid": 0}, 4900),
            ({"amount_paid": 2900}, 2900),
            ({"amount_paid": 0}, 0),
            ({"amount_paid": 9900}, 4900),
        ],
        ids=["out of band", "the rest was credited", "all of it was credited", "more than was open"],
    )
    def test_what_came_back_is_what_was_paid_since(self, shop: Shop, fields: dict[str, object], amount: int):
        raw = shop.world.space(shop.account).table("invoice").objects[invoice_of(shop)]
        with db.tenant_session(shop.merchant) as session:
            context = merchant_context(session, shop.merchant)
            facts = parse_invoice({**raw, "status": "paid", "amount_remaining": 0, **fields})
            observe(session, context, [facts], FoundVia.HUNT, shop.clock.now())
        with db.tenant_session(shop.merchant) as session:
            (row,) = session.exec(select(Recovery)).all()
        assert row.amount_cents == amount
        assert_sums_agree(shop.merchant)
