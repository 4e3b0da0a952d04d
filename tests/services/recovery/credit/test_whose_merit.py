"""Merit and money end to end: who gets the credit, counted once, and taken back once; bugs that others shipped."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from core.config import Mode, settings
from jobs.hunt import hunt
from models.audit import UsageLog
from models.ghost import FoundVia, GhostEvent, GhostState
from models.merchant import MerchantTotals
from models.messaging import LinkPurpose, Message, MessageState
from models.money import AttemptSource, AttemptState, PaymentAttempt, Recovery
from services.hunter.schemas import HuntRequest
from services.integrations.stripe.client import client_for
from services.integrations.stripe.parsing import parse_invoice
from services.messaging.links import Link
from services.recovery.credit import evidence
from services.recovery.messages import clicks
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_intent, raw_invoice
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


def pay_outside(shop: Shop) -> None:
    """What a merchant does in Stripe's dashboard when the money came by bank."""
    with db.tenant_session(shop.merchant) as session:
        client = client_for(session, shop.merchant)
    client.raw_post(f"/v1/invoices/{invoice_of(shop)}/pay", {"paid_out_of_band": "true"}, idempotency_key="outside")


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


def run_as(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings().model_copy(update={"phantom_mode": mode})
    monkeypatch.setattr(evidence, "settings", lambda: given)


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

    def test_a_credit_note_is_nobodys(self, shop: Shop, clock: ManualClock):
        """Nothing came in: whatever was sent or followed before has brought nothing."""
        wrote(shop, "msg_1")
        follow(shop, "msg_1")
        clock.advance(timedelta(days=1))
        settled = replace(parse_invoice(shop.invoice(shop.subscription)), status="paid", amount_remaining=0)  # type: ignore[attr-defined]
        with db.tenant_session(shop.merchant) as session:
            observe(session, merchant_context(session, shop.merchant), [settled], FoundVia.WEBHOOK, clock.now())
        assert ledger(shop) == [("recovered", 0, "organic", None)]
        [said] = [event.reason for event in shop.rows(GhostEvent) if event.to_state == GhostState.RECOVERED]
        assert "no money came in" in said

    def test_one_that_came_back_was_read_by_nobody(self, shop: Shop, clock: ManualClock):
        wrote(shop, "msg_1", state=MessageState.BOUNCED)
        clock.advance(timedelta(days=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "organic", None)]

    def test_one_that_rests_in_the_outbox_was_read_by_nobody(self, shop: Shop, clock: ManualClock):
        """There is no sender: the message was written, shown to the merchant, and went to no customer."""
        wrote(shop, "msg_1", state=MessageState.OUTBOX)
        clock.advance(timedelta(days=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "organic", None)]

    def test_one_in_the_outbox_does_not_hide_one_that_arrived(self, shop: Shop, clock: ManualClock):
        wrote(shop, "msg_1")
        clock.advance(timedelta(days=1))
        wrote(shop, "msg_2", state=MessageState.OUTBOX)
        clock.advance(timedelta(days=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "message", "msg_1")]

    @pytest.mark.parametrize(("mode", "merit"), [(Mode.LIVE, ("organic", None)), (Mode.DEMO, ("click", "msg_1"))])
    def test_a_click_in_the_outbox_is_a_customers_in_a_demo_alone(
        self, shop: Shop, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, mode: Mode, merit: tuple[str, str | None]
    ):
        run_as(mode, monkeypatch)
        wrote(shop, "msg_1", state=MessageState.OUTBOX)
        follow(shop, "msg_1")
        clock.advance(timedelta(hours=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, *merit)]

    @pytest.mark.parametrize("first", [MessageState.OUTBOX, MessageState.DELIVERED])
    def test_a_click_in_the_outbox_hides_none_on_what_was_sent(
        self, shop: Shop, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, first: MessageState
    ):
        run_as(Mode.LIVE, monkeypatch)
        states = (first, MessageState.DELIVERED if first is MessageState.OUTBOX else MessageState.OUTBOX)
        for number, state in enumerate(states, start=1):
            wrote(shop, f"msg_{number}", state=state)
            follow(shop, f"msg_{number}")
            clock.advance(timedelta(hours=1))
        pay(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "click", f"msg_{states.index(MessageState.DELIVERED) + 1}")]

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
        shop.actions.refund(shop.account, charge)
        shop.deliver()
        assert [row[:2] for row in ledger(shop)] == [("recovered", 4900), ("reversed", -4900)]
        assert_sums_agree(shop.merchant)

    def test_what_a_bank_takes_back_by_itself_is_lost_when_it_is_told_of(self, shop: Shop):
        """A debit that was paid and then returned is a dispute nobody can win: it is never open."""
        pay(shop)
        shop.deliver()
        dispute = shop.actions.open_dispute(shop.account, charge_of(shop))
        shop.actions.edit_object(shop.account, "dispute", dispute["id"], {"status": "lost"})
        told = [each for each in shop.take() if each.type == "charge.dispute.created"]
        assert [shop.handle(each) for each in told * 2] == ["reversed", "no_recovery"]
        assert shop.ghosts[0].state == GhostState.REVERSED
        assert_sums_agree(shop.merchant)


