"""Running tasks: every ending a handler can have, and nothing settled that is not ours."""

import itertools
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
from services.integrations.stripe.errors import StripeRateLimitedError
from services.tasks import service, upkeep
from services.tasks.errors import Retry
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
        task_id, pauses = do("retry"), []
        for _ in range(8):
            assert Runner(chance=lambda: 0.5).run_due() == 1
            pauses.append(row(task_id)["run_at"] - clock.now())
            clock.advance(timedelta(minutes=10))
        assert [pause.total_seconds() / 60 for pause in pauses] == [2.25, 4.5, *[7.5] * 6]
        assert (row(task_id)["attempts"], row(task_id)["state"]) == (0, "pending")
        assert row(task_id)["last_error"] == "rate limit"

    def test_all_who_met_an_outage_do_not_come_back_together(self, clock):
        met = [do("retry") for _ in range(50)]
        run_due()
        pauses = [(row(task_id)["run_at"] - clock.now()).total_seconds() for task_id in met]
        assert 90 <= min(pauses) < 120 < 150 < max(pauses) <= 180

    def test_what_a_vendor_asks_for_is_waited_for(self, clock):
        def busy(task):
            asked = StripeRateLimitedError(retry_after=120.0)
            raise Retry(after=timedelta(seconds=30), reason="busy") from asked

        probe.hooks["busy"] = busy
        task_id = do("hook", payload={"hook": "busy"})
        Runner(chance=lambda: 0.0).run_due()
        assert row(task_id)["run_at"] == clock.now() + timedelta(seconds=135)

    def test_an_outage_without_end_ends_in_front_of_a_person(self, clock, monkeypatch):
        monkeypatch.setattr(service, "MOST_PAUSES", 3)
        task_id = do("retry")
        for _ in range(3):
            assert row(task_id)["state"] == "pending"
            run_due()
            clock.advance(timedelta(minutes=10))
        found = row(task_id)
        assert (found["state"], found["attempts"], found["last_error"]) == ("dead", 0, "rate limit")
        with db.system_session() as session:
            service.replay(session, task_id)
        run_due()
        assert (row(task_id)["state"], row(task_id)["put_off"]) == ("pending", 1)

    def test_a_moment_that_is_known_is_no_outage(self, clock, monkeypatch):
        def appointed(task):
            raise Retry(at=clock.now() + timedelta(hours=1), reason="quiet hours")

        monkeypatch.setattr(service, "MOST_PAUSES", 2)
        probe.hooks["appointed"] = appointed
        task_id = do("hook", payload={"hook": "appointed"})
        for _ in range(4):
            assert run_due() == 1
            assert row(task_id)["run_at"] == clock.now() + timedelta(hours=1)
            clock.advance(timedelta(hours=1))
        assert (row(task_id)["state"], row(task_id)["put_off"]) == ("pending", 0)

    def test_what_comes_back_at_once_has_its_turn_and_nothing_is_claimed_in_vain(self, clock, monkeypatch):
        claims, tries, genuine = itertools.count(), itertools.count(), service.claim

        def counted(*given, **named):
            next(claims)
            return genuine(*given, **named)

        def again(task):
            raise Retry(at=clock.now() + timedelta(hours=next(tries)), reason="in a moment, then in an hour")

        monkeypatch.setattr(service, "claim", counted)
        probe.hooks["again"] = again
        do("hook", payload={"hook": "again"})
        assert run_due() == 2
        assert next(claims) == 2

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


