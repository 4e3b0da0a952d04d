"""Embedded PostgreSQL as a real process: what it lets in, and how it ends and comes back."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.embedded import install, postgres
from core.embedded.postgres import PostgresServer
from core.embedded.process import Account, free_port, last_complaint, server_account
from tests.support.wait import wait_until

Start = Callable[[PostgresServer], "subprocess.Popen[bytes]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not `tmp_path`: pytest's folders are 0700, and as root the server runs as `nobody`."""
    with tempfile.TemporaryDirectory(prefix="phantom-test-pg-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def server(folder: Path) -> PostgresServer:
    return PostgresServer(folder / "postgres", free_port(), "owner's p@ss/word", durable=False)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers and ends them with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(server: PostgresServer) -> "subprocess.Popen[bytes]":
        started.append(server.start())
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
        process.wait(30)


def connect(server: PostgresServer, password: str | None = None) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(server.url("postgres", password=password), autocommit=True, connect_timeout=5)


def wait_for(server: PostgresServer) -> "psycopg.Connection[tuple[object, ...]]":
    def attempt() -> "psycopg.Connection[tuple[object, ...]] | None":
        with contextlib.suppress(psycopg.OperationalError):
            return connect(server)
        return None

    return wait_until(attempt, timeout=60, what=f"PostgreSQL answers; its log: {last_complaint(server.log)}")


class TestStart:
    def test_answers_its_owner_and_nobody_else(self, server: PostgresServer, start: Start) -> None:
        start(server)
        with wait_for(server) as connection:
            row = connection.execute(
                "select current_setting('server_version_num')::int / 10000, current_setting('listen_addresses'),"
                " current_setting('TimeZone'), datcollate, datlocale from pg_database where datname = 'postgres'"
            ).fetchone()
        assert row == (18, "127.0.0.1", "UTC", "C", "C.UTF-8")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(server, password="guessed")

    def test_leaves_no_password_and_no_open_folder(self, server: PostgresServer, start: Start) -> None:
        start(server)
        wait_for(server).close()
        assert not list(server.folder.rglob("*password*"))
        assert stat.S_IMODE((server.folder / "data").stat().st_mode) == 0o700

    def test_never_runs_as_root(self, server: PostgresServer, start: Start) -> None:
        process = start(server)
        wait_for(server).close()
        assert psutil.Process(process.pid).uids().effective != 0

    def test_keeps_its_rows_and_its_port_across_a_kill(self, server: PostgresServer, start: Start) -> None:
        first = start(server)
        with wait_for(server) as connection:
            connection.execute("create table kept as select generate_series(1, 5000) as number")
            connection.execute("checkpoint")
        first.kill()
        first.wait()
        start(server)
        with wait_for(server) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (5000,)

    def test_waits_for_the_former_server_of_its_folder(self, server: PostgresServer, start: Start) -> None:
        """A supervisor that was killed and started again must not find the folder taken."""
        first = start(server)
        wait_for(server).close()
        second = PostgresServer(server.folder, free_port(), server.password, durable=False)
        process = start(second)
        first.send_signal(signal.SIGINT)
        first.wait(30)
        wait_for(second).close()
        assert process.poll() is None

    def test_an_interrupted_initdb_is_begun_again(self, server: PostgresServer, start: Start) -> None:
        unfinished = server.folder / "data.unfinished"
        unfinished.mkdir(parents=True)
        (unfinished / "PG_VERSION").write_text("18")
        start(server)
        wait_for(server).close()
        assert not unfinished.exists()


class TestDeath:
    def test_ends_when_its_owner_is_killed(self, server: PostgresServer, folder: Path) -> None:
        owner = subprocess.Popen(  # noqa: S603
            [
                sys.executable, "-c",
                "import select, sys; from pathlib import Path; from core.embedded.postgres import PostgresServer\n"
                "server = PostgresServer(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], durable=False)\n"
                "print(server.start().pid, flush=True); select.select([], [], [])",
                str(server.folder), str(server.port), server.password,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        wait_for(server).close()
        owner.kill()
        owner.wait()
        owner.stdout.close()
        wait_until(lambda: not _is_alive(pid), what="the server ends with its owner")

    def test_a_wrapper_whose_owner_is_gone_already_starts_nothing(self) -> None:
        outcome = subprocess.run(
            [sys.executable, "-m", "core.embedded.child", "--", "echo", "started"],
            env={**os.environ, "PHANTOM_OWNER_PID": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode != 0
        assert outcome.stdout == ""
        assert "has ended" in outcome.stderr


class TestStalePidFile:
    def test_a_strangers_pid_is_cleared(self, folder: Path) -> None:
        """After a container's restart the number in the file belongs to somebody else."""
        pid_file = folder / "postmaster.pid"
        pid_file.write_text(f"{os.getpid()}\n{folder}\n")
        postgres.release(folder, timeout=0.1)
        assert not pid_file.exists()

    def test_half_a_file_is_cleared(self, folder: Path) -> None:
        pid_file = folder / "postmaster.pid"
        pid_file.write_text("")
        postgres.release(folder, timeout=0.1)
        assert not pid_file.exists()

    def test_a_server_that_goes_on_keeps_its_file(self, server: PostgresServer, start: Start) -> None:
        start(server)
        wait_for(server).close()
        data = server.folder / "data"
        postgres.release(data, timeout=0.1)
        assert (data / "postmaster.pid").exists()

    def test_the_server_starts_over_one(self, server: PostgresServer, start: Start) -> None:
        first = start(server)
        wait_for(server).close()
        first.kill()
        first.wait()
        (server.folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{server.folder / 'data'}\n")
        start(server)
        wait_for(server).close()


class TestCorruptFolder:
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda data: (data / "PG_VERSION").unlink(), "PG_VERSION"),
            (lambda data: (data / "global" / "pg_control").write_bytes(b"torn"), "pg_control"),
        ],
    )
    def test_says_why_in_its_last_words(
        self, server: PostgresServer, start: Start, damage: Callable[[Path], object], words: str
    ) -> None:
        first = start(server)
        wait_for(server).close()
        first.send_signal(signal.SIGINT)
        first.wait(30)
        offset = server.log.stat().st_size
        damage(server.folder / "data")
        assert start(server).wait(30) != 0
        complaint = last_complaint(server.log, offset)
        assert words in complaint or "not a valid data directory" in complaint
        assert "\n" not in complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
class TestHomeOfRoot:
    def test_data_and_binaries_move_out_of_a_closed_home(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        closed, shared = folder / "home", folder / "shared"
        closed.mkdir(mode=0o700)
        monkeypatch.setattr(install, "SHARED_HOME", shared)
        account = server_account()
        found = install.folder_for(account, closed / "checkout" / "postgres")
        assert found.parent == shared
        assert found == install.folder_for(account, closed / "checkout" / "postgres")
        (found / "data").mkdir()
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700

        shutil.rmtree(closed / "checkout")  # begun anew: its secrets are gone, so the old data is of no use
        anew = install.folder_for(account, closed / "checkout" / "postgres")
        assert (anew != found, list(anew.iterdir()), found.exists()) == (True, [], False)

    def test_a_copied_server_runs(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shared = folder / "shared"
        monkeypatch.setattr(install, "SHARED_HOME", shared)
        monkeypatch.setattr(install, "can_reach", lambda _account, *_paths: False)
        binaries = install.binaries_for(server_account())
        assert binaries.is_relative_to(shared)
        account = server_account() or Account(0, 0)
        version = subprocess.run(  # noqa: S603
            [binaries / "postgres", "--version"], user=account.uid, group=account.gid, capture_output=True, check=True
        )
        assert b"PostgreSQL) 18" in version.stdout


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
