"""Charges at risk: told of by webhooks or found by hunts, made safe, called off, or failed; each figure once."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import clock, db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.ghost import FoundVia, GhostEvent, GhostKind, GhostState, GhostTarget
from models.merchant import MerchantTotals
from models.money import Recovery
from models.work import HuntState
from sandbox.stripe import accounts
from sandbox.stripe.store import Json
from services.analytics import shards
from services.hunter.pace import PacedLister
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeNotFoundError
from services.integrations.stripe.parsing import parse_invoice
from services.integrations.stripe.renewals import RENEWAL_EXPAND, RenewalFacts, parse_renewal
from services.merchants import service as merchants
from services.messaging.schedule import SEND
from services.recovery import purge
from services.recovery import service as recovery
from services.recovery.lifecycle import TRANSITIONS, TransitionNotAllowedError, Trigger
from services.recovery.observe import observe
from services.recovery.protection import impending, outcomes
from services.recovery.work import Work, merchant_context
from services.vault.secret import Secret
from tests.support.factories import raw_invoice, raw_subscription
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop

ENDS_BEFORE = {"exp_month": 3, "exp_year": 2026}  # the clock stands on 2 March, and a renewal comes in April


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def hunted(shop: Shop) -> HuntProgress:
    return hunt(shop.merchant, HuntRequest())


def with_card(shop: Shop, *, deliver: bool = True, **card: Any) -> Json:
    """A paid subscriber whose default card is now this one; the subscription."""
    subscription = shop.subscriber()
    new = shop.actions.create_card(shop.account, **card)
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"], default=True)
    if deliver:
        shop.deliver()
    return subscription


def default_card(shop: Shop, subscription: Json) -> str:
    customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
    return str(customer["invoice_settings"]["default_payment_method"])


def give_card(shop: Shop, subscription: Json, **card: Any) -> None:
    new = shop.actions.create_card(shop.account, "visa", **card)
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"], default=True)


def totals(shop: Shop) -> tuple[int, int, int]:
    """What is impending, of how many, and what was protected."""
    rows = shop.rows(MerchantTotals)
    names = ("impending_leakage_cents", "impending_ghosts", "protected_cents")
    impending, number, protected = (sum(getattr(row, name) for row in rows) for name in names)
    return impending, number, protected


def in_period_after(charged_at: datetime) -> Json:
    """What a subscription costs in the period that began with a charge."""
    end = charged_at + timedelta(days=30)
    return {"current_period_end": int(end.timestamp()), "price": {"unit_amount": 4900}, "quantity": 1}


def draw_line(shop: Shop, line: int | None) -> None:
    """The merchant's alert line in dollars."""
    lines = {} if line is None else {"usd": line}
    with db.tenant_session(shop.merchant) as session:
        merchants.change_policy(session, shop.merchant, {"alert_lines": lines}, actor_id="usr_1")


@pytest.fixture
def at_risk(shop: Shop) -> Json:
    """A subscription that a hunt found at risk."""
    subscription = with_card(shop, **ENDS_BEFORE)
    shop.pass_time(days=2)
    hunted(shop)
    assert [(ghost.kind, ghost.state) for ghost in shop.ghosts] == [("impending", "impending")]
    return subscription


@pytest.fixture(autouse=True)
def _the_sums_agree(shop: Shop) -> Any:
    yield
    assert_sums_agree(shop.merchant)


