"""Whose tasks are claimed when there are too many: merchants in turn, priorities in proportion, from an index alone."""

from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from core import clock as core_clock
from core import db
from models.work import TaskLane
from services.tasks import claim_repository, service, upkeep
from services.tasks.turns import Turns
from tests.services.tasks.support import claim, put, rows

pytestmark = pytest.mark.usefixtures("database", "clock")

_FILL = text("""
insert into scheduled_tasks
    (state, kind, lane, merchant_id, priority, run_at, due, created_at, correlation_id, max_attempts, last_error)
select 'pending', 'probe', :lane, :merchant || (n % :merchants), :priority,
    cast(:now as timestamptz) + n * interval '1 millisecond' + :delay, :due, :now, '', 5, ''
from generate_series(1, :tasks) n
""")


def fill(tasks, merchant="big", *, merchants=1, priority=0, lane="quick", delay=timedelta(hours=-1)):
    """Many tasks of `merchants` merchants called big0, big1, …; those in the future are not due yet."""
    with db.system_session() as session:
        session.execute(
            _FILL,
            {
                "tasks": tasks,
                "merchant": merchant,
                "merchants": merchants,
                "priority": priority,
                "lane": lane,
                "delay": delay,
                "due": delay <= timedelta(),
                "now": core_clock.now(),
            },
        )


def merchants_of(tasks):
    return Counter(task.merchant_id for task in tasks)


class TestMerchants:
    def test_ten_tasks_behind_a_hundred_thousand_are_in_the_first_batch(self):
        fill(100_000)
        for _ in range(10):
            put(merchant_id="small")
        assert merchants_of(claim(100)) == {"big0": 90, "small": 10}

    def test_and_behind_a_flood_of_a_higher_priority(self):
        fill(20_000, priority=10)
        for _ in range(10):
            put(merchant_id="small")
        assert merchants_of(claim(100))["small"] == 10

    def test_everyone_is_served_before_anyone_is_served_twice(self):
        fill(1000, merchants=250)
        turns, served = Turns(), Counter()
        for _ in range(3):
            served += merchants_of(claim(100, turns=turns))
        assert len(served) == 250
        assert max(served.values()) == 2
        assert sum(served.values()) == 300

    def test_in_a_lane_of_one_too(self):
        fill(50, "a", lane="long")
        fill(50, "b", lane="long")
        turns = Turns()
        taken = [claim(1, lane=TaskLane.LONG, turns=turns)[0].merchant_id for _ in range(6)]
        assert taken == ["a0", "b0"] * 3

    def test_the_platforms_own_tasks_take_their_turn(self):
        fill(500)
        put(merchant_id=None)
        assert merchants_of(claim(10)) == {"big0": 9, None: 1}

    def test_a_merchant_whose_tasks_others_have_locked_holds_up_nobody(self):
        fill(30)
        small = put(merchant_id="small")
        with db.system_session() as other:
            other.execute(text("select id from scheduled_tasks where merchant_id = 'big0' for update"))
            assert [task.id for task in claim(100)] == [small]


class TestPriorities:
    def test_each_gets_four_times_what_the_next_gets(self):
        for priority in (10, 0, -10):
            fill(300, f"p{priority}:", priority=priority)
        assert merchants_of(claim(84)) == {"p10:0": 64, "p0:0": 16, "p-10:0": 4}

    def test_and_the_higher_runs_first(self):
        fill(50, "low", priority=0)
        fill(50, "high", priority=10)
        assert [task.merchant_id for task in claim(10)] == ["high0"] * 8 + ["low0"] * 2

    def test_in_batches_of_one_none_is_starved(self):
        fill(100, "low", priority=-10, lane="long")
        fill(100, "high", priority=10, lane="long")
        turns = Turns()
        taken = Counter(claim(1, lane=TaskLane.LONG, turns=turns)[0].merchant_id for _ in range(40))
        assert taken == {"high0": 30, "low0": 10}

    def test_what_one_leaves_goes_to_the_other(self):
        fill(3, "high", priority=10)
        fill(300, "low")
        assert merchants_of(claim(100)) == {"high0": 3, "low0": 97}


