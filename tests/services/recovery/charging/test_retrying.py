"""PHANTOM's own retries against the sandbox through the real SDK: planned, looked at again, charged, written down."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core import clock as core_clock
from core import db
from core.clock import ManualClock, from_timestamp
from jobs import dunning_retry, pulse
from models.ghost import FoundVia, GhostEvent, GhostState, GhostTarget
from models.merchant import Merchant, MerchantState
from models.messaging import LinkPurpose
from models.money import AttemptSource, AttemptState, PaymentAttempt, Recovery
from models.work import ScheduledTask
from sandbox.stripe.faults import Fault
from services.integrations.stripe.parsing import parse_invoice
from services.merchants import service as merchants
from services.messaging.links import Link
from services.recovery import service as recovery
from services.recovery.charging import charges as card_charges
from services.recovery.messages import clicks
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask
from tests.support.death import dying_at
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

DAY = timedelta(days=1)


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


class Day:
    """A worker with a pulse each hour: runs every payment task once its time has come, in virtual time."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.done, self.results = shop, set[int](), list[dict[str, Any]]()

    def hours(self, number: int) -> None:
        for _ in range(number):
            self.work()
            self.shop.pass_time(hours=1)
        self.work()

    def work(self) -> None:
        pulse.run(claimed(self.shop, None))
        for task in self.shop.rows(ScheduledTask):
            if task.kind == "dunning_retry" and task.id not in self.done and task.run_at <= core_clock.now():
                self.done.add(task.id)
                try:
                    self.results.append(dunning_retry.run(claimed(self.shop, task)))
                except Discard as nothing:
                    self.results.append({"attempt": "discarded", "reason": nothing.reason})
        self.shop.deliver()


def claimed(shop: Shop, task: ScheduledTask | None) -> ClaimedTask:
    if task is None:
        return ClaimedTask(0, "pulse", shop.merchant, {}, 1, 5, 0, "", "test", core_clock.now())
    return ClaimedTask(task.id or 0, task.kind, shop.merchant, task.payload, 1, 5, 0, "", "test", task.run_at, task.key)


def without_stripes_retries(shop: Shop) -> None:
    shop.actions.set_rules(shop.account, retry_days=[])


def default_card(shop: Shop, customer: str) -> str:
    found = shop.world.space(shop.account).table("customer").objects[customer]
    return str(found["invoice_settings"]["default_payment_method"])


def charges(shop: Shop, method: str | None = None) -> list[tuple[datetime, str]]:
    made = shop.world.space(shop.account).table("charge").objects.values()
    return [
        (from_timestamp(each["created"]), each["status"])
        for each in made
        if method is None or each["payment_method"] == method
    ]


def own(shop: Shop) -> list[PaymentAttempt]:
    rows = [row for row in shop.rows(PaymentAttempt) if row.source == AttemptSource.PHANTOM]
    return sorted(rows, key=lambda row: row.attempted_at)


def failed(shop: Shop, **given: Any) -> tuple[Any, GhostTarget]:
    """A subscription whose renewal has just failed, and its ghost."""
    given = {"decline_code": "insufficient_funds", **given}
    subscription = shop.subscriber(**given)
    shop.pass_time(days=31, hours=2)
    return subscription, next(each for each in shop.ghosts if each.subscription_id == subscription["id"])


