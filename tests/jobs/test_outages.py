"""A full disk and a silent Redis: workers and Sentinel stay, keep calm, lose nothing and double nothing."""

import contextlib
import signal
from collections.abc import Iterator

import psycopg
import pytest
import redis
from sqlalchemy.exc import OperationalError

from core import clock as core_clock
from core import queue
from tests.jobs import probe
from tests.jobs.processes import process
from tests.services.handshake.support import connect_account
from tests.services.tasks.support import put, row, rows
from tests.support import environment
from tests.support.servers import redis_of_worker, wait_for_redis
from tests.support.silent import silent_server
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database")

_FULL = """
create or replace function no_space() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger no_space before insert or update on scheduled_tasks for each statement execute function no_space()
"""


@pytest.fixture
def client(redis_url) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as opened:
        yield opened
    queue.disconnect()


@pytest.fixture
def owner(database) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


@contextlib.contextmanager
def full_disk(owner) -> Iterator[None]:
    """PostgreSQL has no room for anything that has to do with tasks (SQLSTATE 53100)."""
    owner.execute(_FULL)
    try:
        yield
    finally:
        owner.execute("drop trigger no_space on scheduled_tasks; drop function no_space")


def until(task_id, wanted, timeout=30.0):
    wait_until(lambda: row(task_id)["state"] == wanted, timeout=timeout, what=f"task {task_id} {wanted}")


class TestFullDisk:
    def test_scheduling_fails_with_what_caused_it(self, owner):
        with full_disk(owner), pytest.raises(OperationalError, match="No space left"):
            put()
        assert rows("select id from scheduled_tasks") == []

    def test_what_cannot_be_claimed_waits(self, client, owner):
        task_id = put(payload={"do": "report"})
        with full_disk(owner), process("worker") as running:
            running.wait_for("worker.database_away")
            assert row(task_id)["state"] == "pending"
            queue.announce_work()
            wait_until(lambda: running.events().count("worker.database_away") >= 2, what="it tries again")
            owner.execute("alter table scheduled_tasks disable trigger no_space")
            wait_until(lambda: client.delete("phantom:wake:phantom-tasks") is not None, what="told")
            queue.announce_work()
            until(task_id, "done")
            assert client.lrange(probe.RAN, 0, -1) == [str(task_id)]
        assert (row(task_id)["attempts"], row(task_id)["deaths"]) == (1, 0)

    def test_what_ran_is_written_down_when_there_is_room_again(self, client, owner):
        first, second = put(payload={"do": "wait"}), put(payload={"do": "report"})
        with process("worker") as running:
            client.blpop([probe.RAN], timeout=20)
            with full_disk(owner):
                client.rpush(probe.GO, 1)
                running.wait_for("task.heartbeat_failed")
                assert row(first)["state"] == "running"
            until(first, "done")
            until(second, "done")
            running.signal(signal.SIGTERM)
            assert running.end() == 0
        assert client.lrange(probe.RAN, 0, -1) == [str(second)]  # and the first was taken from the list: each ran once
        assert [(row(task_id)["attempts"], row(task_id)["deaths"]) for task_id in (first, second)] == [(1, 0)] * 2
        assert len(running.lines) < 60  # it waited between its tries

    def test_the_sentinel_schedules_when_there_is_room_again(self, redis_url, owner):
        with core_clock.using(core_clock.SystemClock()):
            connect_account("acct_1", "m1")
            with full_disk(owner), process("sentinel") as running:
                running.wait_for("sentinel.database_away")
                owner.execute("alter table scheduled_tasks disable trigger no_space")
                # Whether a digest is among them depends on the day.
                made = "select id from scheduled_tasks where kind <> 'send_weekly_digest'"
                wait_until(lambda: len(rows(made)) == 3, what="a hunt, a pulse and a purge")
                running.signal(signal.SIGTERM)
                assert running.end(10) == 0
            assert running.events().count("sentinel.database_away") == 1
        queue.disconnect()


class TestSilentRedis:
    def test_workers_go_on_from_postgres_alone(self):
        with silent_server() as port, process("worker", env={"REDIS_URL": f"redis://127.0.0.1:{port}/0"}) as running:
            running.wait_for("worker.redis_away")
            tasks = [put(merchant_id="m1") for _ in range(20)] + [put("long_probe")]
            for task_id in tasks:
                until(task_id, "done", timeout=15)
            running.signal(signal.SIGTERM)
            assert running.end(15) == 0

    def test_one_that_falls_silent_is_left_and_found_again(self, tmp_path):
        server = redis_of_worker(str(tmp_path), "own")
        serving = server.start()
        try:
            wait_for_redis(server.url)
            with environment.changed(REDIS_URL=server.url), process("worker") as running:
                queue.disconnect()
                running.wait_for("worker.started")
                first = put()
                assert queue.announce_work()
                until(first, "done")
                serving.send_signal(signal.SIGSTOP)
                tasks = [put(), put("long_probe")]
                for task_id in tasks:
                    until(task_id, "done", timeout=20)
                serving.send_signal(signal.SIGCONT)
                running.wait_for("worker.redis_back")
                last = put()
                wait_until(queue.announce_work, what="Redis is found again")
                until(last, "done")
        finally:
            serving.send_signal(signal.SIGCONT)
            serving.kill()
            serving.wait(10)
            queue.disconnect()
