"""The doctor against an installation with one thing broken on purpose at a time: it says which, and what to do."""

import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from sqlalchemy import text
from typer.testing import CliRunner

from cli.__main__ import app
from cli.doctor import configuration, database, machine, running, senders
from cli.doctor.command import all_checks
from cli.doctor.findings import Check, Finding, Level, Trouble, Warn, examine
from core import db, queue
from core.clock import ManualClock
from core.embedded.process import free_port
from core.locks import lock_key
from jobs import janitor
from models.merchant import Merchant
from models.work import ProcessedEvent, ScheduledTask, TaskState
from sandbox.stripe.world import Settings as WorldSettings
from sandbox.stripe.world import World
from services.tasks.schedules import SENTINEL_LOCK
from services.vault import hash_keys
from services.vault import service as vault
from services.vault.secret import Secret
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant
from tests.support.post_office import PostOffice

Owner = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(database: WorkerDatabase) -> Iterator[Owner]:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def own_login(database: WorkerDatabase, owner: Owner) -> Iterator[str]:
    """A login of the application that is in no group. Roles belong to the whole server, which all test processes
    share: what is taken from `phantom_app` here, another process's test misses in the middle of its work."""
    name = f"doctor_{database.name}"
    owner.execute(f"create role {name}".encode())
    try:
        parts = urlsplit(database.url)
        with environment.changed(
            DATABASE_URL=parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl()
        ):
            yield name
    finally:
        owner.execute(f"drop role {name}".encode())


@pytest.fixture
def leader(database: WorkerDatabase) -> Iterator[None]:
    """A Sentinel that leads."""
    with db.system_engine().connect() as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": lock_key(SENTINEL_LOCK)})
        yield
        connection.execute(text("select pg_advisory_unlock_all()"))


def problem(look: Callable[[], str]) -> Trouble:
    """What a check that must find a problem says."""
    with pytest.raises(Trouble) as found:
        look()
    assert found.value.level is Level.PROBLEM
    assert found.value.remedy
    return found.value


def warning(look: Callable[[], str]) -> Trouble:
    with pytest.raises(Warn) as found:
        look()
    assert found.value.remedy
    return found.value


class TestFindings:
    def test_what_stands_on_something_broken_is_skipped_not_blamed(self) -> None:
        def broken() -> str:
            raise Trouble("it is broken", "mend it")

        checks = [Check("floor", broken), Check("wall", lambda: "stands", ("floor",)), Check("roof", lambda: "tight")]
        assert examine(checks) == [
            Finding("floor", Level.PROBLEM, "it is broken", "mend it"),
            Finding("wall", Level.SKIPPED, "needs: floor"),
            Finding("roof", Level.OK, "tight"),
        ]

    def test_a_warning_holds_what_stands_on_it(self) -> None:
        def shaky() -> str:
            raise Warn("it shakes", "look at it")

        assert [found.level for found in examine([Check("a", shaky), Check("b", lambda: "", ("a",))])] == [
            Level.WARNING,
            Level.OK,
        ]

    def test_every_check_needs_only_what_comes_before_it(self, tmp_path: Path) -> None:
        seen: set[str] = set()
        for check in all_checks(tmp_path):
            assert set(check.needs) <= seen
            seen.add(check.name)


class TestCommand:
    def call(self, folder: Path, *flags: str) -> Any:
        return CliRunner().invoke(app, ["--folder", str(folder), "doctor", *flags])

    def test_a_sound_installation_has_no_problem(
        self, database: WorkerDatabase, redis_url: str, leader: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(queue, "worker_heartbeats", lambda: [datetime.now(UTC)])
        outcome = self.call(tmp_path, "--json")
        told = json.loads(outcome.stdout)
        assert [found for found in told["findings"] if found["level"] == "problem"] == []
        assert (outcome.exit_code, told["problems"]) == (0, 0)
        assert all(found["remedy"] for found in told["findings"] if found["level"] == "warning")

    def test_a_problem_is_exit_code_one_and_its_remedy_is_on_the_line_below(
        self, database: WorkerDatabase, redis_url: str, tmp_path: Path
    ) -> None:
        outcome = self.call(tmp_path)  # no Sentinel leads
        assert outcome.exit_code == 1
        lines = outcome.stdout.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("✗ Sentinel"))
        assert lines[at + 1].strip() == "→ start `phantom sentinel`"
        assert "problems" in lines[-1]