class TestFinding:
    def test_a_hunt_finds_the_card_that_ends_before_the_charge(self, shop: Shop, at_risk: Json):
        (ghost,) = shop.ghosts
        assert (ghost.risk, ghost.amount_cents, ghost.currency) == ("card_expires", 4900, "usd")
        assert (ghost.subscription_id, ghost.customer_email) == (at_risk["id"], "ada@example.com")
        assert ghost.charge_at is not None
        assert int(ghost.charge_at.timestamp()) == at_risk["items"]["data"][0]["current_period_end"]
        assert totals(shop) == (4900, 1, 0)
        assert ghost.next_action == ""

    def test_it_costs_no_request_a_customer(self, shop: Shop):
        for number in range(5):
            subscription = shop.subscriber(email=f"one{number}@example.com")
            give_card(shop, subscription, **ENDS_BEFORE)
        shop.pass_time(days=2)
        before = shop.api.requests
        progress = hunted(shop)
        assert totals(shop) == (5 * 4900, 5, 0)
        assert shop.api.requests - before == progress.requests <= 1.05 * progress.listed / 100 + 10

    def test_looking_again_changes_nothing(self, shop: Shop, at_risk: Json):
        before = [(ghost.id, ghost.updated_at) for ghost in shop.ghosts]
        shop.pass_time(hours=12)
        assert hunted(shop).updated == 0
        assert [(ghost.id, ghost.updated_at) for ghost in shop.ghosts] == before
        assert len(shop.rows(GhostEvent)) == 1

    def test_a_card_that_is_good_in_the_month_of_the_charge_is_no_risk(self, shop: Shop):
        with_card(shop, exp_month=4, exp_year=2026)
        shop.pass_time(days=2)
        hunted(shop)
        assert shop.ghosts == []

    def test_stripes_word_of_a_coming_invoice(self, shop: Shop):
        with_card(shop, **ENDS_BEFORE)
        shop.pass_time(days=27)
        (ghost,) = shop.ghosts
        assert (ghost.found_via, ghost.risk) == ("webhook", "card_expires")
        assert ("invoice.upcoming", "risk_found") in shop.outcomes

    def test_a_card_that_is_taken_away(self, shop: Shop):
        subscription = with_card(shop)
        shop.actions.detach_payment_method(shop.account, default_card(shop, subscription))
        shop.pass_time(days=2)
        assert [ghost.risk for ghost in shop.ghosts] == ["no_card"]

    def test_a_card_that_expires_this_month(self, shop: Shop, clock: ManualClock):
        with_card(shop, exp_month=4, exp_year=2026)
        shop.pass_time(days=31)  # April has begun, and the renewal after the next one comes in May
        expiring = [outcome for kind, outcome in shop.outcomes if kind == "customer.source.expiring"]
        assert expiring == ["unchanged"]
        shop.pass_time(days=5)
        hunted(shop)
        assert [ghost.risk for ghost in shop.ghosts] == ["card_expires"]

    def test_the_merchants_own_alert_line(self, shop: Shop):
        draw_line(shop, 4800)
        with_card(shop)
        shop.pass_time(days=2)
        hunted(shop)
        assert [ghost.risk for ghost in shop.ghosts] == ["above_line"]

    def test_who_asked_to_be_forgotten_is_not_watched(self, shop: Shop, at_risk: Json):
        with db.tenant_session(shop.merchant) as session:
            purge.erase_customer(session, shop.merchant, at_risk["customer"], clock.now())
        shop.pass_time(days=40)
        hunted(shop)
        assert {ghost.customer_email for ghost in shop.ghosts} == {None}


def announce(shop: Shop, subscription: Json, amount: int) -> None:
    """Stripe's word of the invoice to come: with discounts, taxes, credit and use, as it will be."""
    parent = {"subscription_details": {"subscription": subscription["id"]}}
    preview = {"id": "upcoming_in_1", "object": "invoice", "amount_due": amount, "currency": "usd", "parent": parent}
    shop.actions.send_event(shop.account, "invoice.upcoming", preview)
    shop.deliver()


def edit(shop: Shop, subscription: Json, **fields: Any) -> None:
    shop.actions.edit_object(shop.account, "subscription", subscription["id"], fields)


def half_off(**terms: Any) -> Json:
    coupon = {"id": "co_1", "object": "coupon", "percent_off": 50, "duration": "forever", **terms}
    return {"id": "di_1", "object": "discount", "end": None, "source": {"type": "coupon", "coupon": coupon}}


