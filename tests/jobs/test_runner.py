"""Running tasks: every ending a handler can have, and nothing settled that is not ours."""

import signal
import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from core import db, queue
from jobs import leases, registry, runner
from jobs.limits import Alarm
from jobs.runner import Runner, run_due
from services.tasks import service, upkeep
from tests.jobs import probe
from tests.services.tasks.support import put, row, rows, states

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@pytest.fixture(autouse=True)
def _probes() -> Iterator[None]:
    with probe.registered():
        yield
    queue.disconnect()


def do(action: str = "return", **options):
    payload = {"do": action, **options.pop("payload", {})}
    return put(payload=payload, **options)


class TestEndings:
    def test_done(self, clock):
        task_id = do(payload={"result": {"n": 1}})
        assert run_due() == 1
        assert (row(task_id)["state"], row(task_id)["result"]) == ("done", {"n": 1})
        assert run_due() == 0

    def test_nothing_returned(self):
        task_id = do()
        run_due()
        assert row(task_id)["result"] == {}

    def test_a_failure_is_kept_and_tried_again(self, clock, caplog):
        task_id = do("fail")
        Runner(chance=lambda: 0.5).run_due()
        found = row(task_id)
        assert (found["state"], found["attempts"]) == ("pending", 1)
        assert found["last_error"] == "ValueError: attempt 1 of [redacted]"
        assert found["run_at"] == clock.now() + timedelta(seconds=5)
        assert "_fail" in caplog.text  # the traceback

    def test_a_poisoned_task_ends_dead_and_harms_no_other(self, clock):
        poisoned, good = do("fail"), [do() for _ in range(3)]
        for _ in range(7):
            run_due()
            clock.advance(timedelta(hours=1))
        assert (row(poisoned)["state"], row(poisoned)["attempts"]) == ("dead", 5)
        assert {row(task_id)["state"] for task_id in good} == {"done"}

    def test_a_rate_limit_is_no_failure(self, clock):
        task_id = do("retry")
        for _ in range(8):
            assert run_due() == 1
            assert row(task_id)["run_at"] == clock.now() + timedelta(minutes=3)
            clock.advance(timedelta(minutes=3))
        assert (row(task_id)["attempts"], row(task_id)["state"]) == (0, "pending")
        assert row(task_id)["last_error"] == "rate limit"

    def test_discarded(self):
        task_id = do("discard")
        run_due()
        assert (row(task_id)["state"], row(task_id)["result"]) == ("done", {"discarded": "paid already"})

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("nonsense", "No handler is registered"), ("deliver_webhook", "not built yet: jobs.deliver_webhook")],
    )
    def test_unknown_kinds_are_dead_at_once(self, kind, message):
        task_id = put(kind)
        run_due()
        assert row(task_id)["state"] == "dead"
        assert message in row(task_id)["last_error"]

    def test_a_broken_import_is_a_failure_to_try_again(self, monkeypatch):
        monkeypatch.setitem(registry.KINDS, "probe", registry.Kind("tests.jobs.broken_probe"))
        task_id = do()
        run_due()
        assert row(task_id)["state"] == "pending"
        assert "no_such_module" in row(task_id)["last_error"]

    @pytest.mark.parametrize(("action", "code"), [("huge", "task_result_too_large"), ("nul", "task_data_not_storable")])
    def test_results_that_cannot_be_kept(self, action, code):
        bad, good = do(action), do()
        assert run_due() == 2
        assert (row(bad)["state"], row(good)["state"]) == ("dead", "done")
        assert row(bad)["last_error"].startswith(code)

    def test_a_handler_that_exits_fails_like_any_other(self):
        task_id = do("exit")
        run_due()
        assert (row(task_id)["state"], row(task_id)["attempts"]) == ("pending", 1)

    def test_ctrl_c_gives_everything_back(self):
        def interrupt(task):
            raise KeyboardInterrupt

        probe.hooks["interrupt"] = interrupt
        first, second, third = do(), do("hook", payload={"hook": "interrupt"}), do()
        with pytest.raises(KeyboardInterrupt):
            run_due()
        assert [row(task_id)["state"] for task_id in (first, second, third)] == ["done", "pending", "pending"]
        assert [row(task_id)["attempts"] for task_id in (second, third)] == [0, 0]


