"""Hunts page by page: idempotent, resumable, one request per hundred objects, both paths into one upsert."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from core import db
from core.clock import ManualClock
from core.errors import NotFoundError
from models.ghost import GhostState, GhostTarget
from models.merchant import BilledInvoice
from models.work import Hunt, HuntSpool
from services.hunter import repository
from services.hunter import service as hunter
from services.hunter.errors import HuntOverError, HuntTakenOverError
from services.hunter.run import HuntRun
from services.hunter.schemas import HuntProgress, HuntRequest
from services.recovery import service as recovery
from tests.support.factories import make_merchant, raw_invoice, raw_subscription

Plain = dict[str, Any]


class ListedStripe:
    """Stripe's lists out of memory, newest first, with cursors; counts requests."""

    def __init__(self, **lists: list[Plain]) -> None:
        self.lists, self.requests, self.largest = lists, 0, 0
        self.asked: Counter[str] = Counter()
        self.break_at: int | None = None
        self.elsewhere: list[Plain] = []  # invoices that no list shows any more

    def raw_get(self, path: str, params: Plain) -> Plain:
        self.requests += 1
        if self.requests == self.break_at:
            raise ConnectionResetError
        if path.startswith("/v1/invoices/"):
            return self.single(path.rsplit("/", 1)[-1])
        name = path.rsplit("/", 1)[-1] + ":" + params["status"]
        self.asked[name] += 1
        items = self.lists.get(name.replace(":", "_"), [])
        start = 0
        if after := params.get("starting_after"):
            start = next(index for index, item in enumerate(items) if item["id"] == after) + 1
        page = items[start : start + params["limit"]]
        self.largest = max(self.largest, len(page))
        return {"data": page, "has_more": start + len(page) < len(items)}

    def single(self, invoice_id: str) -> Plain:
        """One invoice by its id."""
        for item in self.elsewhere:
            if item["id"] == invoice_id:
                return item
        raise NotFoundError


def account(number: int) -> ListedStripe:
    """An account with `number` failed invoices, as the sweeps see them: payments and subscriptions listed apart."""
    invoices, payments, subscriptions = [], [], []
    for index in range(number):
        invoice = raw_invoice(index)
        payment = invoice.pop("payments")["data"][0]
        subscription = invoice["parent"]["subscription_details"]["subscription"]
        invoice["parent"] = {"subscription_details": {"subscription": subscription["id"]}}
        invoices.append(invoice)
        payments.append({"id": f"inpay_{index}", "invoice": invoice["id"], "created": 1, **payment})
        subscriptions.append(subscription)
    return ListedStripe(invoices_open=invoices, invoice_payments_open=payments, subscriptions_past_due=subscriptions)


def hunt(merchant: str, stripe: ListedStripe, request: HuntRequest | None = None) -> HuntProgress:
    with db.tenant_session(merchant) as session:
        run = hunter.start(session, merchant, request or HuntRequest())
    while (page := run.fetch(stripe)) is not None:
        with db.tenant_session(merchant) as session:
            run.store(session, page)
    return run.progress


def rows(merchant: str, table: Any) -> list[Any]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


