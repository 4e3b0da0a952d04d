"""Any order of anything that can happen to two ghosts of one subscription, judged by a model that knows the rules."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlmodel import Session, col, select

from core import clock as core_clock
from core import db
from models.ghost import FoundVia, GhostEvent, GhostTarget
from models.merchant import MerchantTotals
from models.money import DailyMetrics, Recovery
from services.integrations.stripe.parsing import parse_invoice
from services.integrations.stripe.returns import Undone
from services.recovery import neighbours, repository, service
from services.recovery.credit import reversals, settle
from services.recovery.lifecycle import Trigger
from services.recovery.observe import observe
from services.recovery.work import Work, merchant_context
from tests.support.factories import make_merchant, raw_invoice

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AMOUNT = 4900
FIRST = parse_invoice(raw_invoice(1))
SECOND = replace(parse_invoice(raw_invoice(2)), customer=FIRST.customer, subscription_id=FIRST.subscription_id)
INVOICES = st.sampled_from([1, 2])
MONEYS = (
    Trigger.PAID,
    Trigger.REVERSED,
    Trigger.GIVEN_BACK,
    Trigger.REOPENED,
)  # these move sums too, by ways of their own

CHASED = {"open", "contacted", "clicked"}
CLOSED = {"exhausted", "stopped", "lost"}
UNPAID = CHASED | CLOSED | {"paused"}
CARRYING = CHASED | {"paused", "exhausted"}


@dataclass(frozen=True)
class Known:
    """What the model knows of a ghost."""

    state: str = "open"
    paused_from: str = ""
    attempts: int = 1
    recovered: int = 0  # in all, however often it was paid
    reversed: int = 0
    times: int = 0  # paid, and not undone
    sources: frozenset[int] = frozenset()  # refunds that took something
    standing: tuple[tuple[int, int], ...] = ()  # ... and what, unless it came back

    @property
    def left(self) -> int:
        return self.recovered - self.reversed


def moved(known: Known, trigger: str) -> Known | None:
    """PRODUCT §4.2 in other words; None where it cannot happen."""
    state = known.state
    if trigger == "clicked" and state == "paused":
        return replace(known, paused_from="clicked")  # it rests, and goes on from there
    if trigger == "clicked" and state in CLOSED:
        return known
    simple = {
        "message_sent": (CHASED, "contacted" if state == "open" else state),
        "clicked": (CHASED, "clicked"),
        "paused": (CHASED, "paused"),
        "resumed": ({"paused"}, known.paused_from),
        "exhausted": (CHASED | {"paused"}, "exhausted"),
        "stopped": (CARRYING, "stopped"),
        "lost": (UNPAID - {"lost"}, "lost"),
        "paid": (UNPAID, "recovered"),
        "reversed": ({"recovered"}, "reversed"),
        "given_back": ({"reversed"}, "recovered"),
        "reopened": ({"stopped", "recovered"}, "open"),
    }
    sources, target = simple.get(trigger, (set(), ""))
    if state not in sources:
        return None
    return replace(known, state=target, paused_from=state if trigger == "paused" else "")


class Ghosts(RuleBasedStateMachine):
    """One merchant, one customer, two invoices of one subscription; an hour passes between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = core_clock.ManualClock(START)
        self._former = core_clock._clock
        core_clock.install(self.clock)
        self.merchant = make_merchant(policy={"window_days": 60})
        self.known: dict[int, Known] = {}
        self.sources = 0

    def teardown(self) -> None:
        core_clock.install(self._former)

    # -- doing ------------------------------------------------------------------------------------------------------

    def see(self, number: int, **changes: Any) -> None:
        self.clock.advance(timedelta(hours=1))
        facts = replace((FIRST, SECOND)[number - 1], **changes)
        with db.tenant_session(self.merchant) as session:
            merchant = merchant_context(session, self.merchant)
            observe(session, merchant, [facts], FoundVia.WEBHOOK, self.clock.now())

    def ghost(self, session: Session, number: int) -> GhostTarget:
        found = repository.get_by_invoice(session, self.merchant, f"in_{number}")
        assert found is not None
        return found

    def work_on(self, session: Session, ghost: GhostTarget) -> Work:
        needed = neighbours.of_ghosts(session, self.merchant, [ghost.id])
        return Work.begin(session, merchant_context(session, self.merchant), self.clock.now(), needed)

    def expect(self, number: int, trigger: str, **changes: Any) -> bool:
        """Let the model move; whether it could."""
        target = moved(self.known[number], trigger)
        if target is not None:
            self.known[number] = replace(target, **changes)
        return target is not None

    # -- what happens -----------------------------------------------------------------------------------------------

    @initialize()
    def begins(self) -> None:
        self.see(1)
        self.known[1] = Known()

    @rule(number=INVOICES)
    def a_charge_fails(self, number: int) -> None:
        known = self.known.get(number)
        attempts = known.attempts + 1 if known else 1
        self.see(number, attempt_count=attempts)
        self.known[number] = replace(known, attempts=attempts) if known else Known()

    @rule(number=INVOICES)
    def an_old_hint_comes_again(self, number: int) -> None:
        if number in self.known:
            self.see(number, attempt_count=1)

    @rule(
        number=INVOICES,
        trigger=st.sampled_from([one for one in Trigger if one not in MONEYS]),
    )
    def anything_is_tried(self, number: int, trigger: Trigger) -> None:
        """Legal or not: what is not legal says so and changes nothing."""
        if number not in self.known:
            return
        self.clock.advance(timedelta(hours=1))
        with db.tenant_session(self.merchant) as session:
            ghost = self.ghost(session, number)
            work = self.work_on(session, ghost)
            done = work.move(ghost, trigger, "tried")
            work.finish()
        assert done == self.expect(number, trigger.value)

    @rule(number=INVOICES, act=st.sampled_from(["paused", "resumed", "lost"]))
    def a_person_decides(self, number: int, act: str) -> None:
        if number not in self.known:
            return
        self.clock.advance(timedelta(hours=1))
        do = {"paused": service.pause, "resumed": service.resume, "lost": service.mark_lost}[act]
        with db.tenant_session(self.merchant) as session:
            done = do(session, self.merchant, [self.ghost(session, number).id], "usr_1")
        assert done == self.expect(number, act)

    @rule(number=INVOICES, status=st.sampled_from(["void", "uncollectible"]))
    def the_invoice_ends(self, number: int, status: str) -> None:
        if number in self.known:
            self.see(number, status=status)
            self.expect(number, "lost")

    @rule(number=INVOICES, asked=st.booleans())
    def the_subscription_ends(self, number: int, asked: bool) -> None:
        if number in self.known:
            end = "cancellation_requested" if asked else "payment_failed"
            self.see(number, subscription_status="canceled", subscription_end=end)
            self.expect(number, "stopped" if asked else "lost")

    @rule(number=INVOICES, paid=st.sampled_from([AMOUNT, AMOUNT - 900, 0]))
    def it_is_paid_however_late(self, number: int, paid: int) -> None:
        if number in self.known:
            at = self.clock.now()
            self.see(number, status="paid", amount_paid=paid, amount_remaining=0, paid_at=at)
            known = self.known[number]
            self.expect(number, "paid", recovered=known.recovered + paid, times=known.times + 1)

    @rule(number=INVOICES)
    def it_is_owed_again(self, number: int) -> None:
        """Stripe is asked anew and says that it is open: a cancellation taken back, or a payment undone."""
        if number not in self.known:
            return
        known = self.known[number]
        self.see(number, attempt_count=known.attempts, read_at=self.clock.now() + timedelta(minutes=30))
        undone: dict[str, Any] = {"reversed": known.recovered, "times": known.times - 1, "standing": ()}
        undone = undone if known.state == "recovered" else {}
        self.expect(number, "reopened", **undone)

    @rule(number=INVOICES, amount=st.sampled_from([AMOUNT, 2 * AMOUNT, 100]), again=st.booleans())
    def money_goes_back(self, number: int, amount: int, again: bool) -> None:
        if number not in self.known:
            return
        self.sources += not again
        self.clock.advance(timedelta(hours=1))
        with db.tenant_session(self.merchant) as session:
            ghost = self.ghost(session, number)
            work = self.work_on(session, ghost)
            done = settle.reverse(work, ghost, f"re_{self.sources}", amount, "refunded", self.clock.now())
            work.finish()
        known = self.known[number]
        fresh = known.state == "recovered" and self.sources not in known.sources
        taken = min(amount, known.left) if fresh else 0
        assert done == (taken > 0)
        if taken:
            self.known[number] = replace(
                known,
                reversed=known.reversed + taken,
                sources=known.sources | {self.sources},
                standing=(*known.standing, (self.sources, taken)),
            )
            if taken == known.left:
                self.expect(number, "reversed")

    @rule(number=INVOICES, first=st.booleans(), times=st.integers(1, 2))
    def a_refund_fails(self, number: int, first: bool, times: int) -> None:
        """Of those that took something one comes to nothing, and is told of once or twice."""
        known = self.known.get(number)
        if known is None or not known.standing:
            return
        source, amount = known.standing[0 if first else -1]
        for turn in range(times):
            self.clock.advance(timedelta(hours=1))
            with db.tenant_session(self.merchant) as session:
                merchant = merchant_context(session, self.merchant)
                gone = [Undone(f"re_{source}", "The refund failed.")]
                assert reversals.take_back(session, merchant, [], self.clock.now(), gone) == (turn == 0)
        left = tuple(each for each in known.standing if each[0] != source)
        self.known[number] = replace(known, reversed=known.reversed - amount, standing=left)
        self.expect(number, "given_back")

    # -- what always holds ------------------------------------------------------------------------------------------

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())

    @invariant()
    def states_and_sums_agree(self) -> None:
        ghosts = {int(ghost.invoice_id.removeprefix("in_")): ghost for ghost in self.rows(GhostTarget)}
        assert {n: ghost.state for n, ghost in ghosts.items()} == {n: known.state for n, known in self.known.items()}
        totals = self.rows(MerchantTotals)
        unpaid = [known for known in self.known.values() if known.state in UNPAID]
        chased = [known for known in self.known.values() if known.state in CHASED | {"paused"}]
        money = sum(known.left for known in self.known.values())
        assert sum(row.leakage_cents for row in totals) == AMOUNT * len(unpaid)
        assert sum(row.open_ghosts for row in totals) == len(chased)
        assert sum(row.recovered_cents for row in totals) == money
        assert sum(row.amount_cents for row in self.rows(Recovery)) == money

    @invariant()
    def a_subscriptions_shadow_is_carried_once(self) -> None:
        carried = [ghost.shadow_cents for ghost in self.rows(GhostTarget) if ghost.shadow_cents]
        wanted = any(known.state in CARRYING for known in self.known.values())
        assert carried == ([FIRST.monthly_value] if wanted else [])
        assert sum(row.shadow_leakage_cents for row in self.rows(MerchantTotals)) == sum(carried)

    @invariant()
    def days_and_timeline_tell_the_same(self) -> None:
        days = self.rows(DailyMetrics)
        assert sum(day.cohort_recovered_count for day in days) == sum(known.times for known in self.known.values())
        assert sum(day.reversed_cents for day in days) == sum(known.reversed for known in self.known.values())
        with db.tenant_session(self.merchant) as session:
            events = list(session.exec(select(GhostEvent).order_by(col(GhostEvent.id))).all())
            ends = {ghost.id: ghost.state for ghost in session.exec(select(GhostTarget))}
        states: dict[str, str] = {}
        for event in events:
            assert not event.from_state or event.from_state == states.get(event.ghost_id, "open"), event
            states[event.ghost_id] = event.to_state
        assert states == ends


@pytest.mark.usefixtures("database")
def test_the_lifecycle() -> None:
    run_state_machine_as_test(
        Ghosts,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