class TestHowMuch:
    def amounts(self, shop: Shop) -> list[tuple[int, bool]]:
        return [(ghost.amount_cents, ghost.amount_is_about) for ghost in shop.ghosts]

    def test_what_stripe_announced_outlasts_the_next_hunt(self, shop: Shop, at_risk: Json):
        announce(shop, at_risk, 3900)
        assert (self.amounts(shop), totals(shop)) == ([(3900, False)], (3900, 1, 0))
        for _ in range(2):
            assert hunted(shop).updated == 0
        assert self.amounts(shop) == [(3900, False)]
        give_card(shop, at_risk)
        shop.deliver()
        assert [row.amount_cents for row in shop.rows(Recovery)] == [3900]

    def test_until_the_subscription_costs_something_else(self, shop: Shop, at_risk: Json):
        announce(shop, at_risk, 3900)
        items = shop.world.space(shop.account).table("subscription").objects[at_risk["id"]]["items"]
        items["data"][0]["quantity"] = 2
        assert hunted(shop).updated == 1
        assert (self.amounts(shop), totals(shop)) == ([(9800, False)], (9800, 1, 0))

    def test_a_discount_that_can_be_read_is_taken_off(self, shop: Shop):
        subscription = with_card(shop, **ENDS_BEFORE)
        edit(shop, subscription, discounts=[half_off()])
        shop.pass_time(days=2)
        hunted(shop)
        assert (self.amounts(shop), totals(shop)) == ([(2450, False)], (2450, 1, 0))

    def test_a_restricted_key_reads_no_coupons_and_everything_else(self, shop: Shop):
        """Stripe refuses the whole request for one expansion that the key may not read."""
        subscription = with_card(shop, **ENDS_BEFORE)
        edit(shop, subscription, discounts=["di_1"])
        key = accounts.create_restricted_key(shop.world, shop.account, {"subscriptions": "read"})
        limited = ScopedStripe(Secret(key), shop.account, header=False)
        found = parse_renewal(limited.retrieve_subscription(subscription["id"], RENEWAL_EXPAND))
        assert (found.amount, found.is_about, found.method is None) == (4900, True, False)

    def test_what_costs_nothing_after_it_is_no_risk(self, shop: Shop):
        subscription = with_card(shop, **ENDS_BEFORE)
        edit(shop, subscription, discounts=[half_off(percent_off=100)])
        shop.pass_time(days=2)
        hunted(shop)
        assert shop.ghosts == []

    def test_an_amount_that_is_only_about_right_says_so_until_it_is_announced(self, shop: Shop):
        subscription = with_card(shop, **ENDS_BEFORE)
        edit(shop, subscription, automatic_tax={"enabled": True})
        shop.pass_time(days=2)
        hunted(shop)
        assert self.amounts(shop) == [(4900, True)]
        assert shop.ghosts[0].strategy_reason.endswith(impending.ABOUT)
        announce(shop, subscription, 5831)
        hunted(shop)
        assert self.amounts(shop) == [(5831, False)]
        assert impending.ABOUT not in shop.ghosts[0].strategy_reason

    @pytest.mark.parametrize(("announced", "states"), [(5831, ["impending"]), (4700, ["lost"])])
    def test_the_alert_line_goes_by_what_was_announced(self, shop: Shop, announced: int, states: list[str]):
        draw_line(shop, 4800)
        subscription = with_card(shop)
        shop.pass_time(days=2)
        announce(shop, subscription, 4900)
        announce(shop, subscription, announced)
        shop.pass_time(days=1)
        hunted(shop)
        assert [ghost.state for ghost in shop.ghosts] == states

    def test_what_is_above_the_line_as_announced_alone_stays_above_it(self, shop: Shop):
        draw_line(shop, 5000)
        subscription = with_card(shop)
        shop.pass_time(days=2)
        announce(shop, subscription, 5831)
        shop.pass_time(days=1)
        hunted(shop)
        assert [(ghost.state, ghost.risk, ghost.amount_cents) for ghost in shop.ghosts] == [
            ("impending", "above_line", 5831)
        ]

    @pytest.mark.parametrize(("off", "ledger"), [(900, [4000]), (4900, [])])
    def test_what_was_protected_is_what_was_paid(self, shop: Shop, at_risk: Json, off: int, ledger: list[int]):
        """A credit that nobody announced leaves less to pay, or nothing."""
        shop.actions.automatically_update_card(shop.account, default_card(shop, at_risk), exp_month=3, exp_year=2030)
        shop.take()
        shop.world.clockwork.advance_to(shop.world.now() + int(timedelta(days=29, hours=3).total_seconds()))
        told = shop.take()
        invoice = shop.invoice(at_risk)
        paid = {"amount_paid": invoice["amount_due"] - off}
        shop.actions.edit_object(shop.account, "invoice", invoice["id"], paid)
        shop.actions.send_event(shop.account, "invoice.paid", shop.invoice(at_risk))
        assert [shop.handle(each) for each in shop.take()] == ["risk_changed"]
        for each in told:
            shop.handle(each)
        assert [row.amount_cents for row in shop.rows(Recovery)] == ledger
        assert totals(shop) == (0, 0, sum(ledger))

    def test_once_it_failed_the_invoice_says_it(self, shop: Shop):
        subscription = with_card(shop, **ENDS_BEFORE)
        edit(shop, subscription, automatic_tax={"enabled": True})
        shop.pass_time(days=2)
        hunted(shop)
        card = default_card(shop, subscription)
        shop.actions.set_card_behaviour(shop.account, card, decline_code="expired_card")
        shop.pass_time(days=31)
        (ghost,) = [each for each in shop.ghosts if each.kind == GhostKind.FAILED]
        assert (ghost.amount_cents, ghost.amount_is_about, ghost.priced_cents) == (4900, False, None)


