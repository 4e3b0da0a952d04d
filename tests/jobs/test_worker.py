"""Real worker processes: woken, stopped, killed, and without Redis."""

import signal
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import redis

from core import clock, db, queue
from jobs import janitor, registry, worker
from tests.jobs import probe
from tests.jobs.processes import Process, process
from tests.services.tasks.support import put, row, rows
from tests.support import environment
from tests.support.servers import redis_of_worker, wait_for_redis
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def client(redis_url) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as opened:
        yield opened
    queue.disconnect()


def ready(*arguments: str, **options: object):
    return process("worker", *arguments, **options)


def started(running: Process) -> Process:
    running.wait_for("worker.started")
    return running


def state(task_id) -> str:
    return row(task_id)["state"]


def until(task_id, wanted: str) -> None:
    wait_until(lambda: state(task_id) == wanted, what=f"task {task_id} {wanted}")


class TestWaking:
    def test_an_announcement_is_enough(self, client):
        with ready() as running:
            started(running)
            delays = []
            for _ in range(20):
                task_id = put(payload={"do": "report"})
                committed = time.perf_counter()
                assert queue.announce_work()
                assert client.blpop([probe.RAN], timeout=10) == (probe.RAN, str(task_id))
                delays.append(time.perf_counter() - committed)
            assert statistics.median(delays) < 1  # it was woken, nobody polled
            assert "[SECURITY] Vault self-test passed: AES-256-GCM Active." in running.lines

    def test_what_waited_before_it_started(self, client):
        task_id = put(payload={"do": "report"})
        with ready() as running:
            started(running)
            until(task_id, "done")

    def test_a_long_task_holds_up_no_quick_one(self, client):
        with ready() as running:
            started(running)
            long = put("long_probe", payload={"do": "wait"})
            queue.announce_work()  # nobody has to know of lanes
            assert client.blpop([probe.RAN], timeout=10) == (probe.RAN, str(long))
            quick = put(payload={"do": "report"})
            queue.announce_work()
            until(quick, "done")
            assert state(long) == "running"
            client.rpush(probe.GO, 1)
            until(long, "done")

    def test_what_falls_due_in_a_moment_is_run_at_that_moment(self, client):
        """No Sentinel looks here: whoever found nothing to do yet comes back by itself."""
        with ready() as running:
            started(running)
            now = clock.now()
            later, soon = (put(payload={"do": "report"}, run_at=now + timedelta(seconds=each)) for each in (0.8, 0.4))
            assert queue.announce_work()
            assert client.blpop([probe.RAN], timeout=20) == (probe.RAN, str(soon))
            assert clock.now() >= now + timedelta(seconds=0.4)
            assert client.blpop([probe.RAN], timeout=20) == (probe.RAN, str(later))
            assert clock.now() >= now + timedelta(seconds=0.8)

    def test_a_lane_alone(self, client):
        quick, long = put(), put("long_probe")
        with ready("--lane", "long") as running:
            started(running)
            until(long, "done")
            assert state(quick) == "pending"

    def test_many_announcements_are_one_job(self, client):
        for _ in range(50):
            assert queue.announce_work()
        assert queue.task_queue().count == 1
        job = queue.task_queue().jobs[0]
        assert (job.func_name, job.args, job.timeout) == ("jobs.worker.run_batch", [queue.TASK_QUEUE], -1)

    def test_an_announcement_during_a_batch_is_not_lost(self, client):
        with probe.registered():
            queue.announce_work()

            def meanwhile(task):
                rows("select 1")
                second.append(put())
                assert queue.announce_work()
                return {}

            second: list[int | None] = []
            probe.hooks["meanwhile"] = meanwhile
            put(payload={"do": "hook", "hook": "meanwhile"})
            before = queue.task_queue().count
            assert worker.run_batch() == 2
            assert queue.task_queue().count == before + 1


class TestStopping:
    def test_idle(self, client):
        with ready() as running:
            started(running)
            running.signal(signal.SIGTERM)
            assert running.end(10) == 0
            assert "worker.stopped" in running.events()

    def test_the_task_under_way_ends_and_the_rest_is_given_back(self, client):
        tasks = [put(payload={"do": "wait"}) for _ in range(3)]
        with ready() as running:
            started(running)
            client.blpop([probe.RAN], timeout=10)
            running.signal(signal.SIGTERM)
            client.rpush(probe.GO, 1)
            assert running.end(15) == 0
        assert [state(task_id) for task_id in tasks] == ["done", "pending", "pending"]
        assert [row(task_id)["attempts"] for task_id in tasks[1:]] == [0, 0]

    def test_what_cannot_be_waited_for_is_given_back(self, client):
        quick, long = put(payload={"do": "wait"}), put("long_probe", payload={"do": "wait"})
        with ready() as running:
            started(running)
            for _ in range(2):
                client.blpop([probe.RAN], timeout=10)
            running.signal(signal.SIGTERM)
            assert running.end(30) == 0
        assert (state(quick), state(long)) == ("pending", "pending")
        assert (row(quick)["deaths"], row(long)["deaths"]) == (0, 0)