class TestRound:
    def test_follow_ups_run_in_the_same_call_under_the_same_correlation_id(self):
        task_id = do("follow")
        assert run_due() == 2
        first, second = rows("select correlation_id, result from scheduled_tasks order by id")
        assert first["correlation_id"] == second["correlation_id"] == row(task_id)["result"]["correlation"]

    def test_limit_and_kinds(self):
        do(), do(), put("nonsense")
        assert run_due(1) == 1
        assert run_due(kinds=["probe"]) == 1
        assert states().count("pending") == 1

    def test_pages_hear_of_a_merchant_once_a_batch(self, redis_url):
        with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as inbox:
            inbox.subscribe(queue.CHANGED_CHANNEL)
            inbox.get_message(timeout=5)  # the subscription itself
            for number in range(6):
                do(merchant_id=f"m{number % 2}")
            do()
            run_due()
            client.publish(queue.CHANGED_CHANNEL, "end")
            heard = []
            while "end" not in heard:
                if message := inbox.get_message(timeout=5):
                    heard.append(message["data"].decode())
        assert sorted(heard) == ["end", "m0", "m1"]

    def test_another_worker_is_asked_to_share_a_full_batch(self):
        asked = []
        for _ in range(5):
            do()
        assert Runner().run_due(10, batch=2, on_more=lambda: asked.append(1)) == 5
        assert len(asked) == 2


class TestLeases:
    def test_a_lost_lease_is_noticed_and_nothing_overwritten(self, clock, caplog):
        def slow(task):
            clock.advance(leases.LEASE * 2)
            with db.system_session() as session:
                upkeep.rescue(session, upkeep.list_expired(session))
                [taken] = service.claim(session, "quicker", 1)
                taken_by.append(taken)
            return {"by": "slow"}

        taken_by = []
        probe.hooks["slow"] = slow
        task_id = do("hook", payload={"hook": "slow"})
        Runner().run_due(1)
        assert (row(task_id)["state"], row(task_id)["lease_owner"]) == ("running", taken_by[0].lease_owner)
        assert "task.lease_lost" in caplog.text

    def test_what_was_lost_while_waiting_in_the_batch_is_not_started(self, monkeypatch):
        def lose_the_other(task):
            rows("update scheduled_tasks set lease_owner = 'other' where id = :id returning id", id=second)
            beat.wait(10)
            return {}

        beat = threading.Event()
        monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
        renew = leases.LeaseKeeper.renew

        def counted(keeper):
            renew(keeper)
            if keeper._lost:
                beat.set()

        monkeypatch.setattr(leases.LeaseKeeper, "renew", counted)
        probe.hooks["lose"] = lose_the_other
        do("hook", payload={"hook": "lose"})
        second = do()
        run_due()
        assert [task.payload["do"] for task in probe.seen] == ["hook"]
        assert row(second)["lease_owner"] == "other"

    def test_heartbeats_keep_a_long_task(self, clock, monkeypatch):
        def outlive(task):
            clock.advance(leases.LEASE * 0.9)
            assert beat.wait(10)
            clock.advance(leases.LEASE * 0.9)
            with db.system_session() as session:
                assert upkeep.list_expired(session) == []
            return {}

        beat = threading.Event()
        monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
        renew = leases.LeaseKeeper.renew

        def counted(keeper):
            moved = clock.now() != started
            renew(keeper)
            if moved:
                beat.set()

        started = clock.now()
        monkeypatch.setattr(leases.LeaseKeeper, "renew", counted)
        probe.hooks["outlive"] = outlive
        task_id = do("hook", payload={"hook": "outlive"})
        run_due()
        assert row(task_id)["state"] == "done"

    def test_a_task_no_signal_reaches_loses_its_lease(self, monkeypatch):
        monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
        monkeypatch.setattr(leases, "OVERDUE_SECONDS", 0.05)
        stuck = threading.Event()
        probe.hooks["stuck"] = lambda task: {"noticed": stuck.wait(10)}
        with probe.registered(limit=0.01):
            task_id = do("hook", payload={"hook": "stuck"})
            Runner(on_stuck=stuck.set).run_due()
        assert row(task_id)["result"] == {"noticed": True}

    def test_postgres_restarting_between_the_work_and_its_record(self, monkeypatch):
        monkeypatch.setattr(runner, "SETTLE_PAUSE", 0.0)
        write = runner._Batch._write
        troubles = [OperationalError("select", {}, psycopg.OperationalError("gone"))] * 3

        def troubled(batch):
            if troubles:
                raise troubles.pop()
            write(batch)

        monkeypatch.setattr(runner._Batch, "_write", troubled)
        task_id = do()
        run_due()
        assert (row(task_id)["state"], troubles) == ("done", [])

    def test_redis_away_does_not_matter(self, monkeypatch):
        def away(*args, **kwargs):
            raise redis.ConnectionError("away")

        monkeypatch.setattr(redis.client.Pipeline, "execute", away)
        task_id = do(merchant_id="m1")
        run_due()
        assert row(task_id)["state"] == "done"