class TestAfterStripe:
    def test_begins_when_stripes_schedule_is_over_and_goes_on_in_the_mornings(self, shop: Shop):
        shop.actions.set_rules(shop.account, retry_days=[3, 5])
        subscription, ghost = failed(shop)
        day = Day(shop)
        day.hours(24 * 30)
        card = default_card(shop, subscription["customer"])
        stripes = [row.attempted_at for row in shop.rows(PaymentAttempt) if row.source == AttemptSource.STRIPE]
        ours = [row.attempted_at for row in own(shop)]
        assert len(stripes) == 3
        assert len(ours) >= 2
        assert min(ours) > max(stripes)
        assert max(ours) < ghost.found_at + timedelta(days=28)
        zone = ZoneInfo("America/New_York")  # the card's country: nothing else is known of this customer
        assert {at.astimezone(zone).hour for at in ours} == {10}
        times = sorted(at for at, _ in charges(shop, card) if at > ghost.found_at - DAY)
        assert all(later - earlier >= DAY for earlier, later in itertools.pairwise(times))
        assert shop.ghosts[0].own_retries == len(ours)

    def test_a_payment_is_our_own_attempts_merit(self, shop: Shop):
        without_stripes_retries(shop)
        subscription, _ = failed(shop)
        shop.actions.set_card_behaviour(shop.account, default_card(shop, subscription["customer"]), decline_code="")
        Day(shop).hours(24 * 5)
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert [row.state for row in own(shop)] == [AttemptState.SUCCEEDED]
        assert sum(row.amount_cents for row in shop.rows(Recovery)) == 4900

    def test_the_defaults_at_stripe_stay_as_they_were(self, shop: Shop):
        without_stripes_retries(shop)
        subscription, _ = failed(shop)
        before = default_card(shop, subscription["customer"])
        Day(shop).hours(24 * 5)
        assert len(own(shop)) == 1
        assert default_card(shop, subscription["customer"]) == before


class TestWithStripe:
    def test_no_attempt_within_a_day_of_stripes(self, database: object, clock: ManualClock,
                                                monkeypatch: pytest.MonkeyPatch):  # fmt: skip
        shop = Shop.open(clock, monkeypatch, own_retries="with_stripe")
        shop.actions.set_rules(shop.account, retry_days=[7, 7, 7])
        subscription, ghost = failed(shop)
        Day(shop).hours(24 * 28)
        made = sorted(
            at for at, _ in charges(shop, default_card(shop, subscription["customer"])) if at > ghost.found_at
        )
        stripes = [row.attempted_at for row in shop.rows(PaymentAttempt) if row.source == AttemptSource.STRIPE]
        assert len(own(shop)) >= 2
        assert min(row.attempted_at for row in own(shop)) < max(stripes)
        assert all(later - earlier >= DAY for earlier, later in itertools.pairwise(made))


class TestNever:
    @pytest.mark.parametrize("code", ["stolen_card", "authentication_required", "expired_card", "do_not_try_again"])
    def test_not_for_such_a_card(self, shop: Shop, code: str):
        without_stripes_retries(shop)
        failed(shop, decline_code=code)
        Day(shop).hours(24 * 10)
        assert own(shop) == []

    def test_not_against_the_banks_advice_nor_in_india_nor_switched_off(self, shop: Shop):
        without_stripes_retries(shop)
        failed(shop, advice_code="do_not_try_again", email="a@example.com")
        failed(shop, country="IN", email="b@example.com")
        Day(shop).hours(24 * 10)
        assert own(shop) == []

    def test_switched_off_means_off(self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch):
        shop = Shop.open(clock, monkeypatch, own_retries="off")
        without_stripes_retries(shop)
        failed(shop)
        Day(shop).hours(24 * 10)
        assert own(shop) == []