class TestHunting:
    def test_joins_what_was_listed_apart(self, merchant: str):
        progress = hunt(merchant, account(3))
        assert (progress.listed, progress.found, progress.unreadable) == (9, 3, 0)
        ghost = rows(merchant, GhostTarget)[0]
        assert (ghost.decline_code, ghost.card_brand, ghost.subscription_status) == (
            "insufficient_funds",
            "visa",
            "past_due",
        )
        assert ghost.shadow_cents == 4900

    def test_costs_one_request_per_hundred_objects(self, merchant: str):
        stripe = account(250)
        progress = hunt(merchant, stripe)
        assert progress.listed == 750
        assert progress.requests == stripe.requests <= 1.05 * progress.listed / 100 + 10
        assert stripe.largest == 100

    def test_a_second_hunt_changes_nothing(self, merchant: str):
        hunt(merchant, account(5))
        again = hunt(merchant, account(5))
        assert (again.found, again.updated) == (0, 0)
        assert len(rows(merchant, GhostTarget)) == 5

    def test_what_cannot_be_read_is_counted_and_does_not_stop_it(self, merchant: str):
        stripe = account(3)
        stripe.lists["invoices_open"][1]["currency"] = None
        progress = hunt(merchant, stripe)
        assert (progress.found, progress.unreadable) == (2, 1)

    def test_poisoned_invoices_hide_none_of_the_good_ones(self, merchant: str):
        odd: list[Plain] = [
            {"amount_due": 2**63 + 5},
            {"attempt_count": 2**40},
            {"id": "in_\x00"},
            {"id": "in_" + "a" * 100},
            {"created": 10**18},
            {"currency": "ÄÖÜ"},
        ]
        stripe = account(5 + len(odd))
        for number, changes in enumerate(odd):
            stripe.lists["invoices_open"][2 * number - 1] |= changes  # the last one listed among them
        stripe.lists["subscriptions_past_due"] += [{"id": "sub_\ud800"}, {"id": "sub_nul", "status": "a\x00\ud800"}]
        stripe.lists["subscriptions_past_due"][0]["items"]["data"][0]["quantity"] = 10**5000
        stripe.lists["invoice_payments_open"] += [
            {"id": "x", "invoice": "in_nul", "created": "\x00", "payment": "\x00"}
        ]
        progress = hunt(merchant, stripe)
        assert (progress.state, progress.found, progress.unreadable) == ("done", 5, len(odd))
        assert len(rows(merchant, GhostTarget)) == 5

    def test_objects_without_an_id_do_not_keep_it_on_one_page(self, merchant: str):
        stripe = account(150)
        stripe.lists["invoices_open"][99]["id"] = None
        progress = hunt(merchant, stripe)
        assert (progress.state, progress.found) == ("done", 149)

    def test_goes_on_from_its_cursor_after_a_crash(self, merchant: str):
        stripe = account(250)
        stripe.break_at = 8
        with pytest.raises(ConnectionResetError):
            hunt(merchant, stripe)
        asked = stripe.requests
        progress = hunt(merchant, stripe)
        assert progress.found + 0 == 250
        assert stripe.requests - asked < asked
        assert len(rows(merchant, Hunt)) == 1

    def test_leaves_no_spool_behind(self, merchant: str):
        hunt(merchant, account(5))
        assert rows(merchant, HuntSpool) == []

    def test_what_nobody_goes_on_with_is_given_up_after_a_week(self, merchant: str, clock: ManualClock):
        stripe = account(3)
        stripe.break_at = 3  # with payments and subscriptions in the spool
        with pytest.raises(ConnectionResetError):
            hunt(merchant, stripe, HuntRequest(trigger="command"))
        clock.advance(timedelta(days=6))
        hunt(merchant, account(3))
        assert len(rows(merchant, HuntSpool)) == 6
        clock.advance(timedelta(days=2))
        hunt(merchant, account(3))
        assert rows(merchant, HuntSpool) == []
        states = {found.trigger: found.state for found in rows(merchant, Hunt)}
        assert states == {"command": "failed", "schedule": "done"}

    def test_an_empty_account_is_a_finished_hunt(self, merchant: str):
        progress = hunt(merchant, ListedStripe())
        assert (progress.state, progress.listed, progress.found) == ("done", 0, 0)

    def test_a_deleted_customer_and_a_missing_payment_do_not_hide_a_ghost(self, merchant: str):
        stripe = account(1)
        stripe.lists["invoices_open"][0]["customer"] = {"id": "cus_0", "deleted": True}
        stripe.lists["invoice_payments_open"] = []
        assert hunt(merchant, stripe).found == 1


def begin(merchant: str, trigger: str = "connect") -> HuntRun:
    with db.tenant_session(merchant) as session:
        return hunter.start(session, merchant, HuntRequest(trigger=trigger))


def step(merchant: str, run: HuntRun, stripe: ListedStripe) -> bool:
    """Fetch and store one page; whether there was one."""
    page = run.fetch(stripe)
    if page is not None:
        with db.tenant_session(merchant) as session:
            run.store(session, page)
    return page is not None


