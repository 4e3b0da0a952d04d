"""Money that went back without a word: the next hunt takes the recovery back, once, and nothing else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.audit import SystemLog
from models.ghost import GhostState
from models.merchant import MerchantTotals
from models.money import DailyMetrics, Recovery
from models.work import Hunt, ProcessedEvent
from sandbox.stripe import accounts
from sandbox.stripe.store import Json
from services.hunter import service as hunter
from services.hunter import sweeps
from services.hunter.schemas import HuntProgress, HuntRequest, LookBack
from services.integrations.stripe.client import ScopedStripe
from services.vault.secret import Secret
from tests.services.hunter.test_hunt import ListedStripe
from tests.support.recount import assert_sums_agree
from tests.support.shop import DAY, Shop

TOLD_OF_MONEY_BACK = ("charge.refunded", "charge.dispute.closed", "charge.dispute.created")


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def hunted(shop: Shop) -> HuntProgress:
    return hunt(shop.merchant, HuntRequest())


def requests_to(shop: Shop, path: str) -> int:
    return shop.api.by_route.get(f"GET {path}", 0)


def recovered(shop: Shop, email: str = "ada@example.com") -> Json:
    """A ghost that was recovered; the charge that paid it."""
    subscription = shop.subscriber(decline_code="insufficient_funds", email=email)
    shop.pass_time(days=31, hours=2)
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
    shop.deliver()
    return last_charge(shop)


def last_charge(shop: Shop) -> Json:
    charges = shop.world.space(shop.account).table("charge").objects.values()
    return [charge for charge in charges if charge["paid"]][-1]


def lose_words(shop: Shop, *kinds: str) -> list[ProcessedEvent]:
    """Handle what is due but for these kinds; those that were not told."""
    lost = []
    while stored := shop.take():
        for each in stored:
            if each.type in kinds:
                lost.append(each)
            else:
                shop.handle(each)
    return lost


def reversals(shop: Shop) -> list[Recovery]:
    return [row for row in shop.rows(Recovery) if row.kind == "reversed"]


def went_back_once(shop: Shop, *amounts: int) -> None:
    amounts = amounts or (4900,)
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.REVERSED]
    assert [row.amount_cents for row in reversals(shop)] == [-amount for amount in amounts]
    assert sum(row.reversed_cents for row in shop.rows(DailyMetrics)) == sum(amounts)
    assert sum(row.recovered_cents for row in shop.rows(MerchantTotals)) == 0
    assert_sums_agree(shop.merchant)


class TestRefunds:
    def test_a_lost_refund_is_found_once_and_what_is_heard_of_it_later_changes_nothing(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"])
        (lost,) = lose_words(shop, *TOLD_OF_MONEY_BACK)
        assert hunted(shop).updated == 1
        went_back_once(shop)
        assert hunted(shop).updated == 0
        assert shop.handle(lost) == "no_recovery"
        went_back_once(shop)

    def test_what_a_webhook_took_back_is_left_alone(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"])
        shop.deliver()
        assert hunted(shop).updated == 0
        went_back_once(shop)

    def test_hunt_and_webhook_name_the_same_source(self, shop: Shop):
        charge = recovered(shop)
        refund = shop.actions.refund(shop.account, charge["id"])
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        hunted(shop)
        assert [row.source_id for row in reversals(shop)] == [refund["id"]]

    def test_it_counts_on_the_day_of_the_refund(self, shop: Shop, clock: ManualClock):
        charge = recovered(shop)
        hunted(shop)
        shop.pass_time(days=3)
        shop.actions.refund(shop.account, charge["id"])
        on = clock.now().date()
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        shop.pass_time(days=2)
        hunted(shop)
        assert [row.day for row in shop.rows(DailyMetrics) if row.reversed_cents] == [on]

    def test_a_partial_refund_takes_its_part(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"], 4899)
        (lost,) = lose_words(shop, *TOLD_OF_MONEY_BACK)
        assert hunted(shop).updated == 1
        assert (hunted(shop).updated, shop.handle(lost)) == (0, "no_recovery")
        assert [(ghost.state, ghost.recovered_cents) for ghost in shop.ghosts] == [(GhostState.RECOVERED, 1)]
        assert [row.amount_cents for row in reversals(shop)] == [-4899]
        assert sum(row.recovered_cents for row in shop.rows(MerchantTotals)) == 1
        assert_sums_agree(shop.merchant)

    def test_partial_refunds_of_the_whole_are_a_full_one(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"], 2000)
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        hunted(shop)
        shop.pass_time(days=20)
        shop.actions.refund(shop.account, charge["id"], 2900)
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        hunted(shop)
        went_back_once(shop, 2000, 2900)

    def test_payment_and_refund_that_nobody_told_of(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        shop.actions.refund(shop.account, last_charge(shop)["id"])
        shop.take()  # every word of it is lost
        for _ in range(2):  # the first finds the payment: before it there was nothing that could have gone back
            shop.pass_time(hours=12)
            hunted(shop)
        went_back_once(shop)

    def test_a_refund_older_than_the_last_look_at_a_payment_heard_of_since(self, shop: Shop):
        recovered(shop, "grace@example.com")
        hunted(shop)
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        shop.actions.refund(shop.account, last_charge(shop)["id"])
        late = shop.take()
        with db.tenant_session(shop.merchant) as session:  # as if the hunts had been busy with others all the time
            for found in session.exec(select(Hunt)):
                found.looked_until = {"refunds": shop.world.now() + 20 * DAY}
        shop.pass_time(days=20)
        for each in late:
            if each.type == "invoice.paid":
                shop.handle(each)
        hunted(shop)
        states = {(ghost.customer_email, ghost.state) for ghost in shop.ghosts if ghost.state != GhostState.OPEN}
        assert states == {("ada@example.com", GhostState.REVERSED), ("grace@example.com", GhostState.RECOVERED)}


class TestDisputes:
    def _dispute(self, shop: Shop, charge: Json) -> str:
        opened: str = shop.actions.open_dispute(shop.account, charge["id"])["id"]
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        return opened

    def test_one_that_is_lost_months_later_is_found_once(self, shop: Shop):
        dispute = self._dispute(shop, recovered(shop))
        for _ in range(9):
            shop.pass_time(days=14)
            hunted(shop)
        assert reversals(shop) == []
        shop.actions.close_dispute(shop.account, dispute, won=False)
        (lost,) = lose_words(shop, *TOLD_OF_MONEY_BACK)
        assert hunted(shop).updated == 1
        assert [row.source_id for row in reversals(shop)] == [dispute]
        hunted(shop)
        assert shop.handle(lost) == "no_recovery"
        assert len(reversals(shop)) == 1

    def test_one_that_is_won_takes_nothing_and_is_not_waited_for_any_longer(self, shop: Shop, clock: ManualClock):
        dispute = self._dispute(shop, recovered(shop))
        opened = shop.world.now()
        shop.pass_time(days=30)
        hunted(shop)
        assert self._looked_until(shop) == opened
        shop.actions.close_dispute(shop.account, dispute, won=True)
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        hunted(shop)
        assert reversals(shop) == []
        assert self._looked_until(shop) == int(clock.now().timestamp())

    def test_one_over_a_payment_that_recovered_nothing_is_not_waited_for(self, shop: Shop, clock: ManualClock):
        recovered(shop)
        shop.subscriber(email="grace@example.com")
        self._dispute(shop, last_charge(shop))
        shop.pass_time(hours=2)
        hunted(shop)
        assert self._looked_until(shop) == int(clock.now().timestamp())

    def _looked_until(self, shop: Shop) -> int:
        last: Hunt = max(shop.rows(Hunt), key=lambda found: found.id)
        return int(last.looked_until["disputes"])


class TestCost:
    def test_nothing_is_listed_while_nothing_was_recovered(self, shop: Shop):
        shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        hunted(shop)
        assert (requests_to(shop, "/v1/refunds"), requests_to(shop, "/v1/disputes")) == (0, 0)

    def test_refunds_of_other_payments_cost_their_page_and_nothing_else(self, shop: Shop):
        recovered(shop)
        for number in range(3):
            shop.subscriber(email=f"other{number}@example.com")
            shop.actions.refund(shop.account, last_charge(shop)["id"])
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        before = dict(shop.api.by_route)
        progress = hunted(shop)
        asked = {name: times - before.get(name, 0) for name, times in shop.api.by_route.items()}
        assert {name for name, times in asked.items() if times} == {
            "GET /v1/invoice_payments", "GET /v1/subscriptions", "GET /v1/invoices", "GET /v1/refunds",
            "GET /v1/disputes",
        }  # fmt: skip
        assert (progress.updated, reversals(shop)) == (0, [])
        assert progress.requests <= 1.05 * progress.listed / 100 + 10

    def test_the_next_look_begins_where_the_last_one_ended(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"])
        for subscription in shop.world.space(shop.account).table("subscription").objects:
            shop.actions.cancel_subscription(shop.account, subscription)  # nothing else is left to be listed
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        listed = []
        for _ in range(3):
            listed.append(hunted(shop).listed)
            shop.pass_time(days=31)
        assert listed == [1, 1, 0]  # the refund is looked at until it can fail no more

    def test_an_audit_of_a_window_does_not_look(self, shop: Shop, clock: ManualClock):
        recovered(shop)
        hunt(shop.merchant, HuntRequest(trigger="audit", audit=True, since=clock.now() - timedelta(days=90)))
        assert requests_to(shop, "/v1/refunds") == 0


class TestRestrictedKey:
    def _hunt(self, shop: Shop, permissions: dict[str, str]) -> HuntProgress:
        key = accounts.create_restricted_key(shop.world, shop.account, permissions)
        client = ScopedStripe(Secret(key), shop.account, header=False)
        with db.tenant_session(shop.merchant) as session:
            run = hunter.start(session, shop.merchant, HuntRequest())
        while (page := run.fetch(client)) is not None:
            with db.tenant_session(shop.merchant) as session:
                run.store(session, page)
        return run.progress

    def test_without_the_permission_the_hunt_goes_on_and_says_so(self, shop: Shop):
        charge = recovered(shop)
        shop.actions.refund(shop.account, charge["id"])
        lose_words(shop, *TOLD_OF_MONEY_BACK)
        may = {"invoices": "read", "invoice_payments": "read", "subscriptions": "read", "disputes": "read"}
        progress = self._hunt(shop, may)
        assert progress.state == "done"
        assert progress.error == (
            "Refunds whose webhook is lost are not noticed: Stripe does not let PHANTOM list refunds."
            " Allow the key to read them."
        )
        assert [line.message for line in shop.rows(SystemLog) if line.event == "hunter.not_allowed"] == [progress.error]
        shop.pass_time(days=40)
        healed = self._hunt(shop, {**may, "refunds": "read"})  # all that was missed meanwhile
        assert healed.error == ""
        assert [row.amount_cents for row in reversals(shop)] == [-4900]


class GivingBack(ListedStripe):
    """Refunds and disputes out of memory."""

    def raw_get(self, path: str, params: Json) -> Json:
        return super().raw_get(path, {"status": "all", **params})


class TestPages:
    """What the lists themselves can be like."""

    def _run(self, shop: Shop, stripe: GivingBack, *, until: Callable[[int], bool] = lambda _: False) -> HuntProgress:
        with db.tenant_session(shop.merchant) as session:
            run = hunter.start(session, shop.merchant, HuntRequest())
        while (page := run.fetch(stripe)) is not None:
            with db.tenant_session(shop.merchant) as session:
                run.store(session, page)
            if until(stripe.requests):
                break
        return run.progress

    def _dispute(self, shop: Shop, number: int, **changes: Any) -> Json:
        return {"id": f"du_{number}", "status": "needs_response", "created": shop.world.now() - number, **changes}

    def test_what_cannot_be_read_hides_nothing(self, shop: Shop):
        charge = recovered(shop)
        whole = {"amount": 4900, "charge": charge, "payment_intent": charge["payment_intent"], "status": "succeeded"}
        odd: list[Any] = [
            None, [], {"id": "re_1"}, {"id": "re_2", "charge": "ch_x"}, {"id": "re_3", "charge": {"refunded": True}},
            {**whole, "id": "re_4", "amount": "much"},
            {**whole, "id": "re_5", "amount": -1},
            {**whole, "id": "re_6", "payment_intent": None, "charge": None},
            {**whole, "id": "re_7", "status": "failed"},
        ]  # fmt: skip
        good = {**whole, "id": "re_9", "created": shop.world.now()}
        progress = self._run(shop, GivingBack(refunds_all=[*odd, good]))
        assert (progress.state, progress.updated, progress.unreadable) == ("done", 1, 2)
        went_back_once(shop)

    def test_an_open_dispute_is_remembered_through_a_crash(self, shop: Shop):
        charge = recovered(shop)
        mine = {"payment_intent": charge["payment_intent"]}
        disputes = [self._dispute(shop, number) for number in range(250)]
        disputes[40] |= mine
        stripe = GivingBack(disputes_all=disputes)
        # six lists, one of refunds, and the first page of disputes; then its process dies
        self._run(shop, stripe, until=lambda requests: requests == 8)
        asked = stripe.requests
        assert self._run(shop, stripe).state == "done"
        assert stripe.requests - asked == 2
        (done,) = [found for found in shop.rows(Hunt) if found.looked_until]
        assert done.looked_until["disputes"] == disputes[40]["created"]


def test_the_sweeps_of_money_back_come_last_and_name_what_is_missed_without_them(clock: ManualClock):
    now = clock.now()
    request = HuntRequest(trigger="connect", backfill_billing=True)
    planned = sweeps.plan(request, now, LookBack(refunds=now, disputes=now))
    expected = ["billed", "renewing", "trialing", "overdue", "refunds", "disputes"]
    assert [sweep.name for sweep in planned][-6:] == expected
    assert [sweep.name for sweep in planned if sweep.without] == expected[1:]
    assert planned[-1].params == {"created": {"gte": int(now.timestamp())}, "expand": ["data.charge"]}