class TestDying:
    def test_a_killed_process_loses_nothing(self, client):
        task_id, behind = put(payload={"do": "wait"}), put()
        with ready() as running:
            started(running)
            client.blpop([probe.RAN], timeout=10)
            running.signal(signal.SIGKILL)
            running.end()
        assert (state(task_id), state(behind)) == ("running", "running")
        assert _rescue() == 2
        assert [(row(held)["deaths"], row(held)["suspect"]) for held in (task_id, behind)] == [(0, True)] * 2
        client.rpush(probe.GO, 1)
        with ready() as running:
            started(running)
            until(task_id, "done")
            until(behind, "done")

    def test_a_task_that_kills_its_process_is_dead_after_three_and_alone(self, client):
        killer, innocent = put(payload={"do": "die"}), put()
        for _ in range(3):
            with ready() as running:
                assert running.end() == -signal.SIGKILL
            _rescue()
        assert (state(killer), row(killer)["deaths"]) == ("dead", 3)
        with ready() as running:
            started(running)
            until(innocent, "done")
        assert row(innocent)["deaths"] == 0

    def test_a_task_that_never_returns_fails_and_the_worker_goes_on(self, client):
        hanging, good = put(payload={"do": "hang"}, priority=1), put()
        with ready(limit=0.2) as running:
            started(running)
            until(good, "done")
        assert (state(hanging), row(hanging)["attempts"]) == ("pending", 1)


def _rescue() -> int:
    """What the Sentinel does some seconds later."""
    rows(
        "update scheduled_tasks set leased_until = leased_until - interval '1 day' where state = 'running' returning 1"
    )
    with db.system_session() as session:
        return janitor.rescue(session)


class TestWithoutRedis:
    def test_work_goes_on(self, database):
        with ready(env={"REDIS_URL": "redis://127.0.0.1:1/0"}) as running:
            started(running)
            running.wait_for("worker.redis_away")
            task_id, long = put(), put("long_probe")
            until(task_id, "done")
            until(long, "done")
            running.signal(signal.SIGTERM)
            assert running.end(15) == 0
        assert running.events().count("queue.redis_away") == 1

    def test_flushed(self, client):
        with ready() as running:
            started(running)
            client.flushall()
            task_id = put(payload={"do": "report"})
            queue.announce_work()
            until(task_id, "done")

    def test_killed_connections(self, client):
        with ready() as running:
            started(running)
            client.execute_command("client", "kill", "type", "normal", "skipme", "yes")
            task_id = put(payload={"do": "report"})
            queue.disconnect()
            queue.announce_work()
            until(task_id, "done")

    def test_a_server_killed_and_started_again(self, database, tmp_path):
        server = redis_of_worker(str(tmp_path), "own")
        serving = server.start()
        wait_for_redis(server.url)
        with environment.changed(REDIS_URL=server.url), ready() as running:
            queue.disconnect()
            started(running)
            serving.kill()
            serving.wait(10)
            task_id = put()
            until(task_id, "done")
            serving = server.start()
            try:
                wait_for_redis(server.url)
                running.wait_for("worker.redis_back")
                task_id = put()
                wait_until(queue.announce_work, what="Redis is found again")
                until(task_id, "done")
            finally:
                serving.kill()
                serving.wait(10)
        queue.disconnect()


class TestPostgresAway:
    def test_killed_backends(self, client, database):
        waiting = put(payload={"do": "wait"})
        with ready() as running:
            started(running)
            client.blpop([probe.RAN], timeout=10)
            with psycopg.connect(database.admin_url, autocommit=True) as owner:
                owner.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and usename in ('phantom_system', 'phantom_app')"
                )
            client.rpush(probe.GO, 1)
            until(waiting, "done")
            task_id = put(payload={"do": "report"})
            queue.announce_work()
            until(task_id, "done")


class TestStartingWrong:
    @pytest.mark.parametrize("module", ["worker", "sentinel"])
    @pytest.mark.parametrize(
        ("env", "words"),
        [
            ({"ENCRYPTION_KEY": "short"}, "ENCRYPTION_KEY"),
            ({"DATABASE_SYSTEM_URL": "postgresql://nobody:secret@127.0.0.1:1/none"}, "DATABASE_SYSTEM_URL"),
        ],
        ids=["key", "database"],
    )
    def test_one_clear_line(self, redis_url, module, env, words):
        with process(module, env=env) as running:
            assert running.end() == 1
        last = running.lines[-1]
        assert words in last
        assert "cannot start" in last
        assert "secret" not in last
        assert not any("Traceback" in line for line in running.lines)

    def test_an_unknown_lane(self):
        with ready("--lane", "fast") as running:
            assert running.end() == 2


def test_every_kind_of_the_product_is_known():
    assert {"handle_event", "hunt", "pulse", "send_message", "dunning_retry"} <= set(registry.KINDS)