class TestMachine:
    def test_a_folder_nobody_may_write_to(self) -> None:
        assert "cannot write" in problem(lambda: machine.writable(Path("/proc/phantom"))).detail

    def test_a_secret_that_others_can_read(self, tmp_path: Path) -> None:
        secret = tmp_path / "secrets.json"
        secret.write_text("{}")
        secret.chmod(0o640)
        assert str(secret) in problem(lambda: machine.private(tmp_path)).remedy
        secret.chmod(0o600)
        assert "1 files" in machine.private(tmp_path) or "2 files" in machine.private(tmp_path)

    @pytest.mark.parametrize(("free", "judge"), [(10**8, problem), (10**9, warning)])
    def test_a_disk_that_fills(
        self,
        free: int,
        judge: Callable[[Callable[[], str]], Trouble],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - free, free))
        assert "GB free" in judge(lambda: machine.disk(tmp_path)).detail


class TestConfiguration:
    @pytest.mark.parametrize("url", ["recover.example.com", "ftp://example.com", "https://example.com/app"])
    def test_a_public_url_that_no_browser_can_use(self, url: str) -> None:
        with environment.changed(PUBLIC_URL=url):
            assert "https://recover.example.com" in problem(configuration.public_url).remedy

    def test_links_to_this_machine_in_live_mode(self) -> None:
        live = {"PHANTOM_MODE": "live", "PHANTOM_CLOCK_FILE": "", "PHANTOM_DEMO_FILE": ""}
        with environment.changed(**live, PUBLIC_URL="http://localhost:3000"):
            assert "PUBLIC_URL" in warning(configuration.public_url).remedy
            assert "test key" in warning(configuration.stripe).detail

    def test_no_platform_key(self) -> None:
        with environment.changed(STRIPE_SECRET_KEY=""):
            assert "STRIPE_SECRET_KEY" in problem(configuration.stripe).remedy

    def test_no_secret_for_merchants_webhooks(self) -> None:
        with environment.changed(STRIPE_CONNECT_WEBHOOK_SECRET=""):
            assert "STRIPE_CONNECT_WEBHOOK_SECRET" in problem(configuration.webhooks).remedy

    def test_no_secret_for_the_platforms_webhooks(self) -> None:
        with environment.changed(STRIPE_WEBHOOK_SECRET=""):
            assert "STRIPE_WEBHOOK_SECRET" in warning(configuration.webhooks).remedy

    def test_a_stored_secret_whose_key_is_gone(self, database: WorkerDatabase, clock: ManualClock) -> None:
        merchant_id = make_merchant()
        assert configuration.stored_keys() == "all there for 1 merchants"
        former, new = os.environ["ENCRYPTION_KEY"], "22" * 32
        with environment.changed(
            ENCRYPTION_KEY=new, ENCRYPTION_KEY_VERSION="2", ENCRYPTION_KEYS=json.dumps({"1": former})
        ):
            with db.tenant_session(merchant_id) as session:
                merchant = session.get_one(Merchant, merchant_id)
                vault.seal_merchant_token(merchant, Secret("sk_test_1"))
            assert "key version 1 is still needed" in warning(configuration.stored_keys).detail
            with db.system_session() as session:
                assert hash_keys.keep(session) == 4
            assert configuration.stored_keys() == "all there for 1 merchants; in use: 2"
        found = problem(configuration.stored_keys)  # back on version 1 alone
        assert "key version 2" in found.detail
        assert "ENCRYPTION_KEYS" in found.remedy

    def test_links_need_the_key_before_this_one_for_ninety_days(
        self, database: WorkerDatabase, clock: ManualClock
    ) -> None:
        first, second = os.environ["ENCRYPTION_KEY"], "22" * 32
        assert "a Sentinel notes" in configuration.link_keys()
        with db.system_session() as session:
            hash_keys.keep(session)
        assert configuration.link_keys() == "version 1 since 2026-03-02"
        clock.advance(timedelta(days=10))
        both = {"ENCRYPTION_KEY": second, "ENCRYPTION_KEY_VERSION": "2", "ENCRYPTION_KEYS": json.dumps({"1": first})}
        with environment.changed(**both):
            with db.system_session() as session:
                hash_keys.keep(session)
            assert configuration.link_keys() == "version 2; links need version 1 until 2026-06-10"
        with environment.changed(**(both | {"ENCRYPTION_KEYS": "{}"})):
            clock.advance(timedelta(days=90) - timedelta(seconds=1))
            found = problem(configuration.link_keys)
            assert "links mailed before 2026-03-12 09:00 UTC do not open" in found.detail
            assert '{"1": "key"}, until 2026-06-10' in found.remedy
            clock.advance(timedelta(seconds=1))
            assert configuration.link_keys() == "version 2 since 2026-03-12"
        with environment.changed(**both):
            assert configuration.link_keys() == "version 2 since 2026-03-12; links need version 1 no longer"


