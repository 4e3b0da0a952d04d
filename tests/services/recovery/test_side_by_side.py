"""Customers of one merchant side by side: nobody waits for a stranger, and nothing is counted twice or lost."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostState, GhostTarget
from models.messaging import Channel, Click, LinkPurpose, Message, Suppression
from models.money import Recovery
from models.work import ScheduledTask
from services.hunter.billing import record_billed
from services.integrations.stripe.facts import CustomerFacts, InvoiceFacts
from services.integrations.stripe.parsing import parse_invoice
from services.messaging import links
from services.messaging.links import Link
from services.recovery import neighbours, repository, service
from services.recovery.charging import retry_plans
from services.recovery.credit import settle
from services.recovery.errors import GhostMovedError
from services.recovery.messages import clicks, optout, outreach, settlement
from services.recovery.messages.clicks import LinkClosedError
from services.recovery.observe import observe, write_off
from services.recovery.plans import pulse
from services.recovery.work import Work, merchant_context
from tests.support.factories import make_merchant, raw_intent, raw_invoice
from tests.support.neighbours import customers_of_shards, impatient
from tests.support.recount import assert_sums_agree

THREADS, STEPS = 8, 40
CODES = ("insufficient_funds", "expired_card", "do_not_honor", "authentication_required")


def failed(number: int, customer: str | None, *, code: str = CODES[0], amount: int = 4900) -> InvoiceFacts:
    """Invoice `number` of a customer; two invoices share a subscription."""
    facts = parse_invoice(
        raw_invoice(number, amount_due=amount, amount_remaining=amount, intent=raw_intent(code, id=f"pi_{number}"))
    )
    who = CustomerFacts(id=customer, email=f"{customer}@example.com", name="Ada Example")
    return replace(facts, customer=who, subscription_id=f"sub_{number // 2}")


def paid(facts: InvoiceFacts) -> InvoiceFacts:
    return replace(facts, status="paid", amount_remaining=0, amount_paid=facts.amount_due)


def see(session: Session, merchant: str, clock: ManualClock, *facts: InvoiceFacts) -> None:
    """As webhooks and hunts do: what was billed and what is a ghost, in one transaction."""
    neighbours.take(session, merchant, facts)
    record_billed(session, merchant, facts, clock.now().date())
    observe(session, merchant_context(session, merchant), facts, FoundVia.HUNT, clock.now())


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


class TestWaiting:
    def test_two_customers_do_not_wait_for_each_other(self, merchant: str, clock: ManualClock):
        one, other = customers_of_shards(2, 9)
        with db.tenant_session(merchant) as first:
            see(first, merchant, clock, failed(1, one))
            with impatient(merchant) as second:  # begins, writes and commits while the first is under way
                see(second, merchant, clock, failed(2, other))
        assert_sums_agree(merchant)

    def test_one_customer_waits_for_itself(self, merchant: str, clock: ManualClock):
        with db.tenant_session(merchant) as first:
            see(first, merchant, clock, failed(1, "cus_1"))
            with pytest.raises(OperationalError), impatient(merchant) as second:
                see(second, merchant, clock, failed(2, "cus_1"))
        assert_sums_agree(merchant)

    def test_nobody_passes_by_an_unknown_customer(self, merchant: str, clock: ManualClock):
        with db.tenant_session(merchant) as first:
            see(first, merchant, clock, failed(1, None))
            with pytest.raises(OperationalError), impatient(merchant) as second:
                see(second, merchant, clock, failed(2, "cus_2"))

    def test_a_message_holds_up_its_own_customer_alone(self, merchant: str, clock: ManualClock):
        one, other = customers_of_shards(2, 9)
        facts = failed(1, one)
        with db.tenant_session(merchant) as session:
            see(session, merchant, clock, facts)
            ghost = repository.get_by_invoice(session, merchant, facts.id)
        assert ghost is not None
        with db.tenant_session(merchant) as first:
            assert outreach.prepare(first, merchant, ghost.id, 1, facts).message is not None
            with impatient(merchant) as second:
                see(second, merchant, clock, failed(2, other))
            with pytest.raises(OperationalError), impatient(merchant) as third:
                service.pause(third, merchant, [ghost.id], "usr_1")

    def test_who_works_on_a_customer_never_waits_for_a_pulse_that_waits_for_them(
        self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        """Both write the tasks of the same messages: one of the two would be ended as a deadlock's victim."""
        one, other = customers_of_shards(2, 9)
        soon, moved = (failed(number, who, code="processing_error") for number, who in ((1, one), (2, other)))
        for facts in (soon, moved):
            with db.tenant_session(merchant) as session:
                see(session, merchant, clock, facts)
        with db.tenant_session(merchant) as session:
            planned = {ghost.next_action_at for ghost in session.exec(select(GhostTarget))}
            assert session.exec(select(ScheduledTask)).all() == []
            links.suppress(session, merchant, Channel.EMAIL, f"{other}@example.com", "bounced")
        (due_at,) = planned
        assert due_at is not None
        clock.current = due_at - timedelta(minutes=30)
        settle_some = pulse._settle

        def meanwhile(*given: Any) -> tuple[int, int]:  # the pulse is about to wait for the shards of what moved
            with impatient(merchant) as second:
                see(second, merchant, clock, replace(soon, amount_remaining=4800))
            return settle_some(*given)

        monkeypatch.setattr(pulse, "_settle", meanwhile)
        with db.tenant_session(merchant) as session:
            pulsed = pulse.plan_due(session, merchant, clock.now())
        assert (pulsed.messages, pulsed.moved) == (0, 1)
        with db.tenant_session(merchant) as session:
            assert [task.kind for task in session.exec(select(ScheduledTask))] == ["send_message"]

    def test_a_round_of_charges_waits_for_who_works_on_a_customer(self, merchant: str, clock: ManualClock):
        one, other = customers_of_shards(2, 9)
        with db.tenant_session(merchant) as session:
            see(session, merchant, clock, failed(1, one), failed(2, other))
            session.execute(update(GhostTarget).values(next_retry_at=clock.now()))
        context = merchant_context(session, merchant)
        with db.tenant_session(merchant) as first:
            neighbours.take(first, merchant, [failed(1, one)])  # who plans a ghost need not lock its row
            with pytest.raises(OperationalError), impatient(merchant) as second:
                retry_plans.round_of(second, context, clock.now(), None)
        with impatient(merchant) as alone:
            due, after = retry_plans.round_of(alone, context, clock.now(), None)
            assert ({ghost.customer_id for ghost in due}, after) == ({one, other}, None)