class TestStopping:
    def test_the_task_under_way_ends_and_the_rest_is_given_back(self):
        working = Runner()
        probe.hooks["stop"] = lambda task: working.stop(60)
        first, second = do("hook", payload={"hook": "stop"}), do()
        assert working.run_due() == 2
        assert (row(first)["state"], row(second)["state"], row(second)["attempts"]) == ("done", "pending", 0)
        assert working.run_due() == 0
        assert run_due() == 1

    def test_one_that_takes_too_long_is_given_back_too(self):
        working = Runner(alarms=True)
        probe.hooks["stop"] = lambda task: (working.stop(0.01), probe._hang(task))
        task_id = do("hook", payload={"hook": "stop"})
        working.run_due()
        assert (row(task_id)["state"], row(task_id)["attempts"]) == ("pending", 0)

    def test_a_thread_that_does_not_end_is_left_with_nothing(self):
        working, started, go = Runner(), threading.Event(), threading.Event()

        def wait(task):
            started.set()
            go.wait(10)

        probe.hooks["wait"] = wait
        task_id = do("hook", payload={"hook": "wait"})
        thread = threading.Thread(target=working.run_due)
        thread.start()
        assert started.wait(10)
        working.stop(0)
        working.finish()
        assert (row(task_id)["state"], row(task_id)["attempts"]) == ("pending", 0)
        go.set()
        thread.join(10)
        assert row(task_id)["state"] == "pending"


class TestTimeLimit:
    def test_a_task_that_never_returns_fails(self):
        with probe.registered(limit=0.05):
            hanging, good = do("hang"), do()
            assert Runner(alarms=True).run_due() == 2
        assert (row(hanging)["state"], row(good)["state"]) == ("pending", "done")
        assert row(hanging)["last_error"] == "It took longer than 0:00:00.050000."

    def test_one_that_waits_for_postgres_is_cut_off_and_leaves_no_broken_connection(self):
        def sleep(task):
            with db.tenant_session("m1") as session:
                session.execute(text("select pg_sleep(60)"))

        with probe.registered(limit=0.2):
            probe.hooks["sleep"] = sleep
            waiting = do("hook", payload={"hook": "sleep"})
            follow = [do("follow", merchant_id="m1") for _ in range(8)]
            assert Runner(alarms=True).run_due() == 17
        assert row(waiting)["last_error"].startswith("It took longer")
        assert {row(task_id)["state"] for task_id in follow} == {"done"}

    def test_a_former_timer_goes_on(self):
        rang = []
        former = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
        delay, interval = signal.setitimer(signal.ITIMER_REAL, 30)
        try:
            with Alarm().limited(5):
                assert signal.getitimer(signal.ITIMER_REAL)[0] <= 5
            assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30
        finally:
            signal.signal(signal.SIGALRM, former)
            signal.setitimer(signal.ITIMER_REAL, delay, interval)
        assert rang == []