class TestSuspects:
    def test_one_behind_a_flood_of_higher_priority_is_tried_within_eight_claims(self):
        fill(5000, priority=10)
        suspect = put(merchant_id="m1")
        rows("update scheduled_tasks set deaths = 1 where id = :id returning id", id=suspect)
        turns = Turns()
        batches = [[task.id for task in claim(10, turns=turns)] for _ in range(8)]
        assert [suspect] in batches
        assert sum(suspect in batch for batch in batches) == 1


class TestDue:
    def test_what_was_noticed_to_be_due_stays_due_when_the_clock_jumps_back(self, clock):
        put(run_at=clock.now() + timedelta(minutes=1))
        clock.advance(timedelta(minutes=1))
        assert claim(lane=TaskLane.LONG) == []
        clock.advance(timedelta(hours=-1))
        assert len(claim()) == 1

    def test_a_lane_knows_of_its_own_only(self, clock):
        put("hunt", run_at=clock.now() + timedelta(minutes=1))

        def waiting():
            with db.system_session() as session:
                assert upkeep.lanes_with_due(session, [TaskLane.QUICK]) == set()
                return upkeep.lanes_with_due(session)

        assert waiting() == set()
        clock.advance(timedelta(minutes=1))
        assert waiting() == {TaskLane.LONG}
        assert len(claim()) == 1
        assert waiting() == set()


class TestPlan:
    """The claim walks one index, whatever waits and whatever the statistics know of it."""

    @pytest.fixture(params=["of an empty queue", "fresh"])
    def _statistics(self, request, database):
        self._owner(database, "analyze scheduled_tasks")
        fill(20_000, merchants=500)
        fill(20_000)
        fill(20_000, "future", merchants=20_000, delay=timedelta(hours=5))
        put(merchant_id="small")
        if request.param == "fresh":
            self._owner(database, "analyze scheduled_tasks")
        yield
        self._owner(database, "delete from scheduled_tasks; analyze scheduled_tasks")

    def _owner(self, database, statement):
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute("set session_replication_role = replica")
            owner.execute(statement)

    @pytest.mark.usefixtures("_statistics")
    def test_no_row_is_read_that_is_not_offered(self, clock):
        parameters = {
            "owner": "me",
            "limit": 100,
            "lane": "quick",
            "until": clock.now(),
            "priorities": [],
            "merchants": [],
            "number": 0,
            "now": clock.now(),
            "promoted_at_once": 100,
        }
        statement = f"explain (analyze, format json) {claim_repository.claim_statement(of_kinds=False).text}"
        with db.system_session() as session:
            claim_repository.walk_indexes(session)
            [plan] = session.execute(text(statement), parameters).scalar_one()
            session.rollback()
        scans = [node for node in _nodes(plan["Plan"]) if node.get("Relation Name") == "scheduled_tasks"]
        assert {scan.get("Index Name") for scan in scans if "Scan" in scan["Node Type"]} == {
            "ix_scheduled_tasks_claim",
            "ix_scheduled_tasks_waiting",  # what has become due
            "pk_scheduled_tasks",
        }
        read = sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans if "Scan" in scan["Node Type"])
        assert read < 1000  # of 60,000
        assert all(scan.get("Rows Removed by Filter", 0) == 0 for scan in scans)


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def test_a_claim_among_many_tasks_is_complete():
    """Nothing is lost and nothing claimed twice on the way through, whatever the shape of what waits."""
    fill(700, merchants=130, priority=10)
    fill(700, merchants=3)
    fill(700, "other", merchants=700, priority=-10)
    turns, taken = Turns(), []
    with db.system_session() as session:
        while batch := service.claim(session, "me", 90, turns=turns):
            taken += [task.id for task in batch]
    assert len(taken) == len(set(taken)) == 2100