LIVE = {"PHANTOM_MODE": "live", "PHANTOM_CLOCK_FILE": "", "PHANTOM_DEMO_FILE": "", "PUBLIC_URL": "https://a.example"}
TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "2" * 32, "TWILIO_FROM": "+15005550006"}


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """Resend and Twilio, both of which know the keys of these tests."""
    with PostOffice.of(World(WorldSettings())) as office:
        office.outbox.set("keys", ["re_test_platform"])
        office.outbox.set("twilio_accounts", {TWILIO["TWILIO_ACCOUNT_SID"]: TWILIO["TWILIO_AUTH_TOKEN"]})
        yield office


class TestSenders:
    def test_no_key_for_mail(self) -> None:
        with environment.changed(RESEND_API_KEY=""):
            assert "outbox" in warning(senders.mail).detail

    def test_a_key_that_resend_knows(self, office: PostOffice) -> None:
        assert senders.mail() == "Resend knows the key; from PHANTOM <billing@phantom.example>"
        assert office.calls == ["GET /emails"]  # looked at, nothing sent

    def test_a_key_that_was_revoked(self, office: PostOffice) -> None:
        office.outbox.set("keys", [])
        found = problem(senders.mail)
        assert "API key is invalid" in found.detail
        assert "RESEND_API_KEY" in found.remedy

    def test_a_provider_that_is_away(self) -> None:
        found = warning(senders.mail)  # nobody listens where the tests' settings point
        assert "does not answer" in found.detail
        assert "RESEND_API_BASE" in found.remedy

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("RESEND_API_KEY", "sk_live_0123456789", "begins with re_"),
            ("EMAIL_FROM", "Northwind", "no email address"),
            ("RESEND_WEBHOOK_SECRET", "whsec_dGVzdC1yZXNlbmQtd2ViaG9vay1zZWNyZXQ=,other", "begins with whsec_"),
        ],
    )
    def test_settings_that_cannot_be_what_they_should(
        self, name: str, value: str, said: str, office: PostOffice
    ) -> None:
        with environment.changed(**{name: value}):
            found = problem(senders.mail)
        assert said in found.detail
        assert name in found.remedy
        assert value not in found.detail + found.remedy
        assert office.calls == []

    def test_the_example_of_an_address_in_live_mode(self, office: PostOffice) -> None:
        with environment.changed(**LIVE):
            assert "EMAIL_FROM" in problem(senders.mail).remedy
        with environment.changed(**LIVE, EMAIL_FROM="Northwind <billing@northwind.com>"):
            assert "northwind.com" in senders.mail()

    def test_bounces_that_are_not_heard_of(self, office: PostOffice) -> None:
        with environment.changed(RESEND_WEBHOOK_SECRET=""):
            assert "RESEND_WEBHOOK_SECRET" in warning(senders.mail).remedy

    def test_no_texts_are_no_finding(self) -> None:
        assert "not set up" in senders.texts()

    @pytest.mark.parametrize("missing", sorted(TWILIO))
    def test_half_of_what_texts_need(self, missing: str) -> None:
        with environment.changed(**{**TWILIO, missing: ""}):
            found = problem(senders.texts)
        assert found.detail.startswith(f"{missing} not set")
        assert missing in found.remedy

    @pytest.mark.parametrize(
        ("name", "value"),
        [("TWILIO_ACCOUNT_SID", "SK" + "1" * 32), ("TWILIO_AUTH_TOKEN", "short"), ("TWILIO_FROM", "+1500555")],
    )
    def test_texts_settings_that_cannot_be_what_they_should(self, name: str, value: str, office: PostOffice) -> None:
        with environment.changed(**{**TWILIO, name: value}):
            assert name in problem(senders.texts).remedy
        assert office.calls == []

    def test_an_account_that_twilio_knows(self, office: PostOffice) -> None:
        with environment.changed(**TWILIO):
            assert senders.texts() == "Twilio knows the account; from +15005550006"
        assert [call.split()[0] for call in office.calls] == ["GET"]

    def test_a_token_that_was_changed(self, office: PostOffice) -> None:
        with environment.changed(**{**TWILIO, "TWILIO_AUTH_TOKEN": "3" * 32}):
            found = problem(senders.texts)
        assert "TWILIO_AUTH_TOKEN" in found.remedy
        assert "3" * 32 not in found.detail

    def test_twilio_away(self) -> None:
        with environment.changed(**TWILIO):
            assert "TWILIO_API_BASE" in warning(senders.texts).remedy