class TestTwoRunners:
    """A hunt belongs to whoever started it last; the other one's next page changes nothing."""

    def test_the_later_one_goes_on_and_the_former_is_refused(self, merchant: str):
        stripe = account(150)
        former = begin(merchant)
        for _ in range(3):
            step(merchant, former, stripe)
        later = begin(merchant)
        assert later.hunt_id == former.hunt_id
        with pytest.raises(HuntTakenOverError):
            step(merchant, former, stripe)
        while step(merchant, later, stripe):
            pass
        assert (later.progress.state, later.progress.listed) == ("done", 450)
        assert {ghost.decline_group for ghost in rows(merchant, GhostTarget)} == {"funds"}

    def test_who_wakes_up_after_the_end_leaves_it_done(self, merchant: str):
        stripe = account(150)
        zombie = begin(merchant)
        for _ in range(4):
            step(merchant, zombie, stripe)  # payments and subscriptions are listed, invoices come next
        late = zombie.fetch(stripe)
        assert late is not None
        rescuer = begin(merchant)
        while step(merchant, rescuer, stripe):
            pass
        ended = [(found.state, found.finished_at, found.cursor) for found in rows(merchant, Hunt)]
        with pytest.raises(HuntOverError), db.tenant_session(merchant) as session:
            zombie.store(session, late)
        with pytest.raises(HuntOverError), db.tenant_session(merchant) as session:
            zombie.fail(session, "Connect again.")
        assert [(found.state, found.finished_at, found.cursor) for found in rows(merchant, Hunt)] == ended
        assert ended[0][0] == "done"
        assert {ghost.decline_group for ghost in rows(merchant, GhostTarget)} == {"funds"}
        assert rows(merchant, HuntSpool) == []

    def test_who_was_displaced_cannot_fail_the_hunt_of_another(self, merchant: str):
        former, later = begin(merchant), begin(merchant)
        with pytest.raises(HuntTakenOverError), db.tenant_session(merchant) as session:
            former.fail(session, "Connect again.")
        assert step(merchant, later, account(1))

    def test_a_store_that_was_rolled_back_is_not_gone_on_from(self, merchant: str):
        stripe = account(3)
        run = begin(merchant)
        page = run.fetch(stripe)
        assert page is not None
        with db.tenant_session(merchant) as session:
            run.store(session, page)
            session.rollback()
        with pytest.raises(HuntTakenOverError):
            step(merchant, run, stripe)

    def test_two_windows_of_one_trigger_end_the_former(self, merchant: str, clock: ManualClock):
        former = begin(merchant)
        with db.tenant_session(merchant) as session:
            hunter.start(session, merchant, HuntRequest(trigger="connect", since=clock.now()))
        with pytest.raises(HuntOverError):
            step(merchant, former, account(1))

    @pytest.mark.parametrize(("hours", "goes_on"), [(23, True), (25, False)])
    def test_one_that_nobody_went_on_with_for_a_day_is_begun_anew(
        self, merchant: str, clock: ManualClock, hours: int, goes_on: bool
    ):
        former = begin(merchant)
        clock.advance(timedelta(hours=hours))
        later = begin(merchant)
        assert (later.hunt_id == former.hunt_id) is goes_on
        assert later.now == (former.now if goes_on else clock.now())
        assert len([hunt for hunt in rows(merchant, Hunt) if hunt.state == "running"]) == 1

    def test_hunts_of_two_triggers_do_not_meet(self, merchant: str):
        one, other = begin(merchant, "schedule"), begin(merchant, "person")
        stripe = account(3)
        while step(merchant, one, stripe) | step(merchant, other, stripe):
            pass
        assert (one.progress.state, other.progress.state) == ("done", "done")

    def test_what_is_being_stored_is_not_given_up_however_old(self, merchant: str, clock: ManualClock):
        old = begin(merchant, "command")
        clock.advance(repository.ABANDONED + timedelta(days=1))
        with db.tenant_session(merchant) as holding:
            assert repository.lock_hunt(holding, merchant, old.hunt_id)
            hunt(merchant, account(1))
        states = {found.trigger: found.state for found in rows(merchant, Hunt)}
        assert states == {"command": "running", "schedule": "done"}