class TestFairness:
    """What comes while a batch runs waits for a turn of it and not for its end."""

    @pytest.fixture
    def ticking(self, monkeypatch):
        """Each look at the time is a fifth of a second later: a turn is some looks long, and nobody sleeps."""
        seconds = itertools.count(0, 0.2)
        monkeypatch.setattr(runner.time, "monotonic", lambda: next(seconds))

    @pytest.mark.usefixtures("ticking")
    @pytest.mark.parametrize("priority", [10, 0])
    def test_ten_tasks_that_come_while_the_first_of_a_flood_runs(self, priority):
        order = []

        def flood(task):
            if not order:
                for _ in range(10):
                    do("hook", payload={"hook": "small"}, merchant_id="small", priority=priority)
            order.append("flood")

        probe.hooks.update(flood=flood, small=lambda task: order.append("small"))
        for _ in range(500):
            do("hook", payload={"hook": "flood"}, merchant_id="flood")
        assert Runner().run_due(1000) == 510
        first, last = order.index("small"), len(order) - order[::-1].index("small")
        assert first <= 10
        assert last <= (20 if priority else 40)

    @pytest.mark.usefixtures("ticking")
    def test_what_is_given_back_is_as_it_was(self):
        tasks = [do(run_at=None) for _ in range(30)]
        before = [row(task_id) for task_id in tasks]
        assert Runner().run_due(1) == 1
        ran = len(probe.seen)
        assert [row(task_id) for task_id in tasks[ran:]] == before[ran:]

    @pytest.mark.usefixtures("ticking")
    def test_one_that_is_slow_is_not_claimed_with_a_hundred_others_again(self, monkeypatch):
        sizes, claim = [], service.claim

        def counted(*arguments, **named):
            claimed = claim(*arguments, **named)
            sizes.append(len(claimed))
            return claimed

        monkeypatch.setattr(runner.tasks, "claim", counted)
        for _ in range(150):
            do()
        assert Runner().run_due(1000) == 150
        assert sizes[0] == 100
        assert max(sizes[1:]) < 20

    def test_a_quick_batch_runs_to_its_end(self, monkeypatch):
        monkeypatch.setattr(runner, "TURN_SECONDS", 3600.0)
        released = []
        monkeypatch.setattr(runner.tasks, "release", lambda _, left: released.extend(left))
        for _ in range(150):
            do()
        assert Runner().run_due(1000) == 150
        assert released == []


class TestDeaths:
    """Of whom a process died is found out; whoever only lay in its hands keeps place and name."""

    def _die_of(self, number):
        """A process that dies of one of its tasks: nothing is written of what it held."""
        held = {"dead": False}

        def die(task):
            held["dead"] = True
            raise KeyboardInterrupt

        def unless_dead(call):
            return lambda *arguments, **named: None if held["dead"] else call(*arguments, **named)

        probe.hooks["die"] = die
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner._Batch, "_settle", unless_dead(runner._Batch._settle))
            patch.setattr(runner._Batch, "give_back", unless_dead(runner._Batch.give_back))
            if number is not None:
                patch.setitem(probe.hooks, "maybe", lambda task: die(task) if task.id == number else None)
            with pytest.raises(KeyboardInterrupt):
                Runner().run_due()

    def _rescue(self, clock):
        clock.advance(timedelta(minutes=2))
        with db.system_session() as session:
            return upkeep.rescue(session, upkeep.list_expired(session))

    def test_the_one_that_kills_is_found_at_the_second_death_and_dead_at_the_third(self, clock):
        batch = [do("hook", payload={"hook": "maybe"}, merchant_id="m1") for _ in range(6)]
        killer = batch[3]
        for deaths in ((0, 0, 0, 0, 0, 0), (0, 0, 0, 2, 0, 0)):
            self._die_of(killer)
            self._rescue(clock)
            assert tuple(row(task_id)["deaths"] for task_id in batch) == deaths
        self._die_of(killer)
        self._rescue(clock)
        assert (row(killer)["state"], row(killer)["deaths"]) == ("dead", 3)
        probe.hooks["maybe"] = lambda task: None
        run_due()
        assert {row(task_id)["state"] for task_id in batch if task_id != killer} == {"done"}

    def test_a_batch_of_a_hundred_comes_back_at_its_place_before_the_backlog(self, clock):
        held = [do(merchant_id="m1") for _ in range(100)]
        do("hook", payload={"hook": "die"}, merchant_id="m1", priority=1)
        self._die_of(None)
        for _ in range(1000):
            do(merchant_id="m1")
        clock.advance(timedelta(minutes=1))
        assert self._rescue(clock) == 100
        probe.hooks["die"] = lambda task: None
        probe.seen.clear()
        run_due(5000)
        position = {task.id: place for place, task in enumerate(probe.seen)}
        assert max(position[task_id] for task_id in held if task_id in position) <= 101

    def test_one_alone_is_a_suspect_at_once_and_runs_next_behind_others_floods(self, clock):
        alone = do("hook", payload={"hook": "die"}, merchant_id="m1")
        self._die_of(None)
        for merchant in range(40):
            for _ in range(25):
                do(merchant_id=f"other{merchant}", priority=10)
        self._rescue(clock)
        probe.hooks["die"] = lambda task: None
        probe.seen.clear()
        run_due(5000)
        assert [task.id for task in probe.seen].index(alone) <= 100
        assert row(alone)["deaths"] == 1


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
        assert working.run_due() == 1
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
