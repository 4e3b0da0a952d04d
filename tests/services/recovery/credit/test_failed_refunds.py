"""Refunds that fail after they counted: the money is back, once, however late and in whatever order it is told."""

import random
from datetime import timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.audit import UsageLog
from models.ghost import GhostEvent, GhostState
from models.merchant import MerchantTotals
from models.money import DailyMetrics, Recovery
from models.work import ProcessedEvent
from sandbox.stripe.store import Json
from services.hunter.returns import look_back
from services.hunter.schemas import HuntRequest
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

OF_FAILURE = ("refund.failed", "refund.updated", "charge.refund.updated")


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.open(clock, monkeypatch)
    shop.actions.set_rules(shop.account, retry_days=[])
    return shop


@pytest.fixture(autouse=True)
def _the_sums_agree(shop: Shop) -> Any:
    yield
    assert_sums_agree(shop.merchant, billed=False)
    left = sum(row.amount_cents for row in shop.rows(Recovery))
    assert left == sum(row.recovered_cents for row in shop.rows(MerchantTotals))
    assert left == sum(ghost.recovered_cents for ghost in shop.ghosts)
    assert left == sum(row.quantity for row in shop.rows(UsageLog) if row.kind.startswith("recovery."))


@pytest.fixture
def charge(shop: Shop) -> str:
    """A ghost of 4900 that was recovered; the charge that paid it."""
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.pass_time(days=31, hours=2)
    pay(shop, subscription)
    shop.deliver()
    return paid_charge(shop)


def pay(shop: Shop, subscription: Json) -> None:
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])


def paid_charge(shop: Shop) -> str:
    charges = shop.world.space(shop.account).table("charge").objects.values()
    return str([each for each in charges if each["paid"]][-1]["id"])


def paid_together(shop: Shop, first: str, second: str) -> str:
    """Pay the first invoice, and put the payment to the second one too; the charge."""
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, first, card["id"])
    charge, space = paid_charge(shop), shop.world.space(shop.account)
    intent = space.table("charge").objects[charge]["payment_intent"]
    payment = next(each for each in space.table("invoice_payment").objects.values() if each["invoice"] == second)
    edit, account = shop.actions.edit_object, shop.account
    edit(account, "charge", charge, {"amount": 5801, "amount_captured": 5801})
    put = {"payment": {"payment_intent": intent, "type": "payment_intent"}, "status": "paid", "amount_paid": 901}
    edit(account, "invoice_payment", payment["id"], put)
    edit(account, "invoice", second, {"status": "paid", "amount_paid": 901, "amount_remaining": 0})
    shop.actions.send_event(account, "invoice.paid", space.table("invoice").objects[second])
    shop.deliver()
    assert {state for state, _ in standing(shop)} == {GhostState.RECOVERED}
    return charge


def refund(shop: Shop, charge: str, amount: int | None = None) -> Json:
    made = shop.actions.refund(shop.account, charge, amount)
    shop.deliver()
    return made


def fails(shop: Shop, refund: Json) -> None:
    """The bank sends a refund back, of which Stripe tells in three events."""
    shop.actions.fail_refund(shop.account, refund["id"])


def ledger(shop: Shop) -> list[int]:
    return [row.amount_cents for row in shop.rows(Recovery)]


def standing(shop: Shop) -> list[tuple[str, int]]:
    return [(ghost.state, ghost.recovered_cents) for ghost in shop.ghosts]


def outcomes(shop: Shop, told: list[ProcessedEvent]) -> list[str]:
    return [shop.handle(each) for each in told if each.type in OF_FAILURE]