class TestWhoseGhost:
    def test_a_customer_once_known_stays(self, merchant: str, clock: ManualClock):
        for customer in (None, "cus_1", "cus_2", None):
            with db.tenant_session(merchant) as session:
                see(session, merchant, clock, failed(1, customer))
                ghost = repository.get_by_invoice(session, merchant, "in_1")
                assert ghost is not None
                assert ghost.customer_id == ("cus_1" if customer else ghost.customer_id)

    def test_a_ghost_outside_the_shards_held_is_not_touched(self, merchant: str, clock: ManualClock):
        one, other = customers_of_shards(2, 9)
        with db.tenant_session(merchant) as session:
            see(session, merchant, clock, failed(1, one))
        with db.tenant_session(merchant) as session:
            needed = neighbours.of_invoices(session, merchant, [failed(2, other)])
            work = Work.begin(session, merchant_context(session, merchant), clock.now(), needed)
            ghost = repository.get_by_invoice(session, merchant, "in_1")
            assert ghost is not None
            with pytest.raises(GhostMovedError):
                settle.recover(work, ghost, paid(failed(1, one)))
            session.rollback()
        assert_sums_agree(merchant)

    def test_what_was_read_before_the_lock_is_read_again(self, merchant: str, clock: ManualClock):
        facts = failed(1, "cus_1")
        with db.tenant_session(merchant) as session:
            see(session, merchant, clock, facts)
        with db.tenant_session(merchant) as first:
            before = repository.get_by_invoice(first, merchant, facts.id)
            assert before is not None
            with db.tenant_session(merchant) as second:
                see(second, merchant, clock, paid(facts))
            assert before.state == GhostState.OPEN
            locked = repository.get_ghost(first, merchant, before.id, lock=True)
            assert (locked is before, before.state) == (True, GhostState.RECOVERED)

    def test_shards_are_taken_before_the_first_of_several_units(self, merchant: str, clock: ManualClock):
        one, other = customers_of_shards(2, 9)
        with db.tenant_session(merchant) as session:
            context = merchant_context(session, merchant)
            observe(session, context, [failed(1, one)], FoundVia.HUNT, clock.now())
            with pytest.raises(GhostMovedError):
                observe(session, context, [failed(2, other)], FoundVia.HUNT, clock.now())
            session.rollback()