class TestLostEvents:
    """What Stripe never told is healed by the next hunt."""

    def _exhaust(self, merchant: str) -> None:
        with db.tenant_session(merchant) as session:
            for ghost in session.exec(select(GhostTarget)).all():
                ghost.state = GhostState.EXHAUSTED

    @pytest.mark.parametrize("exhausted", [False, True])
    def test_a_payment_nobody_told_of_recovers(self, merchant: str, clock: ManualClock, exhausted: bool):
        stripe = account(2)
        hunt(merchant, stripe)
        if exhausted:
            self._exhaust(merchant)
        clock.advance(timedelta(hours=12))
        paid = raw_invoice(1, status="paid", amount_remaining=0, amount_paid=4900)
        stripe.elsewhere, stripe.lists["invoices_open"] = [paid], stripe.lists["invoices_open"][:1]
        progress = hunt(merchant, stripe)
        assert progress.updated == 1
        assert {ghost.invoice_id: ghost.state for ghost in rows(merchant, GhostTarget)}["in_1"] == GhostState.RECOVERED

    def test_a_healed_ghost_is_not_asked_for_again(self, merchant: str, clock: ManualClock):
        stripe = account(1)
        hunt(merchant, stripe)
        clock.advance(timedelta(hours=12))
        stripe.elsewhere, stripe.lists["invoices_open"] = [raw_invoice(0, status="void")], []
        hunt(merchant, stripe)
        asked = stripe.requests
        clock.advance(timedelta(hours=12))
        hunt(merchant, stripe)
        assert stripe.requests - asked == 6  # the six lists and nothing else

    def test_what_a_person_wrote_off_and_was_paid_all_the_same_recovers(self, merchant: str, clock: ManualClock):
        stripe = account(1)
        hunt(merchant, stripe)
        with db.tenant_session(merchant) as session:
            recovery.mark_lost(session, merchant, [ghost.id for ghost in session.exec(select(GhostTarget))], "usr_1")
        clock.advance(timedelta(hours=12))
        paid = raw_invoice(0, status="paid", amount_remaining=0, amount_paid=4900)
        stripe.elsewhere, stripe.lists["invoices_open"] = [paid], []
        hunt(merchant, stripe)
        assert rows(merchant, GhostTarget)[0].state == GhostState.RECOVERED

    def test_what_a_person_wrote_off_and_ended_is_not_asked_for_again(self, merchant: str, clock: ManualClock):
        stripe = account(1)
        hunt(merchant, stripe)
        with db.tenant_session(merchant) as session:
            recovery.mark_lost(session, merchant, [ghost.id for ghost in session.exec(select(GhostTarget))], "usr_1")
        stripe.elsewhere, stripe.lists["invoices_open"] = [raw_invoice(0, status="void")], []
        asked = []
        for _ in range(2):
            clock.advance(timedelta(hours=12))
            before = stripe.requests
            hunt(merchant, stripe)
            asked.append(stripe.requests - before)
        assert asked == [7, 6]  # once by its id, then the six lists and nothing else

    def test_an_invoice_that_is_gone_is_lost(self, merchant: str, clock: ManualClock):
        stripe = account(1)
        hunt(merchant, stripe)
        clock.advance(timedelta(hours=12))
        stripe.lists["invoices_open"] = []
        assert hunt(merchant, stripe).state == "done"
        assert rows(merchant, GhostTarget)[0].state == GhostState.LOST


class TestMany:
    def test_what_left_the_list_is_found_among_more_than_a_batch(
        self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(repository, "_BATCH", 3)
        hunt(merchant, account(10))
        clock.advance(timedelta(hours=12))
        stripe = account(10)
        gone = [stripe.lists["invoices_open"].pop(number) for number in (8, 4, 0)]
        progress = hunt(merchant, stripe)
        assert (progress.found, progress.updated) == (0, 3)
        lost = {ghost.invoice_id for ghost in rows(merchant, GhostTarget) if ghost.state == GhostState.LOST}
        assert lost == {invoice["id"] for invoice in gone}


class TestBilling:
    def test_each_invoice_is_billed_once(self, merchant: str):
        paid = [raw_invoice(index, status="paid", amount_remaining=0, amount_paid=4900) for index in range(3)]
        stripe = ListedStripe(invoices_paid=paid)
        request = HuntRequest(trigger="connect", backfill_billing=True)
        hunt(merchant, stripe, request)
        hunt(merchant, stripe, request)
        assert len(rows(merchant, BilledInvoice)) == 3

    def test_an_active_subscription_with_a_failed_invoice_is_a_ghost(self, merchant: str):
        invoice = raw_invoice(1, parent={"subscription_details": {"subscription": raw_subscription(status="active")}})
        assert hunt(merchant, ListedStripe(invoices_open=[invoice])).found == 1


class TestGrowth:
    def test_who_found_many_has_postgresql_count_again(self, merchant: str):
        run, stripe = begin(merchant), account(501)
        told = []
        while step(merchant, run, stripe):
            if run.has_grown:
                with db.tenant_session(merchant) as session:
                    run.tell_of_growth(session)
                    counted = session.connection().scalar(
                        text("select reltuples from pg_class where relname = 'ghost_targets'")
                    )
                told.append((run.progress.found, counted))
        assert told == [(500, 500)]
        assert not run.has_grown