@pytest.mark.usefixtures("database")
class TestDatabase:
    def test_away(self) -> None:
        url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/phantom"
        with environment.changed(DATABASE_URL=url):
            found = problem(database.reach)
        assert "secret" not in found.detail

    def test_behind(self, owner: Owner) -> None:
        [(head,)] = owner.execute("select version_num from alembic_version").fetchall()
        owner.execute("update alembic_version set version_num = '0001'")
        try:
            assert "phantom migrate" in problem(database.schema).remedy
        finally:
            owner.execute("update alembic_version set version_num = %s", (head,))
        assert head in database.schema()

    def test_a_table_without_its_wall(self, owner: Owner) -> None:
        owner.execute("alter table recoveries no force row level security")
        try:
            assert "recoveries" in problem(database.walls).detail
        finally:
            owner.execute("alter table recoveries force row level security")
        assert "forced" in database.walls()

    def test_a_partition_that_can_be_read_past_its_table(self, owner: Owner) -> None:
        owner.execute("grant select on system_logs_default to phantom_application")
        try:
            assert "system_logs_default" in problem(database.walls).detail
        finally:
            owner.execute("revoke select on system_logs_default from phantom_application")

    def test_a_login_that_is_too_powerful(self, database_url_of_owner: str) -> None:
        with environment.changed(DATABASE_URL=database_url_of_owner):
            assert "is a superuser" in problem(database.logins).detail

    def test_a_login_with_both_groups_rights(self, owner: Owner, own_login: str) -> None:
        owner.execute(f"grant phantom_application, phantom_platform to {own_login}".encode())
        remedy = problem(database.memberships).remedy
        assert remedy == f"as the owner: revoke phantom_platform from {own_login}"
        owner.execute(remedy.removeprefix("as the owner: ").encode())  # the remedy is one
        assert "alone" in database.memberships()

    def test_a_login_without_its_group(self, owner: Owner, own_login: str) -> None:
        assert "not in phantom_application" in problem(database.memberships).detail
        owner.execute(f"grant phantom_application to {own_login}".encode())
        assert "alone" in database.memberships()

    @pytest.mark.parametrize("change", ["reset (autovacuum_vacuum_scale_factor)", "set (autovacuum_enabled = false)"])
    @pytest.mark.parametrize("table", ["scheduled_tasks", "usage_logs_default"])
    def test_vacuum_settings_that_were_lost(self, owner: Owner, table: str, change: str) -> None:
        owner.execute(f"alter table {table} {change}".encode())
        try:
            found = problem(database.autovacuum)
            assert table in found.detail
            for statement in found.remedy.removeprefix("as the owner: ").split("; "):
                owner.execute(statement.encode())  # the remedy is one
            assert "set on" in database.autovacuum()
        finally:
            factor = "0.05" if table.startswith("usage") else "0.01"
            owner.execute(f"alter table {table} reset (autovacuum_enabled)".encode())
            owner.execute(f"alter table {table} set (autovacuum_vacuum_scale_factor = {factor})".encode())

    def test_partitions_that_nobody_makes(self, owner: Owner, clock: ManualClock) -> None:
        clock.current = datetime(2024, 6, 2, tzinfo=UTC)
        assert "system_logs_2024_07" in warning(database.partitioned).detail
        janitor.keep_partitions()
        assert database.partitioned() == "ahead of time"

    def test_clocks_apart(self) -> None:
        now = datetime(2026, 3, 2, tzinfo=UTC)
        later = now + timedelta(seconds=1)
        assert database.judged_apart(now, now, later) == 0
        assert database.judged_apart(now - timedelta(seconds=5), now, later) == 5
        assert database.judged_apart(later + timedelta(seconds=5), now, later) == 5
        assert "apart" in database.clocks()

    @pytest.mark.parametrize(("apart", "judge"), [(5.0, warning), (60.0, problem)])
    def test_a_database_that_lives_in_another_time(
        self, apart: float, judge: Callable[[Callable[[], str]], Trouble], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "judged_apart", lambda *_: apart)
        assert "NTP" in judge(database.clocks).remedy

    def test_too_few_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "_ROOM", text("select 100 as most, 96 as used"))
        remedy = problem(database.connections).remedy
        assert "max_connections" in remedy
        assert "pooler" not in remedy  # one in transaction mode breaks PHANTOM, as docs/operations.md says
        monkeypatch.setattr(database, "_ROOM", text("select 100 as most, 85 as used"))
        assert "85 of 100" in warning(database.connections).detail
        monkeypatch.setattr(database, "_ROOM", text("select 20 as most, 5 as used"))
        assert "may want" in warning(database.connections).detail