class Crowd:
    """One thread of many that do at random what PHANTOM does, to the same invoices.

    Invoices divisible by three change their amount and are never written off, because the recount takes an amount
    lost from the ghost.
    """

    def __init__(self, merchant: str, clock: ManualClock, seed: int) -> None:
        self.merchant, self.clock, self.chance = merchant, clock, random.Random(seed)  # noqa: S311  # a test's dice
        self.done = 0

    def run(self) -> int:
        actions: tuple[Callable[[Session], object], ...] = (
            *[self.fail] * 6,
            *[self.pay] * 3,
            self.void,
            self.gone,
            self.by_person,
            self.click,
            self.message,
            self.unsubscribe,
            self.reverse,
            self.round,
        )
        for _ in range(STEPS):
            action = self.chance.choice(actions)
            try:
                with db.tenant_session(self.merchant) as session:
                    action(session)
                self.done += 1
            except (LinkClosedError, GhostMovedError):
                continue  # typed, told to whoever asked, and nothing was written
        return self.done

    def invoice(self, *, lasting: bool = False) -> InvoiceFacts:
        number = self.chance.randrange(60)
        varies = number % 3 == 0
        if lasting and varies:
            return self.invoice(lasting=True)
        customer = f"cus_{number // 6}"
        if number < 2 and self.chance.random() < 0.5:
            customer = ""  # not known yet, in one of two looks
        amount = self.chance.randrange(1000, 9000) if varies else 4900
        return failed(number, customer or None, code=self.chance.choice(CODES), amount=amount)

    def ghost(self, session: Session, *, lasting: bool = False) -> GhostTarget | None:
        found = [
            ghost
            for ghost in session.exec(select(GhostTarget)).all()
            if not lasting or int(ghost.invoice_id.removeprefix("in_")) % 3
        ]
        session.expunge_all()
        return self.chance.choice(found) if found else None

    def fail(self, session: Session) -> None:
        batch = {facts.id: facts for facts in (self.invoice() for _ in range(self.chance.choice((1, 1, 1, 5))))}
        see(session, self.merchant, self.clock, *batch.values())

    def pay(self, session: Session) -> None:
        see(session, self.merchant, self.clock, paid(self.invoice()))

    def void(self, session: Session) -> None:
        see(session, self.merchant, self.clock, replace(self.invoice(lasting=True), status="void"))

    def gone(self, session: Session) -> None:
        context = merchant_context(session, self.merchant)
        write_off(session, context, [self.invoice(lasting=True).id for _ in range(3)], self.clock.now())

    def by_person(self, session: Session) -> None:
        ghosts = [ghost.id for _ in range(3) if (ghost := self.ghost(session, lasting=True))]
        self.chance.choice((service.pause, service.resume, service.mark_lost))(session, self.merchant, ghosts, "usr_1")

    def click(self, session: Session) -> None:
        if ghost := self.ghost(session):
            clicks.confirm(session, Link(self.merchant, ghost.id, "", LinkPurpose.PAY))

    def unsubscribe(self, session: Session) -> None:
        if ghost := self.ghost(session):
            optout.unsubscribe(session, Link(self.merchant, ghost.id, "", LinkPurpose.UNSUBSCRIBE))

    def message(self, session: Session) -> None:
        ghost = self.ghost(session)
        if ghost is None:
            return
        number = int(ghost.invoice_id.removeprefix("in_"))
        fresh = failed(number, ghost.customer_id, amount=ghost.amount_cents)
        step = ghost.messages_sent + 1
        prepared = outreach.prepare(session, self.merchant, ghost.id, step, fresh)
        if prepared.message is not None:
            session.commit()  # the intent; `tenant_session` begins the next transaction
            with db.tenant_session(self.merchant) as after:
                settlement.settle_sent(after, self.merchant, prepared.message_id, "resend", "re_1")

    def reverse(self, session: Session) -> None:
        facts = self.invoice()
        needed = neighbours.of_invoices(session, self.merchant, [facts])
        work = Work.begin(session, merchant_context(session, self.merchant), self.clock.now(), needed)
        ghost = repository.get_by_invoice(session, self.merchant, facts.id)
        if ghost is not None and ghost.state == GhostState.RECOVERED:
            settle.reverse(work, ghost, f"re_{facts.id}", ghost.recovered_cents, "Refunded.", self.clock.now())
        work.finish()

    def round(self, session: Session) -> None:
        if self.chance.random() < 0.5:
            pulse.plan_due(session, self.merchant, self.clock.now())
        else:
            service.replan_open(session, self.merchant)


class TestTogether:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_sums_are_a_recount_of_the_rows_whatever_happens_at_once(
        self, merchant: str, clock: ManualClock, seed: int
    ):
        crowd = [Crowd(merchant, clock, seed * 1000 + number) for number in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:  # a deadlock or a lost lock is an error of one of them
            done = [future.result() for future in [pool.submit(partial(each.run)) for each in crowd]]
        assert min(done) > STEPS // 2
        with db.tenant_session(merchant) as session:
            assert {entry.kind for entry in session.exec(select(Recovery))} == {"recovered", "reversed"}
            for table in (Message, Click, Suppression):
                assert session.exec(select(table)).first() is not None, "the dice left something out"
        assert_sums_agree(merchant)
