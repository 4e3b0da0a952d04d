"""Shards are taken once, held to the end, and asked for before anything is added."""

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from core import db
from core.clock import ManualClock
from models.money import DailyMetrics
from services.analytics import ledger, shards
from services.analytics.repository import list_open_by_group, list_totals
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant
from tests.support.neighbours import customers_of_shards, impatient

DAY = date(2026, 3, 2)


@pytest.fixture
def session(database: WorkerDatabase, clock: ManualClock) -> Iterator[Session]:
    with db.tenant_session(make_merchant()) as opened:
        yield opened


@pytest.fixture
def merchant(session: Session) -> str:
    return str(session.connection().exec_driver_sql("select current_setting('app.merchant_id')").scalar())


class TestWhichShard:
    def test_a_customer_has_one_for_good(self):
        assert shards.of_customer("cus_1") == shards.of_customer("cus_1")
        assert len(shards.of_customer("cus_1")) == 1

    @pytest.mark.parametrize("unknown", [None, ""])
    def test_an_unknown_one_has_all(self, unknown: str | None):
        assert shards.of_customer(unknown) == shards.ALL

    def test_customers_spread(self):
        counted = [min(shards.of_customer(f"cus_{number:014x}")) for number in range(1600)]
        assert min(counted.count(shard) for shard in shards.ALL) > 50

    def test_nobody_needs_none(self):
        assert shards.of_customers([]) == frozenset()


class TestHolding:
    def test_what_is_held_is_not_asked_for_again(self, session: Session, merchant: str):
        shards.hold(session, merchant, frozenset({3, 5}))
        shards.hold(session, merchant, frozenset({5}))
        assert shards.held(session, merchant) == {3, 5}

    def test_more_than_was_taken_first_is_a_defect(self, session: Session, merchant: str):
        shards.hold(session, merchant, frozenset({5}))
        with pytest.raises(shards.ShardNotHeldError):
            shards.hold(session, merchant, frozenset({3, 5}))

    def test_it_ends_with_the_transaction(self, session: Session, merchant: str):
        shards.hold(session, merchant, shards.ALL)
        session.commit()
        with pytest.raises(shards.ShardNotHeldError):
            shards.written(session, merchant)

    def test_another_waits_for_the_same_shard_alone(self, session: Session, merchant: str):
        shards.hold(session, merchant, frozenset({3, 5}))
        with impatient(merchant) as other:
            shards.hold(other, merchant, shards.ALL - {3, 5})
        with pytest.raises(OperationalError), impatient(merchant) as other:
            shards.hold(other, merchant, frozenset({4, 5}))

    def test_another_merchant_never_waits(self, session: Session, merchant: str):
        shards.hold(session, merchant, shards.ALL)
        elsewhere = make_merchant()
        with impatient(elsewhere) as other:
            shards.hold(other, elsewhere, shards.ALL)


class TestAdding:
    def test_without_a_shard_nothing_is_added(self, session: Session, merchant: str):
        changes = ledger.Changes()
        changes.day(DAY, "usd", found_count=1)
        with pytest.raises(shards.ShardNotHeldError):
            ledger.apply(session, merchant, changes)

    def test_nothing_to_add_needs_no_shard(self, session: Session, merchant: str):
        changes = ledger.Changes()
        changes.day(DAY, "usd", found_count=1)
        changes.day(DAY, "usd", found_count=-1)
        ledger.apply(session, merchant, changes)
        assert session.exec(select(DailyMetrics)).all() == []

    def test_all_rows_are_those_of_the_lowest_shard_held(self, session: Session, merchant: str):
        shards.hold(session, merchant, frozenset({7, 3}))
        changes = ledger.Changes()
        for code in ("usd", "jpy"):
            changes.day(DAY, code, found_count=1, found_cents=500)
        changes.day(DAY, "usd", billed_cents=9)
        ledger.apply(session, merchant, changes)
        ledger.apply(session, merchant, changes)
        found = {row.currency: row for row in session.exec(select(DailyMetrics))}
        assert {row.shard for row in found.values()} == {3}
        assert (found["usd"].found_count, found["usd"].found_cents, found["usd"].billed_cents) == (2, 1000, 18)
        assert (found["jpy"].found_count, found["jpy"].found_cents, found["jpy"].billed_cents) == (2, 1000, 0)

    def test_readers_see_the_sum_of_all_shards(self, database: WorkerDatabase, clock: ManualClock):
        merchant = make_merchant()
        for shard, amount in ((1, 700), (2, -200)):
            with db.tenant_session(merchant) as session:
                shards.hold(session, merchant, frozenset({shard}))
                changes = ledger.Changes()
                changes.total("usd", leakage_cents=amount)
                changes.group("usd", "funds", amount_cents=amount, ghosts=1)
                changes.group("usd", "expired", amount_cents=amount, ghosts=3 - 2 * shard)  # opened in 1, ended in 2
                ledger.apply(session, merchant, changes)
        with db.tenant_session(merchant) as session:
            assert [row.leakage_cents for row in list_totals(session, merchant)] == [500]
            assert list_open_by_group(session, merchant, "usd") == [("funds", 500, 2)]

    def test_customers_for_each_shard_can_be_found(self):
        assert [min(shards.of_customer(each)) for each in customers_of_shards(2, 9)] == [2, 9]