class TestMadeSafe:
    def assert_protected(self, shop: Shop) -> None:
        (ghost,) = [each for each in shop.ghosts if each.state == GhostState.PROTECTED]
        assert ghost.closed_at is not None
        assert totals(shop) == (0, 0, 4900)
        assert [(row.kind, row.amount_cents) for row in shop.rows(Recovery)] == [("protected", 4900)]

    def test_another_card(self, shop: Shop, at_risk: Json):
        give_card(shop, at_risk)
        shop.deliver()
        self.assert_protected(shop)

    def test_another_card_that_nobody_told_of(self, shop: Shop, at_risk: Json):
        give_card(shop, at_risk)
        shop.take()
        assert hunted(shop).updated == 1
        self.assert_protected(shop)

    def test_the_networks_update(self, shop: Shop, at_risk: Json):
        card = default_card(shop, at_risk)
        shop.actions.automatically_update_card(shop.account, card, exp_month=3, exp_year=2030)
        shop.deliver()
        self.assert_protected(shop)
        assert shop.outcomes[-1] == ("payment_method.automatically_updated", "risk_changed")

    def test_a_card_that_was_taken_away_is_replaced(self, shop: Shop):
        subscription = with_card(shop)
        shop.actions.detach_payment_method(shop.account, default_card(shop, subscription))
        shop.pass_time(days=2)
        give_card(shop, subscription)
        shop.deliver()
        self.assert_protected(shop)

    def test_a_card_that_was_good_after_all(self, shop: Shop, at_risk: Json):
        self.renewed_without_a_word(shop, default_card(shop, at_risk))
        shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 29 + 3 * 3600)
        told = [shop.handle(each) for each in shop.take() if each.type == "invoice.paid"]
        assert told == ["risk_changed"]
        self.assert_protected(shop)

    def renewed_without_a_word(self, shop: Shop, card: str) -> None:
        shop.actions.automatically_update_card(shop.account, card, exp_month=3, exp_year=2036)
        shop.take()

    @pytest.mark.parametrize(("interval", "days"), [("month", 2), ("year", 350)])
    def test_a_charge_that_nobody_told_of(self, shop: Shop, interval: str, days: int):
        customer = shop.actions.create_customer(shop.account, name="Ada", email="ada@example.com")
        price = shop.actions.create_price(shop.account, unit_amount=4900, currency="usd", interval=interval)
        card = shop.actions.create_card(shop.account, "visa", **ENDS_BEFORE)
        shop.actions.attach_payment_method(shop.account, card["id"], customer["id"], default=True)
        shop.actions.create_subscription(shop.account, customer["id"], price["id"])
        shop.pass_time(days=days)
        hunted(shop)
        assert totals(shop) == (4900, 1, 0)
        self.renewed_without_a_word(shop, card["id"])
        shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 33)
        shop.take()
        hunted(shop)
        assert len([each for each in shop.ghosts if each.state == GhostState.PROTECTED]) == 1
        assert totals(shop)[2] == 4900

    def test_it_is_protected_once(self, shop: Shop, at_risk: Json):
        give_card(shop, at_risk)
        shop.deliver()
        shop.pass_time(days=31)
        hunted(shop)
        self.assert_protected(shop)