class TestFreshLook:
    """What happened at Stripe without a word to us is seen before each charge."""

    def due(self, shop: Shop) -> tuple[Any, ClaimedTask]:
        """A retry whose moment has come."""
        without_stripes_retries(shop)
        subscription, ghost = failed(shop)
        assert ghost.next_retry_at is not None
        gap = ghost.next_retry_at - core_clock.now()
        shop.world.clockwork.advance_to(shop.world.now() + int(gap.total_seconds()) + 1)
        shop.take()  # whatever was told of is lost
        task = ScheduledTask(id=1, kind="dunning_retry", payload={"ghost_id": ghost.id}, run_at=core_clock.now())
        return subscription, claimed(shop, task)

    def test_it_is_charged_when_nothing_happened(self, shop: Shop):
        _, task = self.due(shop)
        assert dunning_retry.run(task) == {"attempt": "declined"}

    def test_paid_void_and_cancelled_are_left_alone(self, shop: Shop):
        subscription, task = self.due(shop)
        before = len(charges(shop))
        shop.actions.void_invoice(shop.account, shop.invoice(subscription)["id"])
        assert dunning_retry.run(task)["attempt"] == "held"
        assert (len(charges(shop)), shop.ghosts[0].state) == (before, GhostState.LOST)

    def test_paid_in_the_meantime_is_recorded_and_not_charged(self, shop: Shop):
        subscription, task = self.due(shop)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        before = len(charges(shop))
        assert dunning_retry.run(task)["attempt"] == "held"
        assert (len(charges(shop)), shop.ghosts[0].state) == (before, GhostState.RECOVERED)
        assert own(shop) == []

    def test_paid_out_of_band_is_recorded_and_not_charged(self, shop: Shop):
        subscription, task = self.due(shop)
        request(shop, f"/v1/invoices/{shop.invoice(subscription)['id']}/pay", paid_out_of_band="true")
        before = len(charges(shop))
        assert dunning_retry.run(task)["attempt"] == "held"
        assert (len(charges(shop)), shop.ghosts[0].state) == (before, GhostState.RECOVERED)

    def test_a_cancelled_customer_is_not_charged(self, shop: Shop):
        subscription, task = self.due(shop)
        before = len(charges(shop))
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        assert dunning_retry.run(task)["attempt"] == "held"
        assert len(charges(shop)) == before

    @pytest.mark.parametrize("remaining", [2500, 400])
    def test_an_amount_that_changed_waits_another_day(self, shop: Shop, remaining: int):
        """Credited, or paid in part."""
        subscription, task = self.due(shop)
        fields = {"amount_remaining": remaining, "amount_paid": 4900 - remaining}
        shop.actions.edit_object(shop.account, "invoice", shop.invoice(subscription)["id"], fields)
        shop.take()
        assert dunning_retry.run(task)["attempt"] == "held"
        (ghost,) = shop.ghosts
        assert (ghost.amount_cents, own(shop)) == (remaining, [])
        assert ghost.next_retry_at == core_clock.now() + DAY
        shop.pass_time(days=1)
        assert dunning_retry.run(task) == {"attempt": "declined"}

    def test_stripe_is_about_to_try_itself(self, shop: Shop):
        subscription, task = self.due(shop)
        soon = shop.world.now() + 3600 * 20
        shop.actions.edit_object(
            shop.account, "invoice", shop.invoice(subscription)["id"], {"next_payment_attempt": soon}
        )
        assert dunning_retry.run(task)["attempt"] == "held"
        assert own(shop) == []

    def test_a_person_is_paying(self, shop: Shop):
        _, task = self.due(shop)
        link = Link(shop.merchant, shop.ghosts[0].id, "msg_1", LinkPurpose.PAY)
        with db.tenant_session(shop.merchant) as session:
            clicks.confirm(session, link)
        assert dunning_retry.run(task)["attempt"] == "held"
        assert own(shop) == []
        shop.pass_time(hours=1)
        assert dunning_retry.run(task) == {"attempt": "declined"}

    def test_the_card_was_taken_away(self, shop: Shop):
        subscription, task = self.due(shop)
        before = len(charges(shop))
        shop.actions.detach_payment_method(shop.account, default_card(shop, subscription["customer"]))
        assert dunning_retry.run(task)["attempt"] == "held"
        assert len(charges(shop)) == before

    def test_what_is_written_off_at_stripe_is_lost_and_not_charged(self, shop: Shop):
        subscription, task = self.due(shop)
        invoice = shop.invoice(subscription)["id"]
        shop.actions.edit_object(shop.account, "invoice", invoice, {"status": "uncollectible"})
        assert dunning_retry.run(task)["attempt"] == "held"
        assert (shop.ghosts[0].state, own(shop)) == (GhostState.LOST, [])
        with pytest.raises(Discard):
            dunning_retry.run(task)


