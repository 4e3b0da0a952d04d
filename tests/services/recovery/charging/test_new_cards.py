"""A customer's new card: charged at once and once, when it is allowed, and only while it is the one to take."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.ghost import GhostState, GhostTarget, Strategy
from models.money import AttemptState
from models.work import ProcessedEvent, ScheduledTask
from sandbox.stripe.faults import Fault
from services.recovery import service as recovery
from services.recovery.charging import paying
from services.recovery.charging.new_cards import Came, News
from services.tasks.errors import Retry
from tests.services.recovery.charging.test_retrying import (
    Day,
    charges,
    claimed,
    default_card,
    dunning_retry,
    own,
    without_stripes_retries,
)
from tests.services.recovery.credit.test_whose_merit import follow, wrote
from tests.support.death import dying_at
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def failed(shop: Shop, **card: Any) -> Any:
    """A subscription whose renewal has just failed, with nothing to come from Stripe itself."""
    without_stripes_retries(shop)
    subscription = shop.subscriber(**(card or {"decline_code": "expired_card"}))
    shop.pass_time(days=31, hours=2)
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.OPEN]
    return subscription


def add(shop: Shop, subscription: Any, *, like: str = "", **card: Any) -> str:
    """The customer saves a card; `like` is one with the same number. Nothing is delivered yet."""
    new = shop.actions.create_card(shop.account, **(card or {"token": "mastercard"}))
    if like:
        methods = shop.world.space(shop.account).table("payment_method").objects
        same = {"card": {**new["card"], "fingerprint": methods[like]["card"]["fingerprint"]}}
        shop.actions.edit_object(shop.account, "payment_method", new["id"], same)
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"])
    return str(new["id"])


def tasks_of(shop: Shop) -> list[ScheduledTask]:
    return [task for task in shop.rows(ScheduledTask) if "payment_method_id" in task.payload]


def run(shop: Shop) -> list[Any]:
    """Every task of a new card, as a worker would run it now."""
    return [dunning_retry.run(claimed(shop, task)) for task in tasks_of(shop)]


def told_of(shop: Shop, kind: str) -> list[ProcessedEvent]:
    """Words of this kind that are due; the rest is lost."""
    return [each for each in shop.take() if each.type == kind]


def set_ghost(shop: Shop, **values: Any) -> None:
    with db.tenant_session(shop.merchant) as session:
        session.execute(update(GhostTarget).where(col(GhostTarget.merchant_id) == shop.merchant).values(**values))


class TestAllowed:
    def test_nothing_before_the_merchant_says_go_and_then_at_once(self, database: object, clock: ManualClock,
                                                                  monkeypatch: pytest.MonkeyPatch):  # fmt: skip
        shop = Shop.open(clock, monkeypatch, paused=True)
        card = add(shop, failed(shop))
        shop.deliver()
        day = Day(shop)
        day.hours(30)
        assert (charges(shop, card), own(shop)) == ([], [])
        with db.tenant_session(shop.merchant) as session:
            recovery.start_messages(session, shop.merchant, "usr_1")
        day.hours(1)
        assert [status for _, status in charges(shop, card)] == ["succeeded"]
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")

    def test_a_card_the_network_renewed_waits_for_the_word_too(self, database: object, clock: ManualClock,
                                                               monkeypatch: pytest.MonkeyPatch):  # fmt: skip
        shop = Shop.open(clock, monkeypatch, paused=True)
        subscription = failed(shop)
        card = default_card(shop, subscription["customer"])
        before = len(charges(shop, card))
        shop.actions.automatically_update_card(shop.account, card, exp_year=2036)
        shop.deliver()
        with pytest.raises(Retry) as wait:
            run(shop)
        assert wait.value.at == core_clock.now() + timedelta(days=1)
        assert len(charges(shop, card)) == before
        with db.tenant_session(shop.merchant) as session:
            recovery.start_messages(session, shop.merchant, "usr_1")
        assert run(shop) == [{"attempt": "succeeded"}]

    def test_not_of_a_paused_ghost_until_it_goes_on(self, shop: Shop):
        subscription = failed(shop)
        ghost = shop.ghosts[0].id
        with db.tenant_session(shop.merchant) as session:
            assert recovery.pause(session, shop.merchant, [ghost], "usr_1") == 1
        card = add(shop, subscription)
        shop.deliver()
        day = Day(shop)
        day.hours(26)
        assert charges(shop, card) == []
        with db.tenant_session(shop.merchant) as session:
            assert recovery.resume(session, shop.merchant, [ghost], "usr_1") == 1
        day.hours(1)
        assert [status for _, status in charges(shop, card)] == ["succeeded"]

    @pytest.mark.parametrize("card", [{"token": "mastercard"}, {"decline_code": "expired_card"}])
    def test_not_of_who_is_held_out(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, card: dict[str, str]):
        from services.recovery.charging import retries

        monkeypatch.setattr(retries.case_of, "__defaults__", (lambda _merchant, _customer: True,))
        new = add(shop, failed(shop), **card)
        shop.deliver()
        Day(shop).hours(26)
        assert charges(shop, new) == []

    @pytest.mark.parametrize(
        "values",
        [
            {"state": GhostState.STOPPED},
            {"state": GhostState.LOST},
            {"strategy": Strategy.STOPPED},
            {"strategy": Strategy.NONE},
        ],
    )
    def test_not_of_who_does_not_want_it_even_if_the_task_is_there(self, shop: Shop, values: dict[str, Any]):
        new = add(shop, failed(shop, decline_code="duplicate_transaction" if "strategy" in values else "expired_card"))
        shop.deliver()
        set_ghost(shop, **values)
        Day(shop).hours(2)
        assert charges(shop, new) == []


class TestFreshLook:
    def test_what_was_paid_or_ended_since_is_not_charged_and_written_down(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        shop.actions.void_invoice(shop.account, shop.ghosts[0].invoice_id)
        shop.take()  # nobody told us
        assert [each["attempt"] for each in run(shop)] == ["held"]
        assert (charges(shop, card), shop.ghosts[0].state) == ([], GhostState.LOST)

    def test_a_payment_under_way_is_waited_for(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        intents = shop.world.space(shop.account).table("payment_intent").objects
        intent = intents[shop.ghosts[0].payment_intent_id or ""]
        shop.actions.edit_object(shop.account, "payment_intent", intent["id"], {"status": "processing"})
        assert run(shop) == [{"attempt": "held", "reason": "The payment is still under way at the bank."}]
        assert charges(shop, card) == []

    def test_who_is_asked_to_confirm_this_payment_has_some_minutes(self, shop: Shop):
        """Stripe's page has attached the card, and its bank asks. What waited before holds nothing up."""
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        intent = shop.ghosts[0].payment_intent_id or ""
        shop.actions.edit_object(shop.account, "payment_intent", intent, {"status": "requires_action"})
        told_at = core_clock.now()
        with pytest.raises(Retry) as wait:
            run(shop)
        assert wait.value.at == told_at.replace(microsecond=0) + timedelta(minutes=10)
        assert charges(shop, card) == []
        shop.clock.advance(timedelta(minutes=11))
        assert run(shop) == [{"attempt": "succeeded"}]

    @pytest.mark.parametrize(
        ("code", "at_once"), [("insufficient_funds", False), ("expired_card", True)], ids=["hosted invoice", "portal"]
    )
    def test_who_followed_the_link_to_stripes_page_pays_there_by_themselves(self, shop: Shop, code: str, at_once: bool):
        subscription = failed(shop, decline_code=code)
        wrote(shop, "msg_1")
        follow(shop, "msg_1")
        shop.clock.advance(timedelta(minutes=3))
        card = add(shop, subscription)
        shop.deliver()
        if at_once:
            assert run(shop) == [{"attempt": "succeeded"}]
            return
        with pytest.raises(Retry):
            run(shop)
        assert charges(shop, card) == []
        shop.clock.advance(timedelta(minutes=11))
        assert run(shop) == [{"attempt": "succeeded"}]  # they only saved it: the page lies open somewhere

    def test_an_unpaid_subscriptions_invoice_is_paid_though_there_is_no_access_left(self, shop: Shop):
        subscription = failed(shop)
        shop.actions.edit_object(shop.account, "subscription", subscription["id"], {"status": "unpaid"})
        card = add(shop, subscription)
        shop.deliver()
        assert run(shop) == [{"attempt": "succeeded"}]
        assert len(charges(shop, card)) == 1

    def test_a_busy_stripe_is_asked_again(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        add(shop, failed(shop))
        shop.deliver()
        shop.world.faults.add(Fault("rate_limit", path="/v1/payment_methods", times=100))
        with pytest.raises(Retry):
            run(shop)
        shop.world.faults.clear()
        assert run(shop) == [{"attempt": "succeeded"}]


class TestTheCardToTake:
    def test_an_old_cards_word_that_comes_late_charges_nothing(self, shop: Shop):
        """A was saved and replaced by B; B is declined, and only then somebody tells of A."""
        subscription = failed(shop)
        usual = default_card(shop, subscription["customer"])
        old = add(shop, subscription)
        late = told_of(shop, "payment_method.attached")
        shop.pass_time(hours=1)
        new = add(shop, subscription, decline_code="insufficient_funds")
        shop.deliver()
        assert run(shop) == [{"attempt": "declined"}]
        shop.pass_time(days=30)
        for each in late:
            shop.handle(each)
        Day(shop).work()
        assert (charges(shop, old), len(charges(shop, new))) == ([], 1)
        assert default_card(shop, subscription["customer"]) == usual

    def test_a_card_that_was_taken_away_again_is_not_charged(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        shop.actions.detach_payment_method(shop.account, card)
        assert [each["attempt"] for each in run(shop)] == ["held"]
        assert (charges(shop, card), own(shop)) == ([], [])

    def test_an_older_card_that_is_made_the_default_is_the_customers_choice(self, shop: Shop):
        subscription = failed(shop)
        cards = shop.world.space(shop.account).table("payment_method").objects.values()
        good = next(str(each["id"]) for each in cards if each["customer"] == subscription["customer"])
        assert good != default_card(shop, subscription["customer"])
        shop.pass_time(hours=1)
        shop.actions.set_default_payment_method(shop.account, subscription["customer"], good)
        shop.deliver()
        assert run(shop) == [{"attempt": "succeeded"}]

    def test_a_choice_that_was_changed_since_is_none(self, shop: Shop):
        subscription = failed(shop)
        bad = default_card(shop, subscription["customer"])
        cards = shop.world.space(shop.account).table("payment_method").objects.values()
        good = next(str(each["id"]) for each in cards if each["customer"] == subscription["customer"])
        before = len(charges(shop, good))
        shop.pass_time(hours=1)
        for choice in (good, bad):
            shop.actions.set_default_payment_method(shop.account, subscription["customer"], choice)
        shop.deliver()
        assert {each["attempt"] for each in run(shop)} == {"held"}
        assert len(charges(shop, good)) == before

    def test_a_renewal_before_the_last_charge_mends_nothing(self, shop: Shop):
        shop.actions.set_rules(shop.account, retry_days=[3, 20])
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        card = default_card(shop, subscription["customer"])
        shop.actions.automatically_update_card(shop.account, card, exp_year=2036)
        late = told_of(shop, "payment_method.automatically_updated")
        shop.actions.set_card_behaviour(shop.account, card, decline_code="insufficient_funds")
        shop.pass_time(days=4)
        assert shop.ghosts[0].attempt_count == 2
        assert {shop.handle(each) for each in late} == {"no_ghost"}
        assert tasks_of(shop) == []

    def test_renewed_several_times_in_a_row_it_is_charged_once_and_a_day_later_once_more(self, shop: Shop):
        subscription = failed(shop, decline_code="insufficient_funds")
        card = default_card(shop, subscription["customer"])
        found = shop.world.space(shop.account).table("payment_method").objects[card]
        before, waits = len(charges(shop, card)), []
        for _ in range(4):
            shop.clock.advance(timedelta(minutes=1))
            shop.actions.send_event(shop.account, "payment_method.automatically_updated", found)
            shop.deliver()
            try:
                dunning_retry.run(claimed(shop, tasks_of(shop)[-1]))
            except Retry as wait:
                waits.append(wait.at)
        assert len(charges(shop, card)) - before == 1
        assert waits == [own(shop)[0].attempted_at + timedelta(days=1)] * 3
        shop.clock.advance(timedelta(days=1))
        reasons = [dunning_retry.run(claimed(shop, task)).get("reason") for task in tasks_of(shop)[1:]]
        assert reasons == [None, *["This card was charged since it was renewed."] * 2]
        assert len(charges(shop, card)) - before == 2

    def test_a_task_made_before_says_how_its_card_came(self):
        assert News.of({"payment_method_id": "pm_1"}) == News("pm_1", Came.SAVED)
        assert News.of({"payment_method_id": "pm_1", "renewal": "evt_1"}) == News("pm_1", Came.RENEWED, "evt_1")


class TestTheSameCardUnderAnotherId:
    """The same plastic, saved once more: another id, the same number."""

    @pytest.mark.parametrize("code", ["lost_card", "stolen_card", "fraudulent", "transaction_not_allowed"])
    def test_what_the_bank_has_ended_is_not_charged_again(self, shop: Shop, code: str):
        subscription = failed(shop, decline_code=code)
        copy = add(shop, subscription, like=default_card(shop, subscription["customer"]), decline_code=code)
        shop.deliver()
        assert run(shop) == [{"attempt": "held", "reason": "This card was declined for good."}]
        assert charges(shop, copy) == []

    def test_nor_one_that_was_declined_as_a_new_card(self, shop: Shop):
        subscription = failed(shop)
        first = add(shop, subscription, decline_code="stolen_card")
        shop.deliver()
        run(shop)
        shop.pass_time(hours=1)
        copy = add(shop, subscription, like=first, decline_code="stolen_card")
        shop.deliver()
        run(shop)
        assert (len(charges(shop, first)), charges(shop, copy)) == (1, [])

    def test_one_whose_data_were_wrong_gets_its_chance(self, shop: Shop):
        subscription = failed(shop, decline_code="expired_card")
        copy = add(shop, subscription, like=default_card(shop, subscription["customer"]), token="visa")
        shop.deliver()
        assert run(shop) == [{"attempt": "succeeded"}]
        assert len(charges(shop, copy)) == 1

    def test_all_copies_share_one_budget(self, shop: Shop):
        subscription = failed(shop, decline_code="insufficient_funds")
        like, copies, held = default_card(shop, subscription["customer"]), [], 0
        for _ in range(24):
            shop.pass_time(hours=1)
            copies.append(add(shop, subscription, like=like, decline_code="insufficient_funds"))
            shop.deliver()
            try:
                dunning_retry.run(claimed(shop, tasks_of(shop)[-1]))
            except Retry as wait:
                held += wait.at is not None
        made = sum(len(charges(shop, copy)) for copy in copies)
        assert (made, held) == (19, 5)  # the first of Visa's twenty was Stripe's own

    def test_two_of_them_take_turns(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        """One lock for one card, whichever id it comes under and whoever charges it."""
        subscription = failed(shop, decline_code="insufficient_funds")
        names: list[str] = []
        monkeypatch.setattr(
            "services.recovery.charging.card_turns.wait_transaction_lock", lambda _, name: names.append(name)
        )
        for _ in range(2):
            shop.pass_time(hours=1)
            add(shop, subscription, like=default_card(shop, subscription["customer"]), decline_code="do_not_honor")
            shop.deliver()
            dunning_retry.run(claimed(shop, tasks_of(shop)[-1]))
        Day(shop).hours(24 * 5)
        (ghost,) = shop.ghosts
        assert ghost.own_retries > 0
        assert set(names) == {f"card:{shop.merchant}:{ghost.card_fingerprint}"}
        assert len(names) > 2
        assert {row.card_fingerprint for row in own(shop)} == {ghost.card_fingerprint}


def dies_at(shop: Shop, point: str) -> None:
    with dying_at(point):
        run(shop)


class TestOutOfReach:
    def test_what_a_crash_left_as_started_stays_so_once_the_account_is_gone(self, shop: Shop):
        """It may have been made: nobody can ask any more."""
        add(shop, failed(shop))
        shop.deliver()
        dies_at(shop, "charge.intended")
        shop.actions.disconnect(shop.account)
        shop.deliver()
        assert run(shop) == [{"attempt": "held", "reason": "merchant_not_connected"}]
        assert [row.state for row in own(shop)] == [AttemptState.STARTED]

    def test_what_was_only_meant_is_not_done_after_the_merchant_said_stop(self, shop: Shop):
        card = add(shop, failed(shop))
        shop.deliver()
        dies_at(shop, "charge.intended")
        with db.tenant_session(shop.merchant) as session:
            recovery.stop_messages(session, shop.merchant, "usr_1")
        shop.pass_time(hours=1)
        run(shop)
        assert charges(shop, card) == []
        assert [row.state for row in own(shop)] == [AttemptState.UNCERTAIN]

    @pytest.mark.parametrize(("hours", "state"), [(22, AttemptState.DECLINED), (25, AttemptState.UNCERTAIN)])
    def test_it_is_repeated_only_while_stripe_knows_its_key(self, shop: Shop, hours: int, state: AttemptState):
        """A task that gave up can be run again days later: without its key the call would be a second charge."""
        card = add(shop, failed(shop), decline_code="insufficient_funds")
        shop.deliver()
        dies_at(shop, "charge.made")
        before = len(charges(shop, card))
        shop.pass_time(hours=hours)
        run(shop)
        assert len(charges(shop, card)) == before
        assert [row.state for row in own(shop)] == [state]

    def test_what_was_paid_and_is_owed_again_is_not_charged_under_an_old_key(self, shop: Shop):
        """The payment was made, and undone days later; the subscription is paused, so that nobody is chased for it."""
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        dies_at(shop, "charge.made")
        shop.deliver()
        (ghost,) = shop.ghosts
        assert (ghost.state, len(charges(shop, card))) == (GhostState.RECOVERED, 1)
        shop.clock.advance(timedelta(days=3))
        owed = {"status": "open", "amount_paid": 0, "amount_remaining": 4900}
        shop.actions.edit_object(shop.account, "invoice", ghost.invoice_id, owed)
        shop.actions.edit_object(shop.account, "subscription", subscription["id"], {"status": "paused"})
        shop.take()
        assert run(shop) == [{"attempt": "held", "reason": paying.UNKNOWN}]
        assert len(charges(shop, card)) == 1
        assert [row.state for row in own(shop)] == [AttemptState.UNCERTAIN]

    def test_nobody_can_say_any_more_who_paid_what_is_paid_still(self, shop: Shop):
        add(shop, failed(shop))
        shop.deliver()
        dies_at(shop, "charge.made")
        shop.deliver()
        shop.clock.advance(timedelta(days=3))
        run(shop)
        assert [row.state for row in own(shop)] == [AttemptState.SUCCEEDED]
        assert shop.ghosts[0].mechanism == "own_attempt"