class TestOne:
    def test_what_it_took_is_back_and_the_ghost_recovered_again(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        shop.pass_time(days=3)
        fails(shop, made)
        assert outcomes(shop, shop.take()) == ["given_back", "no_recovery", "no_recovery"]
        assert (standing(shop), ledger(shop)) == ([(GhostState.RECOVERED, 4900)], [4900, -4900, 4900])
        (ghost,) = shop.ghosts
        assert ghost.mechanism
        assert [event.to_state for event in shop.rows(GhostEvent)][-1] == GhostState.RECOVERED

    def test_one_that_is_called_off_never_left(self, shop: Shop, charge: str):
        """A transfer for which the customer never named an account."""
        made = refund(shop, charge)
        called_off = shop.actions.edit_object(shop.account, "refund", made["id"], {"status": "canceled"})
        shop.actions.send_event(shop.account, "refund.updated", called_off)
        assert outcomes(shop, shop.take()) == ["given_back"]
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]

    def test_it_counts_on_the_day_on_which_it_failed(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        shop.pass_time(days=3)
        on = shop.clock.now().date()
        fails(shop, made)
        shop.deliver()
        days = {row.day: (row.reversed_count, row.reversed_cents) for row in shop.rows(DailyMetrics)}
        assert days[on] == (-1, -4900)
        assert days[on - timedelta(days=3)] == (1, 4900)

    def test_told_five_times_and_shuffled_with_everything_else_it_is_once(self, shop: Shop, charge: str):
        made = shop.actions.refund(shop.account, charge)
        fails(shop, made)
        other = shop.actions.refund(shop.account, charge, 900)
        told = shop.take() * 5
        for seed in range(3):
            random.Random(seed).shuffle(told)  # noqa: S311  # the same order in every run
            for each in told:
                shop.handle(each)
        assert standing(shop) == [(GhostState.RECOVERED, 4000)]
        assert {row.source_id.partition(":")[0] for row in shop.rows(Recovery)} == {
            shop.ghosts[0].invoice_id,
            other["id"],
        }

    def test_its_failure_is_heard_of_before_the_refund_itself(self, shop: Shop, charge: str):
        made = shop.actions.refund(shop.account, charge)
        fails(shop, made)
        told = shop.take()
        told.sort(key=lambda each: each.type in OF_FAILURE, reverse=True)
        assert {shop.handle(each) for each in told if each.type != "refund.created"} == {"no_recovery"}
        assert ledger(shop) == [4900]

    def test_a_month_late(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        fails(shop, made)
        told = shop.take()
        shop.pass_time(days=31)
        assert outcomes(shop, told)[0] == "given_back"
        assert shop.ghosts[0].recovered_cents == 4900

    def test_a_stale_word_of_a_refund_that_failed_takes_nothing_again(self, shop: Shop, charge: str):
        shop.actions.refund(shop.account, charge)
        stale = shop.take()
        for each in stale:
            shop.handle(each)
        made = shop.world.space(shop.account).table("refund").objects
        fails(shop, next(iter(made.values())))
        shop.deliver()
        for each in stale:
            shop.handle(each)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]

    def test_of_one_that_never_counted_nothing_is_asked(self, shop: Shop, charge: str):
        shop.subscriber(email="other@example.com")
        made = refund(shop, paid_charge(shop))
        fails(shop, made)
        asked = sum(shop.api.by_route.values())
        assert set(outcomes(shop, shop.take())) == {"no_recovery"}
        assert sum(shop.api.by_route.values()) == asked

    def test_a_refund_that_only_got_its_number_at_the_bank_is_no_news(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        shop.actions.send_event(shop.account, "refund.updated", made)
        asked = sum(shop.api.by_route.values())
        assert outcomes(shop, shop.take()) == ["unchanged"]
        assert sum(shop.api.by_route.values()) == asked
        assert standing(shop) == [(GhostState.REVERSED, 0)]


class TestInPart:
    def test_one_of_two_gives_back_its_own_part(self, shop: Shop, charge: str):
        first, _ = refund(shop, charge, 1000), refund(shop, charge, 3900)
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        fails(shop, first)
        shop.deliver()
        assert (standing(shop), ledger(shop)) == ([(GhostState.RECOVERED, 1000)], [4900, -1000, -3900, 1000])

    def test_while_something_is_left_the_state_stays(self, shop: Shop, charge: str):
        made = refund(shop, charge, 1000)
        fails(shop, made)
        shop.deliver()
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
        assert [event.name for event in shop.rows(GhostEvent)][-2:] == ["partly_reversed", "given_back"]

    def test_the_refund_made_instead_takes_its_part_though_it_found_nothing_left(self, shop: Shop, charge: str):
        """It is heard of while the one that failed still counts."""
        failed = refund(shop, charge)
        fails(shop, failed)
        late = shop.take()
        instead = refund(shop, charge)
        assert ledger(shop)[:2] == [4900, -4900]
        for each in late:
            shop.handle(each)
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        assert {row.source_id for row in shop.rows(Recovery) if row.amount_cents < 0} == {failed["id"], instead["id"]}

    def test_a_lost_dispute_that_found_too_little_left_takes_the_rest(self, shop: Shop, charge: str):
        """Stripe calls a refund off when its charge is disputed (`charge_for_pending_refund_disputed`)."""
        first, second = refund(shop, charge, 1000), refund(shop, charge, 900)
        dispute = shop.actions.open_dispute(shop.account, charge)
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        assert ledger(shop) == [4900, -1000, -900, -3000]
        for made in (first, second):
            fails(shop, made)
            shop.deliver()
            assert standing(shop) == [(GhostState.REVERSED, 0)]
        assert sorted(ledger(shop)) == sorted([4900, -1000, -900, -3000, 1000, -1000, 900, -900])

    def test_of_a_payment_that_was_undone_since_nothing_comes_back(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        pay(shop, subscription)
        shop.deliver()
        made = refund(shop, paid_charge(shop), 900)
        invoice = shop.invoice(subscription)
        shop.clock.advance(timedelta(hours=1))
        undone = {"status": "open", "amount_remaining": 4900, "amount_paid": 0}
        shop.actions.edit_object(shop.account, "invoice", invoice["id"], undone)
        shop.actions.send_event(shop.account, "invoice.updated", shop.invoice(subscription))
        shop.deliver()
        assert standing(shop) == [(GhostState.OPEN, 0)]
        fails(shop, made)
        assert set(outcomes(shop, shop.take())) == {"no_recovery"}
        assert standing(shop) == [(GhostState.OPEN, 0)]


class TestTwoGhostsOfOnePayment:
    @pytest.fixture
    def both(self, shop: Shop) -> str:
        """One payment brought 4900 and 901."""
        customer = shop.subscriber()["customer"]
        price = shop.actions.create_price(shop.account, unit_amount=901, currency="usd")
        shop.actions.create_subscription(shop.account, customer, price["id"])
        bad = shop.actions.create_card(shop.account, decline_code="expired_card")
        shop.actions.attach_payment_method(shop.account, bad["id"], customer, default=True)
        shop.pass_time(days=31, hours=2)
        first, second = (ghost.invoice_id for ghost in sorted(shop.ghosts, key=lambda ghost: -ghost.amount_cents))
        return paid_together(shop, first, second)

    @pytest.mark.parametrize("by", ["webhook", "hunt"])
    def test_each_gets_its_own_share_back_to_the_last_cent(self, shop: Shop, both: str, by: str):
        first = refund(shop, both, 1000)
        refund(shop, both, 801)
        before = standing(shop)
        assert sum(left for _, left in before) == 4000
        fails(shop, first)
        told = shop.take()
        if by == "hunt":
            hunt(shop.merchant, HuntRequest())
        for each in told:
            shop.handle(each)
        taken = {(row.ghost_id, row.amount_cents) for row in shop.rows(Recovery) if row.source_id == first["id"]}
        back = {(row.ghost_id, -row.amount_cents) for row in shop.rows(Recovery) if row.source_id.endswith(":undone")}
        assert (len(taken), back) == (2, taken)
        assert sum(left for _, left in standing(shop)) == 5000

    def test_a_full_one_recovers_both_again(self, shop: Shop, both: str):
        made = refund(shop, both)
        assert {state for state, _ in standing(shop)} == {GhostState.REVERSED}
        fails(shop, made)
        shop.deliver()
        assert sorted(standing(shop)) == [(GhostState.RECOVERED, 901), (GhostState.RECOVERED, 4900)]


class TestFoundByAHunt:
    def test_weeks_after_the_refund_and_without_a_word(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        for _ in range(3):
            shop.pass_time(days=10)
            assert hunt(shop.merchant, HuntRequest()).updated == 0
        fails(shop, made)
        late = shop.take()
        assert hunt(shop.merchant, HuntRequest()).updated == 1
        assert (standing(shop)[0], ledger(shop)) == ((GhostState.RECOVERED, 4900), [4900, -4900, 4900])
        assert hunt(shop.merchant, HuntRequest()).updated == 0
        assert set(outcomes(shop, late)) == {"no_recovery"}
        assert len(ledger(shop)) == 3

    def test_the_refund_made_instead_is_found_with_it(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        shop.pass_time(days=10)
        hunt(shop.merchant, HuntRequest())
        fails(shop, made)
        shop.actions.refund(shop.account, charge, 4000)
        shop.take()
        hunt(shop.merchant, HuntRequest())
        assert (standing(shop), ledger(shop)) == ([(GhostState.RECOVERED, 900)], [4900, -4900, 4900, -4000])

    @pytest.mark.parametrize("amount", [None, 1000])
    def test_a_dispute_lost_long_ago_takes_what_it_could_not(self, shop: Shop, charge: str, amount: int | None):
        """Of all that was paid: it found nothing left, or too little."""
        made = refund(shop, charge, amount)
        dispute = shop.actions.open_dispute(shop.account, charge)
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        shop.pass_time(days=10)
        hunt(shop.merchant, HuntRequest())
        shop.pass_time(days=10)
        fails(shop, made)
        shop.take()
        hunt(shop.merchant, HuntRequest())
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        assert sum(ledger(shop)) == 0

    def test_hunts_list_it_until_it_can_fail_no_more(self, shop: Shop, charge: str):
        made = refund(shop, charge)
        for days, listed in ((30, True), (29, True), (2, False)):
            shop.pass_time(days=days)
            hunt(shop.merchant, HuntRequest())
            with db.tenant_session(shop.merchant) as session:
                since = look_back(session, shop.merchant).refunds
            assert since is not None
            assert (since.timestamp() <= made["created"]) is listed


class TestADisputeWonAfterAll:
    def test_gives_back_what_it_took(self, shop: Shop, charge: str):
        dispute = shop.actions.open_dispute(shop.account, charge)
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.deliver()
        assert standing(shop) == [(GhostState.REVERSED, 0)]
        won = shop.actions.edit_object(shop.account, "dispute", dispute["id"], {"status": "won"})
        shop.actions.send_event(shop.account, "charge.dispute.closed", won)
        told = shop.take() * 2
        assert [shop.handle(each) for each in told] == ["given_back", "no_recovery"]
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