class TestCrash:
    def due(self, shop: Shop) -> ClaimedTask:
        return TestFreshLook().due(shop)[1]

    @pytest.mark.parametrize("point", ["charge.intended", "charge.made"])
    def test_the_same_key_again(self, shop: Shop, point: str):
        task = self.due(shop)
        before = len(charges(shop))

        with dying_at(point):
            dunning_retry.run(task)
        shop.deliver()
        assert [row.state for row in own(shop)] == [AttemptState.STARTED]
        assert dunning_retry.run(task) == {"attempt": "declined"}
        assert len(charges(shop)) == before + 1
        assert [row.state for row in own(shop)] == [AttemptState.DECLINED]
        assert AttemptSource.CUSTOMER not in {row.source for row in shop.rows(PaymentAttempt)}
        assert dunning_retry.run(task)["attempt"] == "held"

    def test_past_the_keys_memory_nothing_is_charged_and_the_attempt_counts(self, shop: Shop):
        task = self.due(shop)

        with dying_at("charge.intended"):
            dunning_retry.run(task)
        before = len(charges(shop))
        shop.pass_time(hours=30)
        assert dunning_retry.run(task)["attempt"] == "held"
        assert len(charges(shop)) == before
        assert [row.state for row in own(shop)] == [AttemptState.UNCERTAIN]
        assert shop.ghosts[0].own_retries == 1

    def test_a_time_out_after_the_charge_is_settled_by_the_repeat(self, shop: Shop):
        task = self.due(shop)
        before = len(charges(shop))
        shop.world.faults.add(Fault(kind="error_after", path="/pay", times=4))
        with pytest.raises(Retry):
            dunning_retry.run(task)
        shop.world.faults.clear()
        assert dunning_retry.run(task) == {"attempt": "declined"}
        assert len(charges(shop)) == before + 1


class TestNoAttemptOfStripes:
    def test_is_promised_after_a_decline_that_stripe_only_counts_attempts_of(self, shop: Shop):
        def next_by_stripe(code: str) -> datetime | None:
            _, ghost = failed(shop, decline_code=code)
            assert ghost.next_payment_attempt is not None
            with db.tenant_session(shop.merchant) as session:
                return card_charges.of_ghost(session, shop.merchant, ghost.id).next_by_stripe

        assert next_by_stripe("insufficient_funds") is not None
        assert next_by_stripe("revocation_of_authorization") is None


class TestDisconnected:
    def test_no_charge_of_ours_is_promised_until_the_account_is_connected_again(self, shop: Shop):
        without_stripes_retries(shop)
        _, ghost = failed(shop)

        def shown() -> tuple[datetime | None, str]:
            with db.tenant_session(shop.merchant) as session:
                card = card_charges.of_ghost(session, shop.merchant, ghost.id)
            return card.next_by_us, card.reason

        promised = shown()
        assert promised == (ghost.next_retry_at, ghost.retry_reason)
        assert ghost.next_retry_at is not None
        with db.tenant_session(shop.merchant) as session:
            merchants.mark_disconnected(session, shop.merchant, at=core_clock.now(), reason="revoked")
        assert shown() == (None, card_charges.DISCONNECTED)
        with db.tenant_session(shop.merchant) as session:
            session.get_one(Merchant, shop.merchant).state = MerchantState.ACTIVE
        assert shown() == promised