class TestCalledOff:
    def assert_called_off(self, shop: Shop) -> None:
        (ghost,) = shop.ghosts
        assert (ghost.kind, ghost.state, ghost.close_reason) == (GhostKind.IMPENDING, GhostState.LOST, "no_charge")
        assert totals(shop) == (0, 0, 0)
        assert shop.rows(Recovery) == []

    def test_the_subscription_will_end_before(self, shop: Shop, at_risk: Json):
        shop.actions.cancel_subscription(shop.account, at_risk["id"], at_period_end=True)
        shop.deliver()
        self.assert_called_off(shop)

    def test_the_subscription_ended(self, shop: Shop, at_risk: Json):
        shop.actions.cancel_subscription(shop.account, at_risk["id"])
        shop.deliver()
        self.assert_called_off(shop)

    def test_the_subscription_ended_and_nobody_told(self, shop: Shop, at_risk: Json):
        shop.actions.cancel_subscription(shop.account, at_risk["id"])
        shop.take()
        shop.pass_time(days=33)
        hunted(shop)
        self.assert_called_off(shop)

    def test_the_next_hunt_sees_that_a_subscription_ended_though_nobody_told(self, shop: Shop, at_risk: Json):
        """And not only the one after the day of the charge: for a month it would be said to be at risk."""
        shop.actions.cancel_subscription(shop.account, at_risk["id"])
        shop.take()
        shop.pass_time(hours=12)
        assert hunted(shop).updated == 1
        self.assert_called_off(shop)

    @pytest.mark.parametrize("status", ["active", "trialing", "past_due"])
    def test_what_a_hunt_lists_is_not_read_once_more(self, shop: Shop, at_risk: Json, status: str):
        shop.actions.edit_object(shop.account, "subscription", at_risk["id"], {"status": status})
        shop.take()
        shop.pass_time(hours=12)
        progress = hunted(shop)
        assert shop.ghosts[0].state == GhostState.IMPENDING
        assert progress.requests == 6  # one a list

    def test_one_that_stripe_does_not_know_any_more_keeps_no_hunt_from_its_end(
        self, shop: Shop, at_risk: Json, monkeypatch: pytest.MonkeyPatch
    ):
        other = shop.subscriber(email="bob@example.com")
        give_card(shop, other, **ENDS_BEFORE)
        shop.deliver()
        shop.pass_time(days=2)
        hunted(shop)
        for subscription in (at_risk, other):  # what owes is in no list of renewals: each is read by its id
            shop.actions.edit_object(shop.account, "subscription", subscription["id"], {"status": "past_due"})
        shop.take()
        shop.clock.advance(timedelta(days=33))
        read = PacedLister.raw_get

        def without_one(lister: PacedLister, path: str, params: Json) -> Json:
            if path.endswith(at_risk["id"]):
                raise StripeNotFoundError(stripe_code="resource_missing")
            return read(lister, path, params)

        monkeypatch.setattr(PacedLister, "raw_get", without_one)
        done = hunted(shop)
        assert (done.state, done.updated) == (HuntState.DONE, 2)
        assert [ghost.close_reason for ghost in shop.ghosts] == ["no_charge"] * 2

    @pytest.mark.parametrize(("status", "days"), [("canceled", 1), ("past_due", 5), ("paused", 5)])
    def test_a_period_that_is_past_ends_it_though_nobody_told(self, shop: Shop, at_risk: Json, status: str, days: int):
        """The charge went through or was called off, no event came, and the subscription is not active any more."""
        (ghost,) = shop.ghosts
        assert ghost.charge_at is not None
        after = {"status": status, "items": {"data": [in_period_after(ghost.charge_at)]}}
        facts = parse_renewal(at_risk | after)
        for day in range(days):
            self.seen(shop, facts, ghost.charge_at + timedelta(days=day, minutes=1))
            assert shop.ghosts[0].state == (GhostState.LOST if status == "canceled" else GhostState.IMPENDING)
        self.seen(shop, facts, ghost.charge_at + timedelta(days=days, minutes=1))
        self.assert_called_off(shop)

    def seen(self, shop: Shop, facts: RenewalFacts, now: datetime) -> None:
        with db.tenant_session(shop.merchant) as session:
            impending.watch(session, merchant_context(session, shop.merchant), [facts], FoundVia.HUNT, now)

    @pytest.mark.parametrize("told", [True, False])
    def test_an_amount_above_the_line_that_simply_pays_is_nobodys_merit(self, shop: Shop, told: bool):
        """Nothing was wrong with the card: a low line must not turn every renewal into money that PHANTOM guarded."""
        draw_line(shop, 4800)
        with_card(shop)
        shop.pass_time(days=2)
        hunted(shop)
        assert totals(shop) == (4900, 1, 0)
        draw_line(shop, None)  # what follows is not watched, and the one that is goes on to its end
        if told:
            shop.pass_time(days=29, hours=3)
        else:
            shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 33)
            shop.take()
            hunted(shop)
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.close_reason, ghost.mechanism) == (GhostState.LOST, "went_through", "")
        assert totals(shop) == (0, 0, 0)
        assert shop.rows(Recovery) == []

    def test_a_line_that_is_drawn_higher(self, shop: Shop):
        draw_line(shop, 4800)
        with_card(shop)
        shop.pass_time(days=2)
        hunted(shop)
        draw_line(shop, None)
        hunted(shop)
        self.assert_called_off(shop)

    def test_a_person_writes_it_off(self, shop: Shop, at_risk: Json):
        with db.tenant_session(shop.merchant) as session:
            ghosts = [ghost.id for ghost in session.exec(select(GhostTarget))]
            assert recovery.mark_lost(session, shop.merchant, ghosts, "usr_1") == 1
        assert totals(shop) == (0, 0, 0)
        shop.pass_time(hours=12)
        hunted(shop)
        assert totals(shop) == (0, 0, 0)