class TestInPart:
    def test_each_partial_refund_takes_its_part_and_the_last_one_the_rest(self, shop: Shop):
        pay(shop)
        shop.deliver()
        charge = charge_of(shop)
        for amount, left, state in ((1000, 3900, "recovered"), (900, 3000, "recovered"), (3000, 0, "reversed")):
            shop.actions.refund(shop.account, charge, amount)
            told = [each for each in shop.take() if each.type == "charge.refunded"]
            assert [shop.handle(each) for each in (*told, *told)] == ["reversed", "no_recovery"]
            assert [(ghost.state, ghost.recovered_cents) for ghost in shop.ghosts] == [(state, left)]
            assert sum(row.recovered_cents for row in shop.rows(MerchantTotals)) == left
            assert_sums_agree(shop.merchant)
        assert [row[:2] for row in ledger(shop)] == [
            ("recovered", 4900), ("reversed", -1000), ("reversed", -900), ("reversed", -3000)
        ]  # fmt: skip
        names = [event.name for event in shop.rows(GhostEvent)]
        assert (names.count("partly_reversed"), names.count("reversed")) == (2, 1)

    def test_one_event_about_several_refunds_finds_them_all(self, shop: Shop):
        pay(shop)
        shop.deliver()
        refunds = [shop.actions.refund(shop.account, charge_of(shop), amount)["id"] for amount in (1000, 900)]
        told = [each for each in shop.take() if each.type == "charge.refunded"]
        assert [shop.handle(each) for each in reversed(told)] == ["reversed", "no_recovery"]
        assert {row.source_id for row in shop.rows(Recovery) if row.kind == "reversed"} == set(refunds)
        assert shop.ghosts[0].recovered_cents == 3000

    def test_a_refund_that_came_to_nothing_takes_nothing(self, shop: Shop):
        pay(shop)
        shop.deliver()
        refund = shop.actions.refund(shop.account, charge_of(shop), 1000)
        shop.actions.edit_object(shop.account, "refund", refund["id"], {"status": "failed"})
        shop.deliver()
        assert [row[0] for row in ledger(shop)] == ["recovered"]

    def test_a_refund_in_part_and_a_dispute_of_all_take_no_more_than_there_was(self, shop: Shop):
        pay(shop)
        shop.deliver()
        shop.actions.refund(shop.account, charge_of(shop), 1000)
        dispute = shop.actions.open_dispute(shop.account, charge_of(shop))
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        assert [row[:2] for row in ledger(shop)] == [("recovered", 4900), ("reversed", -1000), ("reversed", -3900)]
        assert shop.ghosts[0].state == GhostState.REVERSED
        assert_sums_agree(shop.merchant)

    def test_usage_follows(self, shop: Shop):
        pay(shop)
        shop.deliver()
        shop.actions.refund(shop.account, charge_of(shop), 1000)
        shop.deliver()
        kinds = ("recovery.recovered", "recovery.reversed")
        rows = sorted((row.kind, row.quantity) for row in shop.rows(UsageLog) if row.kind in kinds)
        assert rows == [("recovery.recovered", 4900), ("recovery.reversed", -1000)]


