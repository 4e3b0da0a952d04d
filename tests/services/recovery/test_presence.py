"""Who uses the product while they owe: written down sparingly, shown first, and forgotten when asked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostState, GhostTarget
from models.presence import Presence
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import presence, purge, service
from services.recovery.classify import ASKED_FOR
from services.recovery.observe import observe
from services.recovery.schemas import GhostQuery
from services.recovery.work import merchant_context
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant, raw_invoice
from tests.support.plans import reads_of

DAY = timedelta(days=1)


class House:
    """A merchant, some customers who owe, and what is known of their use."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.merchant = clock, make_merchant()

    def owes(self, *numbers: int, paid: bool = False, currency: str = "usd", **changes: Any) -> None:
        facts = [replace(parse_invoice(raw_invoice(number, currency=currency)), **changes) for number in numbers]
        if paid:
            facts = [replace(each, status="paid", amount_remaining=0, amount_paid=4900) for each in facts]
        with db.tenant_session(self.merchant) as session:
            observe(session, merchant_context(session, self.merchant), facts, FoundVia.HUNT, self.clock.now())

    def sees(self, *numbers: int, at: datetime | None = None) -> int:
        seen = {f"cus_{number}": at or self.clock.now() for number in numbers}
        with db.tenant_session(self.merchant) as session:
            return presence.record(session, self.merchant, seen, self.clock.now())

    @property
    def known(self) -> dict[str, datetime]:
        with db.tenant_session(self.merchant) as session:
            return {row.customer_id: row.last_seen_at for row in session.exec(select(Presence)).all()}

    @property
    def ghosts(self) -> dict[str, GhostTarget]:
        with db.tenant_session(self.merchant) as session:
            return {ghost.customer_id or "": ghost for ghost in session.exec(select(GhostTarget)).all()}

    def active(self, currency: str = "usd") -> presence.Active:
        with db.tenant_session(self.merchant) as session:
            return self.ask(session, currency)

    def ask(self, session: Session, currency: str = "usd") -> presence.Active:
        return presence.active(session, self.merchant, currency, self.clock.now())

    def listed(self, *, ascending: bool = False) -> list[str]:
        with db.tenant_session(self.merchant) as session:
            query = GhostQuery(sort="active", ascending=ascending)
            return [row.customer_id for row in service.list_ghosts(session, self.merchant, query).rows]


@pytest.fixture
def house(database: object, clock: ManualClock) -> House:
    return House(clock)


class TestRecording:
    def test_a_sighting_is_kept_and_reaches_the_ghost(self, house: House):
        house.owes(1, 2)
        assert house.sees(1) == 1
        assert house.known == {"cus_1": house.clock.now()}
        assert house.ghosts["cus_1"].last_presence_at == house.clock.now()
        assert house.ghosts["cus_2"].last_presence_at is None

    def test_within_minutes_it_is_no_news(self, house: House):
        house.owes(1)
        first = house.clock.now()
        house.sees(1)
        for _ in range(4):
            house.clock.advance(timedelta(minutes=1))
            assert house.sees(1) == 0
        assert house.known == {"cus_1": first}
        house.clock.advance(timedelta(minutes=1))
        assert house.sees(1) == 1
        assert house.ghosts["cus_1"].last_presence_at == house.known["cus_1"] == house.clock.now()

    def test_late_repeated_and_shuffled_sightings_change_nothing(self, house: House):
        house.owes(1)
        now = house.clock.now()
        for back in (1, 5, 0, 3, 0):
            house.sees(1, at=now - back * DAY)
        assert house.known["cus_1"] == house.ghosts["cus_1"].last_presence_at == now

    def test_the_future_is_not_believed(self, house: House):
        house.sees(1, at=house.clock.now() + 400 * DAY)
        assert house.known["cus_1"] <= house.clock.now() + timedelta(minutes=5)

    @pytest.mark.parametrize("customer", ["", "x" * 65])
    def test_what_is_no_id_is_passed_over(self, house: House, customer: str):
        with db.tenant_session(house.merchant) as session:
            assert presence.record(session, house.merchant, {customer: house.clock.now()}, house.clock.now()) == 0

    def test_who_was_seen_before_owing_is_known_when_they_do(self, house: House):
        house.sees(1)
        seen = house.clock.now()
        house.clock.advance(2 * DAY)
        house.owes(1)
        assert house.ghosts["cus_1"].last_presence_at == seen

    @pytest.mark.parametrize(
        "ends",
        [
            {"status": "paid", "amount_remaining": 0, "amount_paid": 4900},
            {"subscription_status": "canceled", "subscription_end": ASKED_FOR},
        ],
        ids=["paid", "cancelled"],
    )
    def test_who_owes_again_is_known_by_what_was_seen_before_and_meanwhile(self, house: House, ends: dict[str, Any]):
        house.owes(1)
        house.sees(1)
        house.owes(1, **ends)
        assert house.ghosts["cus_1"].last_presence_at is None
        house.clock.advance(DAY)
        house.sees(1)
        seen = house.clock.now()
        house.clock.advance(DAY)
        house.owes(1, read_at=house.clock.now())
        assert house.ghosts["cus_1"].state == GhostState.OPEN
        assert house.ghosts["cus_1"].last_presence_at == seen
        assert house.active().customers == 1

    def test_who_does_not_owe_costs_one_row_and_no_lock(self, house: House):
        house.owes(1)
        with db.tenant_session(house.merchant) as busy:
            busy.execute(text("select id from ghost_targets for update"))
            assert house.sees(2) == 1

    def test_another_merchants_customer_of_the_same_name_is_another(self, house: House):
        other = House(house.clock)
        other.owes(1)
        house.sees(1)
        assert (other.known, other.ghosts["cus_1"].last_presence_at) == ({}, None)

    def test_many_at_once_neither_lock_each_other_out_nor_lose_one(self, house: House):
        house.owes(*range(1, 9))
        now = house.clock.now()

        def see(turn: int) -> int:
            return house.sees(*range(1, 9), at=now + turn * timedelta(minutes=6) - DAY)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(see, range(12)))
        latest = now + 11 * timedelta(minutes=6) - DAY
        assert set(house.known.values()) == {latest}
        assert {ghost.last_presence_at for ghost in house.ghosts.values()} == {latest}