@pytest.fixture
def database_url_of_owner(database: WorkerDatabase) -> str:
    return database.admin_url


@pytest.mark.usefixtures("redis_url")
class TestRedis:
    def test_away(self) -> None:
        queue.disconnect()
        with environment.changed(REDIS_URL=f"redis://:secret@127.0.0.1:{free_port()}/0"):
            found = problem(running.reach_redis)
        queue.disconnect()
        assert "secret" not in found.detail

    def test_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "SLOW_MILLISECONDS", 0)
        assert "answers after" in warning(running.reach_redis).detail

    def test_that_throws_work_away(self, redis_url: str) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            try:
                assert "noeviction" in problem(running.eviction).remedy
            finally:
                client.config_set("maxmemory-policy", "noeviction")
        assert "nothing is evicted" in running.eviction()

    def test_that_is_nearly_full(self, redis_url: str) -> None:
        with redis.Redis.from_url(redis_url) as client:
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", int(used * 1.1))
            try:
                assert "maxmemory" in warning(running.eviction).remedy
            finally:
                client.config_set("maxmemory", 0)

    def test_that_keeps_nothing(self, redis_url: str) -> None:
        assert "appendonly" in warning(running.persistence).remedy  # the tests' Redis is fragile
        with redis.Redis.from_url(redis_url) as client:
            client.config_set("appendonly", "yes")
            try:
                assert running.persistence() == "append-only file"
            finally:
                client.config_set("appendonly", "no")

    def test_that_cannot_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "_info", lambda _: {"aof_enabled": 1, "aof_last_write_status": "err"})
        assert "aof_last_write_status" in problem(running.persistence).detail


@pytest.mark.usefixtures("database", "redis_url")
class TestRunning:
    def test_no_sentinel(self) -> None:
        assert "phantom sentinel" in problem(running.sentinel).remedy

    def test_a_sentinel(self, leader: None) -> None:
        assert running.sentinel() == "one leads"

    @pytest.mark.parametrize("ago", [None, 46])
    def test_no_worker_or_a_silent_one(self, ago: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
        beats = [] if ago is None else [datetime.now(UTC) - timedelta(seconds=ago)]
        monkeypatch.setattr(queue, "worker_heartbeats", lambda: beats)
        assert "phantom worker" in problem(running.workers).remedy

    @pytest.mark.parametrize(("age", "judge"), [(120, warning), (1200, problem)])
    def test_tasks_that_nobody_runs(
        self, age: int, judge: Callable[[Callable[[], str]], Trouble], clock: ManualClock
    ) -> None:
        task(clock, run_at=clock.now() - timedelta(seconds=age))
        assert "more workers" in judge(running.waiting).remedy

    def test_tasks_that_are_due_just_now(self, clock: ManualClock) -> None:
        task(clock, run_at=clock.now() - timedelta(seconds=1))
        assert running.waiting() == "1 tasks are due, the oldest for 1 s"

    def test_dead_letters(self, clock: ManualClock) -> None:
        assert running.dead_letters() == "none"
        task(clock, state=TaskState.DEAD, finished_at=clock.now())
        assert "1 probe" in warning(running.dead_letters).detail

    @pytest.mark.parametrize(("age", "judge"), [(120, warning), (1200, problem)])
    def test_events_that_nobody_handles(
        self, age: int, judge: Callable[[Callable[[], str]], Trouble], clock: ManualClock
    ) -> None:
        with db.system_session() as session:
            session.add(
                ProcessedEvent(id="evt_1", type="invoice.paid", received_at=clock.now() - timedelta(seconds=age))
            )
        assert "1 events are not handled" in judge(running.events).detail

    def test_a_merchant_that_is_not_hunted(self, clock: ManualClock) -> None:
        assert running.hunts() == "no account is connected yet"
        make_merchant()
        assert "0.0 hours" in running.hunts()
        clock.advance(timedelta(hours=30))
        assert "30 hours ago" in warning(running.hunts).detail


def task(clock: ManualClock, **fields: Any) -> None:
    given = {"kind": "probe", "run_at": clock.now(), "created_at": clock.now(), **fields}
    with db.system_session() as session:
        session.add(ScheduledTask(**given))