class TestBudget:
    def test_two_ghosts_on_one_card_share_it(self, shop: Shop):
        """Two subscriptions of one customer fail on the same day: never two charges on the card within a day."""
        TestManyInvoices().with_ghosts(shop, 2, decline_code="insufficient_funds")
        day = Day(shop)
        day.hours(24 * 20)
        times = sorted(row.attempted_at for row in own(shop))
        assert len({row.ghost_id for row in own(shop)}) == 2
        assert all(later - earlier >= DAY for earlier, later in itertools.pairwise(times))

    def test_a_full_budget_waits_for_its_first_days_to_pass(self, shop: Shop):
        _, task = TestFreshLook().due(shop)
        fill(shop, 19, AttemptSource.STRIPE)
        assert dunning_retry.run(task)["attempt"] == "held"
        (ghost,) = shop.ghosts
        assert (own(shop), "limit" in ghost.retry_reason) == ([], True)
        assert ghost.next_retry_at is not None
        assert ghost.next_retry_at > core_clock.now() + 20 * DAY

    @pytest.mark.parametrize(("used", "made"), [(18, "held"), (17, "declined")])
    def test_the_last_place_is_kept_for_stripes_next_attempt(
        self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, used: int, made: str
    ):
        """Stripe charges on its day whatever we do: what would be one too many is ours, and is not made."""
        shop = Shop.open(clock, monkeypatch, own_retries="with_stripe")
        shop.actions.set_rules(shop.account, retry_days=[20])
        _, ghost = failed(shop)
        assert ghost.next_retry_at is not None
        assert ghost.next_payment_attempt is not None
        assert ghost.next_retry_at < ghost.next_payment_attempt
        gap = ghost.next_retry_at - core_clock.now()
        shop.world.clockwork.advance_to(shop.world.now() + int(gap.total_seconds()) + 1)
        fill(shop, used, AttemptSource.STRIPE)  # and one of its own, of twenty
        task = ScheduledTask(id=1, kind="dunning_retry", payload={"ghost_id": ghost.id}, run_at=core_clock.now())
        assert dunning_retry.run(claimed(shop, task))["attempt"] == made

    def test_customers_own_retry_eats_the_budget(self, shop: Shop):
        """A bug others shipped: people who try thrice on the hosted page used up the retries of their card."""
        subscription, task = TestFreshLook().due(shop)
        fill(shop, 30, AttemptSource.CUSTOMER)
        invoice = shop.invoice(subscription)["id"]
        for _ in range(3):
            shop.actions.pay_invoice(shop.account, invoice, default_card(shop, subscription["customer"]))
            shop.deliver()
        sources = [row.source for row in shop.rows(PaymentAttempt)]
        assert sources.count(AttemptSource.CUSTOMER) == 33
        assert sources.count(AttemptSource.STRIPE) == 1
        assert [event.name for event in shop.rows(GhostEvent)].count("customer_tried") == 3
        assert dunning_retry.run(task)["attempt"] == "held"  # they are trying at this moment
        shop.pass_time(hours=1)
        assert dunning_retry.run(task) == {"attempt": "declined"}


class TestSpareCard:
    def with_spare(self, shop: Shop, **card: Any) -> str:
        """A card that is added before the renewal fails: Stripe goes on with the subscription's own. The card."""
        subscription = shop.subscriber()
        customer = subscription["customer"]
        old = shop.actions.create_card(shop.account, decline_code="insufficient_funds")
        shop.actions.attach_payment_method(shop.account, old["id"], customer)
        shop.actions.set_default_payment_method(shop.account, customer, old["id"], subscription=subscription["id"])
        shop.pass_time(hours=1)
        new = shop.actions.create_card(shop.account, **(card or {"token": "mastercard"}))
        shop.actions.attach_payment_method(shop.account, new["id"], customer, default=True)
        shop.deliver()
        assert shop.ghosts == []
        shop.pass_time(days=31, hours=2)
        return str(new["id"])

    def test_a_newer_card_is_charged_as_soon_as_the_ghost_is_found(self, shop: Shop):
        card = self.with_spare(shop)
        day = Day(shop)
        day.work()
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert [status for _, status in charges(shop, card)] == ["succeeded"]
        assert core_clock.now() - ghost.found_at < timedelta(hours=3)

    def test_what_came_of_its_charge_is_written_down_though_who_found_it_paid_knew_another_card(self, shop: Shop):
        """The worker died, and a hunt saw the paid invoice beside the payment as it had stood before."""
        card = self.with_spare(shop)
        pulse.run(claimed(shop, None))
        (task,) = [task for task in shop.rows(ScheduledTask) if task.kind == "dunning_retry"]

        with dying_at("charge.made"):
            dunning_retry.run(claimed(shop, task))
        (ghost,) = shop.ghosts
        invoice = shop.world.space(shop.account).table("invoice").objects[ghost.invoice_id]
        torn = replace(parse_invoice({**invoice, "customer": {"id": ghost.customer_id}}), read_at=core_clock.now())
        with db.tenant_session(shop.merchant) as session:
            observe(session, merchant_context(session, shop.merchant), [torn], FoundVia.HUNT, core_clock.now())
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")
        assert dunning_retry.run(claimed(shop, task)) == {"attempt": "succeeded"}
        assert [(row.state, row.payment_method_id) for row in own(shop)] == [("succeeded", card)]
        assert [status for _, status in charges(shop, card)] == ["succeeded"]
        assert shop.ghosts[0].mechanism == "own_attempt"
        assert [(row.kind, row.mechanism, row.amount_cents) for row in shop.rows(Recovery)] == [
            ("recovered", "organic", 4900),
            ("credited", "organic", -4900),
            ("credited", "own_attempt", 4900),
        ]
        assert_sums_agree(shop.merchant)
        with pytest.raises(Discard):
            dunning_retry.run(claimed(shop, task))

    def test_one_that_is_declined_too_is_tried_once(self, shop: Shop):
        without_stripes_retries(shop)
        card = self.with_spare(shop, decline_code="expired_card")
        Day(shop).hours(72)
        assert [status for _, status in charges(shop, card)] == ["failed"]

    def test_one_that_has_run_out_is_not(self, shop: Shop):
        now = core_clock.now()
        card = self.with_spare(shop, exp_month=now.month, exp_year=now.year)
        Day(shop).hours(72)
        assert charges(shop, card) == []
        assert shop.ghosts[0].passed_over_card_id == card

    def test_an_older_card_is_not(self, shop: Shop):
        without_stripes_retries(shop)
        subscription = shop.subscriber()
        older = default_card(shop, subscription["customer"])
        shop.pass_time(hours=1)
        bad = shop.actions.create_card(shop.account, decline_code="expired_card")
        shop.actions.attach_payment_method(shop.account, bad["id"], subscription["customer"])
        shop.actions.set_default_payment_method(
            shop.account, subscription["customer"], bad["id"], subscription=subscription["id"]
        )
        shop.pass_time(days=31, hours=2)
        before = len(charges(shop, older))
        Day(shop).hours(72)
        assert len(charges(shop, older)) == before
        assert own(shop) == []

    def test_nothing_before_the_merchant_says_go(self, database: object, clock: ManualClock,
                                                 monkeypatch: pytest.MonkeyPatch):  # fmt: skip
        shop = Shop.open(clock, monkeypatch, paused=True)
        card = self.with_spare(shop)
        day = Day(shop)
        day.hours(30)
        assert charges(shop, card) == []
        with db.tenant_session(shop.merchant) as session:
            recovery.start_messages(session, shop.merchant, "usr_1")
        day.hours(25)
        assert [status for _, status in charges(shop, card)] == ["succeeded"]