class TestMeasure:
    def test_nothing_can_be_said_before_anybody_was_seen(self, house: House):
        house.owes(1)
        assert house.active() == presence.Active(is_told=False, customers=0, amount=0)
        house.sees(9)
        assert house.active() == presence.Active(is_told=True, customers=0, amount=0)

    def test_it_counts_customers_who_owe_and_were_seen_within_seven_days(self, house: House):
        house.owes(1, 2, 3)
        house.owes(4, currency="eur")
        house.sees(1, at=house.clock.now() - 7 * DAY)
        house.sees(2, at=house.clock.now() - 7 * DAY - timedelta(seconds=1))
        house.sees(3, 4)
        assert house.active() == presence.Active(True, 2, 9800)
        assert house.active("eur") == presence.Active(True, 1, 4900)

    @pytest.mark.parametrize(
        "leave",
        [lambda house: house.owes(1, paid=True), lambda house: house.clock.advance(8 * DAY)],
        ids=["paid", "gone"],
    )
    def test_who_paid_or_stays_away_leaves_it(self, house: House, leave: Callable[[House], object]):
        house.owes(1)
        house.sees(1)
        leave(house)
        assert house.active().customers == 0

    def test_it_reads_the_ghosts_of_the_active_and_no_others(self, house: House, database: WorkerDatabase):
        house.owes(*range(1, 400))
        house.sees(1, 2)
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute("vacuum analyze ghost_targets")
        with db.tenant_session(house.merchant) as session:
            (read,) = [node for node in reads_of(session, lambda: house.ask(session)) if node.table == "ghost_targets"]
        assert read.index in ("ix_ghost_targets_active", "ix_ghost_targets_presence")
        assert (read.rows, read.removed) == (2, 0)


class TestRanking:
    def test_the_last_seen_come_first_then_the_newest(self, house: House):
        for number in (1, 2, 3, 4):
            house.owes(number)
            house.clock.advance(DAY)
        house.sees(2, at=house.clock.now() - 2 * DAY)
        house.sees(1)
        assert house.listed() == ["cus_1", "cus_2", "cus_4", "cus_3"]
        assert house.listed(ascending=True)[:2] == ["cus_2", "cus_1"]

    def test_before_anybody_was_seen_it_is_the_list_as_ever(self, house: House):
        for number in (1, 2, 3):
            house.owes(number)
            house.clock.advance(DAY)
        assert house.listed() == ["cus_3", "cus_2", "cus_1"]


class TestForgetting:
    def test_an_erasure_removes_what_was_seen_for_good(self, house: House):
        house.owes(1, 2)
        house.sees(1, 2)
        with db.tenant_session(house.merchant) as session:
            purge.erase_customer(session, house.merchant, "cus_1", house.clock.now())
        assert set(house.known) == {"cus_2"}
        assert house.ghosts["cus_1"].last_presence_at is None
        house.clock.advance(DAY)
        assert house.sees(1, 2) == 1
        assert set(house.known) == {"cus_2"}

    def test_a_ghosts_purge_takes_its_presence_and_old_sightings_go(self, house: House):
        house.owes(1)
        house.sees(1, 7)
        house.clock.advance(90 * DAY)
        house.sees(8)
        house.clock.advance(timedelta(seconds=1))
        with db.tenant_session(house.merchant) as session:
            assert purge.purge_due(session, house.merchant, house.clock.now()) == 1
            assert purge.forget_unseen(session, house.merchant, house.clock.now()) == 2
        assert set(house.known) == {"cus_8"}
        ghost = house.ghosts["cus_1"]
        assert (ghost.last_presence_at, ghost.state) == (None, GhostState.EXHAUSTED)