class TestFailing:
    def spoil(self, shop: Shop, subscription: Json) -> None:
        card = default_card(shop, subscription)
        shop.actions.set_card_behaviour(shop.account, card, decline_code="expired_card")

    def assert_one_failed(self, shop: Shop, former: str) -> GhostTarget:
        (ghost,) = shop.ghosts
        assert (ghost.id, ghost.kind, ghost.state) == (former, GhostKind.FAILED, GhostState.OPEN)
        assert ghost.invoice_id.startswith("in_")
        assert totals(shop)[:2] == (0, 0)
        return ghost

    def test_it_is_the_same_ghost_found_when_it_failed(self, shop: Shop, at_risk: Json):
        former = shop.ghosts[0]
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        ghost = self.assert_one_failed(shop, former.id)
        assert ghost.found_at > former.found_at + timedelta(days=20)
        assert ghost.found_cents == 4900
        names = [entry.name for entry in self._story(shop, ghost.id)]
        assert names[:3] == ["at_risk", "charge_failed", "found"]

    def test_who_was_forgotten_for_their_time_was_over_is_found_anew(
        self, shop: Shop, at_risk: Json, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as patches:
            patches.setattr(purge, "KEEP", timedelta(seconds=-1))
            with db.tenant_session(shop.merchant) as session:
                purge.purge_due(session, shop.merchant, clock.now())
        assert (shop.ghosts[0].customer_email, shop.ghosts[0].purged_at is None) == (None, False)
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        assert shop.ghosts[0].customer_email
        assert shop.ghosts[0].purged_at is None
        assert shop.ghosts[0].next_action == SEND

    def test_a_failure_that_nobody_told_of(self, shop: Shop, at_risk: Json):
        former = shop.ghosts[0].id
        self.spoil(shop, at_risk)
        shop.world.clockwork.advance_to(shop.world.now() + 86_400 * 31)
        shop.take()
        hunted(shop)
        self.assert_one_failed(shop, former)

    def test_what_was_thought_safe_and_failed_is_no_longer_protected(self, shop: Shop, at_risk: Json):
        former = shop.ghosts[0].id
        give_card(shop, at_risk)
        shop.deliver()
        assert totals(shop) == (0, 0, 4900)
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        self.assert_one_failed(shop, former)
        assert totals(shop) == (0, 0, 0)
        assert sorted(row.amount_cents for row in shop.rows(Recovery)) == [-4900, 4900]

    def test_what_was_called_off_and_came_all_the_same_is_a_move_that_may_be(self, shop: Shop, at_risk: Json):
        former = shop.ghosts[0].id
        shop.actions.cancel_subscription(shop.account, at_risk["id"], at_period_end=True)
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.LOST
        shop.actions.keep_subscription(shop.account, at_risk["id"])
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        self.assert_one_failed(shop, former)
        (failed,) = [each for each in self._story(shop, former) if each.name == Trigger.CHARGE_FAILED]
        move = GhostState(failed.from_state), Trigger(failed.name)
        assert (failed.from_state, TRANSITIONS[move]) == (GhostState.LOST, failed.to_state)

    def test_what_has_failed_cannot_fail_for_the_first_time(self, shop: Shop, at_risk: Json):
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        with db.tenant_session(shop.merchant) as session:
            work = Work.begin(session, merchant_context(session, shop.merchant), clock.now(), shards.ALL)
            (ghost,) = session.exec(select(GhostTarget))
            with pytest.raises(TransitionNotAllowedError):
                outcomes.charge_failed(work, ghost, "again")

    @pytest.mark.parametrize(
        ("reason", "after"), [("subscription_update", timedelta(hours=2)), ("subscription_cycle", timedelta(days=2))]
    )
    def test_another_invoice_of_those_days_takes_back_nothing(
        self, shop: Shop, at_risk: Json, reason: str, after: timedelta
    ):
        """A plan changed in between, or the next cycle of a short one."""
        give_card(shop, at_risk)
        shop.pass_time(days=32)
        (protected,) = shop.ghosts
        assert protected.charge_at is not None
        failed = raw_invoice(
            9,
            created=int((protected.charge_at + after).timestamp()),
            billing_reason=reason,
            customer={"id": protected.customer_id, "email": "ada@example.com"},
            parent={"subscription_details": {"subscription": raw_subscription(id=at_risk["id"])}},
        )
        with db.tenant_session(shop.merchant) as session:
            merchant = merchant_context(session, shop.merchant)
            context = replace(merchant, policy=merchant.policy.model_copy(update={"billing_reasons": {reason}}))
            observe(session, context, [parse_invoice(failed)], FoundVia.WEBHOOK, clock.now())
        assert sorted((each.kind, each.state) for each in shop.ghosts) == [
            ("failed", "open"),
            ("impending", "protected"),
        ]
        assert totals(shop) == (0, 0, 4900)

    def test_a_failed_one_that_is_paid_is_recovered_once(self, shop: Shop, at_risk: Json):
        self.spoil(shop, at_risk)
        shop.pass_time(days=31)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(at_risk)["id"], card["id"])
        shop.deliver()
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.RECOVERED]
        assert [(row.kind, row.amount_cents) for row in shop.rows(Recovery)] == [("recovered", 4900)]

    def _story(self, shop: Shop, ghost_id: str) -> list[GhostEvent]:
        events = [each for each in shop.rows(GhostEvent) if each.ghost_id == ghost_id]
        return sorted(events, key=lambda each: (each.occurred_at, each.id))