class TestNewCardThatWasDeclined:
    """The customer gave it to pay with, and it is no default: that stays the card before it until one has paid."""

    def declined(self, shop: Shop, code: str, old: str = "insufficient_funds") -> tuple[Any, str, str]:
        """A subscription whose new card was declined as well, and both cards."""
        without_stripes_retries(shop)
        subscription, _ = failed(shop, decline_code=old)
        usual = default_card(shop, subscription["customer"])
        shop.pass_time(hours=2)
        new = shop.actions.create_card(shop.account, decline_code=code)["id"]
        shop.actions.attach_payment_method(shop.account, new, subscription["customer"])
        shop.deliver()
        day = Day(shop)
        day.work()
        assert [status for _, status in charges(shop, new)] == ["failed"]
        return subscription, usual, new

    def test_it_is_asked_again_and_takes_the_defaults_place_once_it_has_paid(self, shop: Shop):
        subscription, usual, new = self.declined(shop, "insufficient_funds")
        before = len(charges(shop, usual))
        shop.actions.set_card_behaviour(shop.account, new, decline_code=None)
        Day(shop).hours(24 * 5)
        assert [status for _, status in charges(shop, new)] == ["failed", "succeeded"]
        assert len(charges(shop, usual)) == before
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert default_card(shop, subscription["customer"]) == new

    def test_the_reason_never_promises_what_was_done(self, shop: Shop):
        self.declined(shop, "insufficient_funds")
        (ghost,) = shop.ghosts
        assert ghost.retry_reason.startswith("Attempt 1 by PHANTOM")
        assert ghost.next_retry_at is not None
        assert ghost.next_retry_at - core_clock.now() > DAY

    @pytest.mark.parametrize("code", ["stolen_card", "expired_card", "do_not_try_again"])
    def test_one_that_the_bank_ended_is_never_asked_again(self, shop: Shop, code: str):
        _, usual, new = self.declined(shop, code)
        Day(shop).hours(24 * 8)
        assert [status for _, status in charges(shop, new)] == ["failed"]
        assert "at once" not in shop.ghosts[0].retry_reason
        assert charges(shop, usual)

    def test_nor_is_the_one_before_it_that_was_ended(self, shop: Shop):
        _, usual, new = self.declined(shop, "insufficient_funds", old="stolen_card")
        before = len(charges(shop, usual))
        shop.actions.detach_payment_method(shop.account, new)
        Day(shop).hours(24 * 8)
        assert (len(charges(shop, usual)), len(charges(shop, new))) == (before, 1)

    def test_once_it_is_gone_the_one_before_it_is_asked(self, shop: Shop):
        _, usual, new = self.declined(shop, "insufficient_funds")
        before = len(charges(shop, usual))
        shop.actions.detach_payment_method(shop.account, new)
        Day(shop).hours(24 * 5)
        assert (len(charges(shop, usual)) > before, len(charges(shop, new))) == (True, 1)


