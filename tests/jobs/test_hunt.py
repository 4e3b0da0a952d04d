"""One loop for the worker and the command: open pages hear of each page, and what interrupts it does not end it."""

import io
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import LockNotAvailable
from rich.console import Console
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from typer.testing import CliRunner

from cli import hunting
from cli.__main__ import app
from cli.errors import CommandError
from core import clock as core_clock
from core import db, logging, queue
from jobs import hunt as job
from jobs.limits import TaskInterrupted, TaskTimeout
from jobs.runner import run_due
from models.merchant import BilledInvoice, CredentialMode, Merchant
from models.work import Hunt, HuntState, TaskLane
from services.hunter import service as hunter
from services.hunter.pages import Page
from services.hunter.run import HuntRun
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeCallError,
    StripeMeterError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.merchants import service as merchants
from services.merchants.joining import FIRST_HUNT
from services.operations import health
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask
from services.vault import service as vault
from services.vault.secret import Secret
from tests.services.tasks.support import claim, put, row, rows
from tests.services.tasks.support import rows as table
from tests.support.factories import make_merchant, raw_invoice
from tests.support.shop import Shop
from tests.support.wait import wait_until

FIGURES = ["listed", "found", "updated", "unreadable", "requests", "seconds"]


class ThreePages:
    """An account with three failed invoices, a page each; says no once at the second, when told to."""

    def __init__(self) -> None:
        self.requests = 0
        self.refusal: StripeCallError | None = None
        self.others: list[dict[str, Any]] = []  # on the pages of what is joined with invoices
        self.paid: list[dict[str, Any]] = []

    def raw_get(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        if not path.endswith("/invoices"):
            joined = path.endswith("/invoice_payments") or params.get("status") in ("past_due", "unpaid")
            return {"data": self.others if joined else [], "has_more": False}
        if params.get("status") == "paid":
            return {"data": self.paid, "has_more": False}
        number = int(params.get("starting_after", "in_0").removeprefix("in_")) + 1
        if number == 2 and self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        return {"data": [raw_invoice(number)], "has_more": number < 3}


@pytest.fixture
def merchant(database: object, clock: core_clock.ManualClock) -> str:
    return make_merchant()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> ThreePages:
    made = ThreePages()
    monkeypatch.setattr(job, "client_for", lambda _session, _merchant, **_: made)
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was announced, in order."""
    heard: list[str] = []
    monkeypatch.setattr(queue, "announce_change", lambda merchant_id: heard.append(merchant_id) or True)
    monkeypatch.setattr(queue, "announce_work", lambda: heard.append("work") or True)
    return heard


def hunts(merchant: str) -> list[Hunt]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(Hunt)).all())


class TestLoop:
    def test_open_pages_hear_of_each_page_and_workers_of_the_end(self, merchant, account, told):
        seen: list[HuntProgress] = []
        progress = job.hunt(merchant, HuntRequest(), seen.append)
        assert [item.found for item in seen if item.sweep == "invoices"] == [1, 2, 3]
        assert seen[-1] == progress
        assert told == [merchant] * (1 + len(seen)) + ["work"]

    def test_a_busy_stripe_leaves_it_running_and_the_task_comes_back(self, merchant, account, told):
        account.refusal = StripeRateLimitedError()
        task = ClaimedTask(1, "hunt", merchant, {}, 1, 5, 0, "", "worker", core_clock.now())
        with pytest.raises(Retry):
            job.run(task)
        assert [found.state for found in hunts(merchant)] == [HuntState.RUNNING]
        assert job.run(task)["found"] == 3
        assert [found.state for found in hunts(merchant)] == [HuntState.DONE]

    def test_a_long_one_lets_others_of_its_lane_have_a_turn_between_two_pages(
        self, merchant, account, told, monkeypatch
    ):
        monkeypatch.setattr(job, "TURN_SECONDS", 0.0)
        task = ClaimedTask(1, "hunt", merchant, {}, 1, 5, 0, "", "worker", core_clock.now())
        waiting = put("pulse", merchant_id="other")
        for _ in range(3):  # a page each
            with pytest.raises(Retry, match=job.OTHERS_TURN):
                job.run(task)
        rows("update scheduled_tasks set state = 'done' returning id")
        assert job.run(task)["found"] == 3
        [only] = hunts(merchant)
        assert (only.state, only.found, row(waiting)["lane"]) == (HuntState.DONE, 3, "long")

    def test_and_goes_on_while_nobody_waits(self, merchant, account, told, monkeypatch):
        monkeypatch.setattr(job, "TURN_SECONDS", 0.0)
        put("probe", merchant_id="other")
        task = ClaimedTask(1, "hunt", merchant, {}, 5, 5, 0, "", "worker", core_clock.now())
        assert job.run(task)["found"] == 3

    def test_on_its_last_try_it_gives_way_and_does_not_end(self, merchant, account, told, monkeypatch):
        monkeypatch.setattr(job, "TURN_SECONDS", 0.0)
        put("pulse", merchant_id="other")
        with pytest.raises(Retry):
            job.run(ClaimedTask(1, "hunt", merchant, {}, 5, 5, 0, "", "worker", core_clock.now()))
        assert [found.state for found in hunts(merchant)] == [HuntState.RUNNING]

    def test_an_empty_page_has_no_transaction_of_its_own(self, merchant, account, told, monkeypatch):
        stored, store = [], HuntRun.store
        monkeypatch.setattr(
            HuntRun,
            "store",
            lambda run, session, *pages: (
                stored.extend(page.sweep.name for page in pages if page.items) or store(run, session, *pages)
            ),
        )
        assert job.hunt(merchant, HuntRequest()).requests == account.requests > len(stored)
        assert stored == ["invoices"] * 3
        assert [found.state for found in hunts(merchant)] == [HuntState.DONE]

    def test_small_pages_are_stored_in_one_transaction_but_one_alone_touches_ghosts(
        self, merchant, account, told, monkeypatch
    ):
        account.others = [{}]
        stored, store = [], HuntRun.store

        def noted_store(run: HuntRun, session: Any, *pages: Page) -> HuntProgress:
            stored.append([page.sweep.name for page in pages if page.items])
            return store(run, session, *pages)

        monkeypatch.setattr(HuntRun, "store", noted_store)
        assert job.hunt(merchant, HuntRequest()).listed == 6
        assert stored[:3] == [["payments", "past_due", "unpaid", "invoices"], ["invoices"], ["invoices"]]

    def test_the_next_page_is_fetched_while_one_is_stored(self, merchant, account, told, monkeypatch):
        account.others = [{}] * (job.SMALL + 1)
        fetched_beside: list[str] = []
        store = HuntRun.store

        def slow_store(run: HuntRun, session: Any, *pages: Page) -> HuntProgress:
            before, page = account.requests, pages[-1]
            if run.can_fetch_ahead:  # else this is the last page, or the one before what only storing finds out
                wait_until(lambda: account.requests > page.requests, what="the next page is on its way")
                fetched_beside.append(page.sweep.name)
            assert account.requests <= max(before, page.requests + 1)  # one ahead and no more: memory stays flat
            return store(run, session, *pages)

        monkeypatch.setattr(HuntRun, "store", slow_store)
        assert job.hunt(merchant, HuntRequest()).found == 3
        assert fetched_beside[:3] == ["payments", "past_due", "unpaid"]

    def test_what_it_fetches_is_logged_under_the_id_of_its_task(self, merchant, account, told, monkeypatch):
        asked, seen = account.raw_get, set()

        def noted(path: str, params: dict[str, Any]) -> dict[str, Any]:
            seen.add((threading.current_thread().name.partition("_")[0], logging.correlation_id()))
            return asked(path, params)

        monkeypatch.setattr(account, "raw_get", noted)
        with logging.correlated("cor_of_the_task"):
            job.hunt(merchant, HuntRequest())
        assert seen == {("hunt", "cor_of_the_task")}

    def test_what_was_fetched_when_storing_failed_is_fetched_again(self, merchant, account, told, monkeypatch):
        store, broken = HuntRun.store, [True]

        def break_once(run: HuntRun, session: Any, *pages: Page) -> HuntProgress:
            progress = store(run, session, *pages)
            if pages[0].sweep.name == "invoices" and broken:
                broken.clear()
                raise ConnectionResetError
            return progress

        monkeypatch.setattr(HuntRun, "store", break_once)
        with pytest.raises(ConnectionResetError):
            job.hunt(merchant, HuntRequest())
        assert [(found.state, found.found) for found in hunts(merchant)] == [(HuntState.RUNNING, 0)]
        assert job.hunt(merchant, HuntRequest()).found == 3

    def test_the_hunt_after_connecting_counts_what_was_billed_before(self, merchant, account, told):
        account.paid = [raw_invoice(number, status="paid", amount_remaining=0, amount_paid=4900) for number in (7, 8)]
        job.run(ClaimedTask(1, "hunt", merchant, FIRST_HUNT, 1, 5, 0, "", "worker", core_clock.now()))
        with db.tenant_session(merchant) as session:
            billed = set(session.exec(select(BilledInvoice.id)))
        assert billed == {"in_1", "in_2", "in_3", "in_7", "in_8"}

    def test_a_task_whose_hunt_another_took_over_is_discarded(self, merchant, account, told, monkeypatch):
        task = ClaimedTask(1, "hunt", merchant, {"trigger": "person"}, 1, 5, 0, "", "worker", core_clock.now())
        store, taken = HuntRun.store, []

        def store_beside_another(run: HuntRun, session: Any, *pages: Page) -> HuntProgress:
            if pages[0].sweep.name == "invoices" and not taken:
                taken.append(run.hunt_id)
                job.run(task)  # the same hunt, rescued from a worker that only slept
            return store(run, session, *pages)

        monkeypatch.setattr(HuntRun, "store", store_beside_another)
        with pytest.raises(Discard, match="ended already"):
            job.run(task)
        assert [(found.id, found.state, found.found) for found in hunts(merchant)] == [(taken[0], HuntState.DONE, 3)]

    def test_a_task_that_was_overtaken_is_discarded(self, merchant, account, told, monkeypatch):
        task = ClaimedTask(1, "hunt", merchant, {"trigger": "person"}, 1, 5, 0, "", "worker", core_clock.now())
        request, store = HuntRequest(trigger="person"), HuntRun.store

        def overtaken_store(run: HuntRun, session: Any, *pages: Page) -> HuntProgress:
            with db.tenant_session(merchant) as other:
                hunter.start(other, merchant, request)
            return store(run, session, *pages)

        monkeypatch.setattr(HuntRun, "store", overtaken_store)
        with pytest.raises(Discard, match="another worker goes on"):
            job.run(task)
        monkeypatch.setattr(HuntRun, "store", store)
        assert job.hunt(merchant, request).found == 3
        assert len(hunts(merchant)) == 1

    def test_a_page_further_it_is_not_what_its_process_died_of(self, merchant, account, told):
        number = put("hunt", merchant_id=merchant)
        table("update scheduled_tasks set deaths = 2, suspect = true returning 1")
        [task] = claim()
        account.refusal = StripeRateLimitedError()  # at the second page
        with pytest.raises(Retry):
            job.run(task)
        assert (row(number)["deaths"], row(number)["suspect"]) == (0, False)

    def test_before_its_first_page_it_still_can_be(self, merchant, account, told, monkeypatch):
        number = put("hunt", merchant_id=merchant)
        table("update scheduled_tasks set deaths = 2, suspect = true returning 1")
        [task] = claim()
        monkeypatch.setattr(HuntRun, "store", lambda *_: (_ for _ in ()).throw(ConnectionResetError()))
        with pytest.raises(ConnectionResetError):
            job.run(task)
        assert row(number)["deaths"] == 2

    def test_a_withdrawn_permission_ends_it_and_says_what_to_do(self, merchant, account, told):
        account.refusal = StripePermissionError(revoked=True)
        with pytest.raises(StripePermissionError):
            job.hunt(merchant, HuntRequest())
        [found] = hunts(merchant)
        assert (found.state, found.found) == (HuntState.FAILED, 1)
        assert "connect the Stripe account again" in found.error

    @pytest.mark.parametrize(("revoked", "state"), [(True, "disconnected"), (False, "active")])
    def test_it_disconnects_who_took_the_permission_back_though_no_event_told(
        self, merchant, account, told, revoked, state
    ):
        account.refusal = StripePermissionError(revoked=revoked)
        with pytest.raises(StripePermissionError):
            job.hunt(merchant, HuntRequest())
        with db.tenant_session(merchant) as session:
            assert merchants.get_merchant(session, merchant).state == state

    @pytest.mark.parametrize(
        "refusal", [StripeAuthenticationError(), StripePermissionError(), StripePermissionError(revoked=True)]
    )
    def test_without_access_it_is_tried_once_and_leaves_no_dead_letter(self, merchant, account, told, refusal):
        number = put("hunt", merchant_id=merchant, lane=TaskLane.LONG)
        account.refusal = refusal  # once: a second try would find the rest
        run_due(kinds=["hunt"])
        done = row(number)
        assert (done["state"], done["attempts"], done["result"]) == ("done", 1, {"discarded": refusal.title})
        assert [(found.state, found.found) for found in hunts(merchant)] == [(HuntState.FAILED, 1)]

    def test_a_token_that_died_though_no_event_told_is_on_the_health_card(self, database, clock, monkeypatch):
        shop = Shop.open(clock, monkeypatch)
        token = Secret(shop.actions.connect(shop.account)["tokens"][-1])
        with db.tenant_session(shop.merchant) as session:
            owned = session.get_one(Merchant, shop.merchant)
            owned.credential_mode = CredentialMode.OAUTH
            vault.seal_merchant_token(owned, token)
        shop.actions.disconnect(shop.account)
        number = put("hunt", merchant_id=shop.merchant, lane=TaskLane.LONG)
        run_due(kinds=["hunt"])
        assert (row(number)["state"], row(number)["attempts"]) == ("done", 1)
        [found] = hunts(shop.merchant)
        assert (found.state, "connect the Stripe account again" in found.error) == (HuntState.FAILED, True)
        with db.tenant_session(shop.merchant) as session:
            assert "access_lost" in [
                each.code for each in health.judge(health.merchant_facts(session, shop.merchant)).findings
            ]

    def test_who_connected_again_meanwhile_stays(self, merchant, account, told, monkeypatch, clock):
        account.refusal = StripePermissionError(revoked=True)

        def connect_again(_merchant: str) -> bool:
            clock.advance(timedelta(minutes=1))
            with db.tenant_session(merchant) as session:
                session.execute(update(Merchant).values(connected_at=clock.now()))
            return True

        monkeypatch.setattr(queue, "announce_change", connect_again)
        with pytest.raises(StripePermissionError):
            job.hunt(merchant, HuntRequest())
        with db.tenant_session(merchant) as session:
            assert merchants.get_merchant(session, merchant).state == "active"

    def test_a_place_that_is_gone_ends_it_and_the_next_begins_anew(self, merchant, account, told):
        account.refusal = StripeNotFoundError()
        with pytest.raises(StripeNotFoundError):
            job.hunt(merchant, HuntRequest())
        assert [(found.state, found.found) for found in hunts(merchant)] == [(HuntState.FAILED, 1)]
        assert job.hunt(merchant, HuntRequest()).listed == 3
        assert sorted(found.state for found in hunts(merchant)) == [HuntState.DONE, HuntState.FAILED]

    @pytest.mark.parametrize(("attempt", "state"), [(4, HuntState.RUNNING), (5, HuntState.FAILED)])
    def test_what_dies_of_anything_else_ends_with_its_last_try(self, merchant, account, told, attempt, state):
        account.refusal = StripeMeterError(reason="nothing a list is refused for")
        with pytest.raises(StripeMeterError):
            job.run(ClaimedTask(1, "hunt", merchant, {}, attempt, 5, 0, "", "worker", core_clock.now()))
        assert [found.state for found in hunts(merchant)] == [state]

    @pytest.mark.parametrize("error", [TaskTimeout(), TaskInterrupted(), OperationalError("", {}, LockNotAvailable())])
    def test_what_costs_no_try_ends_nothing(self, merchant, account, told, monkeypatch, error):
        def broken(*_: Any) -> None:
            raise error

        monkeypatch.setattr(HuntRun, "store", broken)
        with pytest.raises(type(error)):
            job.run(ClaimedTask(1, "hunt", merchant, {}, 5, 5, 0, "", "worker", core_clock.now()))
        over = isinstance(error, TaskTimeout)
        assert [found.state for found in hunts(merchant)] == [HuntState.FAILED if over else HuntState.RUNNING]


class TestCommand:
    def call(self, folder: Path, merchant: str, *flags: str) -> Any:
        return CliRunner().invoke(app, ["--folder", str(folder), "hunt", "--merchant", merchant, *flags])

    def test_prints_its_figures_and_nothing_else_for_programs(self, merchant, account, told, tmp_path):
        outcome = self.call(tmp_path, merchant, "--json")
        assert outcome.exit_code == 0, outcome.exception
        assert list(json.loads(outcome.stdout)) == FIGURES
        assert outcome.stderr == ""
        assert told[-1] == "work"

    def test_prints_a_plain_line_a_page_where_nobody_watches(self, merchant, account, told, tmp_path):
        outcome = self.call(tmp_path, merchant)
        assert outcome.stdout.startswith("listed 3  found 3  updated 0")
        assert "invoices: 3 listed, 3 found, 0 updated" in outcome.stderr.splitlines()
        assert "\x1b" not in outcome.stderr

    @pytest.mark.parametrize("refusal", [StripeRateLimitedError(), StripeUnavailableError()])
    def test_what_passes_is_one_line_and_the_next_call_goes_on(self, merchant, account, told, tmp_path, refusal):
        account.refusal = refusal
        outcome = self.call(tmp_path, merchant, "--json")
        assert isinstance(outcome.exception, CommandError)  # which `phantom` prints as its one line, with exit 1
        assert str(outcome.exception).startswith(refusal.title)
        assert "goes on where this hunt stopped" in str(outcome.exception)
        assert outcome.stdout + outcome.stderr == ""
        before = account.requests
        assert json.loads(self.call(tmp_path, merchant, "--json").stdout)["found"] == 3
        assert account.requests - before == 4  # two pages of invoices, then what renews and what is on trial
        assert [found.state for found in hunts(merchant)] == [HuntState.DONE]

    def test_what_a_person_must_act_on_ends_it(self, merchant, account, told, tmp_path):
        account.refusal = StripePermissionError()
        outcome = self.call(tmp_path, merchant)
        assert str(outcome.exception).startswith("the hunt ended: ")
        assert [found.state for found in hunts(merchant)] == [HuntState.FAILED]


class TestDisplay:
    def test_on_a_terminal_it_is_one_living_line(self, merchant, account, told):
        terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
        with hunting._display(terminal, lines=True) as show:
            job.hunt(merchant, HuntRequest(), show)
            terminal.file.flush()
        written = terminal.file.getvalue()
        assert "\x1b" in written
        assert "3 listed, 3 found" in written