class TestOnePaymentOfTwoGhosts:
    """Two open invoices of a customer, paid by one payment (Stripe: `invoice_payments` of one PaymentIntent)."""

    @pytest.fixture
    def shop(self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
        shop = Shop.open(clock, monkeypatch)
        shop.actions.set_rules(shop.account, retry_days=[])
        customer = shop.subscriber()["customer"]
        price = shop.actions.create_price(shop.account, unit_amount=901, currency="usd")
        shop.actions.create_subscription(shop.account, customer, price["id"])
        bad = shop.actions.create_card(shop.account, decline_code="expired_card")
        shop.actions.attach_payment_method(shop.account, bad["id"], customer, default=True)
        shop.pass_time(days=31, hours=2)
        return shop

    @pytest.fixture
    def charge(self, shop: Shop) -> str:
        """The payment's charge; its ghosts have brought 4900 and 901."""
        first, second = (ghost.invoice_id for ghost in sorted(shop.ghosts, key=lambda ghost: -ghost.amount_cents))
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, first, card["id"])
        return self._paid_with(shop, first, second)

    def _paid_with(self, shop: Shop, first: str, second: str) -> str:
        """Put the payment that paid the first invoice to the second one too."""
        space = shop.world.space(shop.account)
        payments = {each["invoice"]: each for each in space.table("invoice_payment").objects.values()}
        intent = payments[first]["payment"]["payment_intent"]
        charge = next(
            each for each in space.table("charge").objects.values() if each["payment_intent"] == intent and each["paid"]
        )
        edit, account = shop.actions.edit_object, shop.account
        paid = {"amount": 5801, "amount_captured": 5801}
        edit(account, "charge", charge["id"], paid)
        edit(account, "invoice_payment", payments[second]["id"], {
            "payment": {"payment_intent": intent, "type": "payment_intent"}, "status": "paid", "amount_paid": 901,
        })  # fmt: skip
        edit(account, "invoice", second, {"status": "paid", "amount_paid": 901, "amount_remaining": 0})
        shop.actions.send_event(account, "invoice.paid", space.table("invoice").objects[second])
        shop.deliver()
        found = {ghost.invoice_id: (ghost.state, ghost.recovered_cents) for ghost in shop.ghosts}
        assert (found[first], found[second]) == (("recovered", 4900), ("recovered", 901))
        return str(charge["id"])

    def test_a_full_refund_reverses_both_and_once(self, shop: Shop, charge: str):
        shop.actions.refund(shop.account, charge)
        told = [each for each in shop.take() if each.type == "charge.refunded"]
        assert [shop.handle(each) for each in (*told, *told)] == ["reversed", "no_recovery"]
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.REVERSED] * 2
        assert sorted(row.amount_cents for row in shop.rows(Recovery)) == [-4900, -901, 901, 4900]
        assert_sums_agree(shop.merchant)

    @pytest.mark.parametrize("by", ["webhook", "hunt"])
    def test_refunds_in_part_fall_on_both_and_sum_up_exactly(self, shop: Shop, charge: str, by: str):
        taken = 0
        for amount in (1, 1000, 333, 4467):
            shop.actions.refund(shop.account, charge, amount)
            taken += amount
            if by == "webhook":
                shop.deliver()
            else:
                shop.take()
                shop.pass_time(hours=13)
                hunt(shop.merchant, HuntRequest())
                hunt(shop.merchant, HuntRequest())
            back = [row.amount_cents for row in shop.rows(Recovery) if row.kind == "reversed"]
            assert (sum(back), max(back) < 0) == (-taken, True)
            assert all(ghost.recovered_cents >= 0 for ghost in shop.ghosts)
            assert_sums_agree(shop.merchant)
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.REVERSED] * 2

    def test_a_lost_dispute_reverses_both(self, shop: Shop, charge: str):
        dispute = shop.actions.open_dispute(shop.account, charge)
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.REVERSED] * 2
        assert_sums_agree(shop.merchant)


class TestOddPayments:
    @pytest.mark.parametrize(
        ("fields", "amount"),
        [
            ({"amount_paid": 2900}, 2900),
            ({"amount_paid": 0}, 0),
            ({"amount_paid": 9900}, 4900),
        ],
        ids=["the rest was credited", "all of it was credited", "more than was open"],
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

    def test_money_outside_stripe_is_all_that_was_open(self, shop: Shop, clock: ManualClock):
        """Whoever marks an invoice as paid has the money; what brought it is told by what was sent before."""
        wrote(shop, "msg_1")
        clock.advance(timedelta(days=1))
        pay_outside(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "message", "msg_1")]

    def test_a_charge_of_ours_that_was_begun_claims_none_of_it(self, shop: Shop):
        """The invoice's own payment, which is cancelled then, still names the card that we were about to charge."""
        (ghost,) = shop.ghosts
        with db.tenant_session(shop.merchant) as session:
            session.add(
                PaymentAttempt(
                    merchant_id=shop.merchant, id="pa_1", ghost_id=ghost.id, invoice_id=ghost.invoice_id,
                    source=AttemptSource.PHANTOM, state=AttemptState.STARTED, idempotency_key="retry:1",
                    payment_method_id=ghost.payment_method_id, attempted_at=shop.clock.now(),
                )
            )  # fmt: skip
        pay_outside(shop)
        shop.deliver()
        assert ledger(shop) == [("recovered", 4900, "organic", None)]


@pytest.mark.parametrize(
    ("code", "counted", "outside", "merit"),
    [
        ("insufficient_funds", 1, False, "stripe_retry"),
        ("insufficient_funds", 0, False, "organic"),
        ("insufficient_funds", 1, True, "organic"),
        ("lost_card", 1, False, "organic"),
    ],
    ids=["Stripe's charge", "a person was faster", "by bank", "a card that Stripe does not charge"],
)
def test_a_schedule_that_makes_no_charge_earns_no_merit(
    database: object, clock: ManualClock, code: str, counted: int, outside: bool, merit: str
) -> None:
    """Stripe names a date and charges nothing then: who pays on that day, or for whom, did it themselves."""
    merchant = make_merchant()
    failed = parse_invoice(raw_invoice(intent=raw_intent(code)))
    assert failed.next_payment_attempt is not None
    paid = replace(
        failed, status="paid", amount_remaining=0, amount_paid=4900, paid_out_of_band=outside,
        attempt_count=failed.attempt_count + counted, paid_at=failed.next_payment_attempt + timedelta(minutes=5),
    )  # fmt: skip
    for facts in (failed, paid):
        with db.tenant_session(merchant) as session:
            observe(session, merchant_context(session, merchant), [facts], FoundVia.WEBHOOK, clock.now())
    with db.tenant_session(merchant) as session:
        assert [row.mechanism for row in session.exec(select(Recovery))] == [merit]