class TestManyInvoices:
    def test_a_new_card_that_is_lost_is_tried_on_one_invoice_alone(self, shop: Shop):
        customer = self.with_ghosts(shop, 3)
        card = shop.actions.create_card(shop.account, decline_code="lost_card")
        shop.actions.attach_payment_method(shop.account, card["id"], customer)
        shop.deliver()
        Day(shop).work()
        assert len(charges(shop, card["id"])) == 1

    def test_a_good_new_card_pays_them_all(self, shop: Shop):
        customer = self.with_ghosts(shop, 3)
        card = shop.actions.create_card(shop.account, "mastercard")
        shop.actions.attach_payment_method(shop.account, card["id"], customer)
        shop.deliver()
        Day(shop).work()
        assert {ghost.state for ghost in shop.ghosts} == {GhostState.RECOVERED}
        assert len(charges(shop, card["id"])) == 3

    def test_a_new_card_without_funds_is_held_to_the_networks_limits(self, shop: Shop):
        customer = self.with_ghosts(shop, 12)
        card = shop.actions.create_card(shop.account, "mastercard", decline_code="insufficient_funds")
        shop.actions.attach_payment_method(shop.account, card["id"], customer)
        shop.deliver()
        later = 0
        for task in [each for each in shop.rows(ScheduledTask) if "payment_method_id" in each.payload]:
            try:
                dunning_retry.run(claimed(shop, task))
            except Retry as wait:
                later += wait.at is not None
        assert (len(charges(shop, card["id"])), later) == (10, 2)

    def with_ghosts(self, shop: Shop, number: int, decline_code: str = "expired_card") -> str:
        without_stripes_retries(shop)
        subscription = shop.subscriber()
        customer = str(subscription["customer"])
        price = shop.actions.create_price(shop.account, unit_amount=900, currency="usd")
        for _ in range(number - 1):
            shop.actions.create_subscription(shop.account, customer, price["id"])
        bad = shop.actions.create_card(shop.account, decline_code=decline_code)
        shop.actions.attach_payment_method(shop.account, bad["id"], customer, default=True)
        shop.pass_time(days=31, hours=2)
        assert len(shop.ghosts) == number
        return customer


def fill(shop: Shop, number: int, source: AttemptSource) -> None:
    """So many declined charges on the ghost's card in the last days."""
    (ghost,) = shop.ghosts
    with db.tenant_session(shop.merchant) as session:
        for index in range(number):
            session.add(
                PaymentAttempt(
                    merchant_id=shop.merchant,
                    id=f"pa_{source}_{index}",
                    ghost_id="gh_other",
                    invoice_id="in_other",
                    source=source,
                    state=AttemptState.DECLINED,
                    idempotency_key=f"{source}:{index}",
                    payment_method_id=ghost.payment_method_id,
                    card_brand=ghost.card_brand,
                    card_fingerprint=ghost.card_fingerprint,
                    attempted_at=core_clock.now() - timedelta(days=2, hours=index),
                )
            )


def request(shop: Shop, path: str, **params: str) -> None:
    """What somebody does in Stripe's own dashboard."""
    from services.integrations.stripe.client import client_for

    with db.tenant_session(shop.merchant) as session:
        client_for(session, shop.merchant).raw_post(path, params, idempotency_key=f"dashboard:{path}")
