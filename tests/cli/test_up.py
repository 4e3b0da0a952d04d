"""`up` as it is: real processes, real kills, and nothing left afterwards."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.paths import ROOT
from tests.support.stack import Home, secrets_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)

PROCESSES = ["postgres", "redis", "sandbox", "web", "worker", "sentinel"]


def is_ready(status: dict[str, Any]) -> bool:
    return bool((status["health"] or {}).get("status") == "ready")


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home.new()
    yield made
    made.remove()


@pytest.fixture
def running(home: Home) -> Home:
    """A PHANTOM that runs; started by the first test that asks, and again after one that ended it."""
    if home.status()["url"] is None:
        home.up()
    return home


class TestRunning:
    def test_status_tells_programs_what_runs(self, running: Home) -> None:
        status = running.status()
        assert status["url"] == running.url
        assert [item["name"] for item in status["processes"]] == PROCESSES
        assert {item["state"] for item in status["processes"]} == {"RUNNING"}
        assert status["health"]["status"] == "ready"

    def test_only_migrations_get_the_owners_login(self, running: Home) -> None:
        for name, pid in running.pids().items():
            environment = Path(f"/proc/{pid}/environ").read_text()
            assert "phantom_owner" not in environment, name

    def test_no_secret_is_on_a_command_line(self, running: Home) -> None:
        """Everybody on the machine can read those."""
        lines = [line for process in psutil.process_iter(["cmdline"]) if (line := process.info["cmdline"])]
        assert any("sandbox" in line for line in lines)
        for name, secret in secrets_of(running.folder).items():
            assert not any(secret in argument for line in lines for argument in line), name

    def test_a_second_up_says_what_runs(self, running: Home) -> None:
        outcome = running.run("up")
        assert outcome.returncode == 0
        assert f"PHANTOM runs already at {running.url}" in outcome.stdout
        assert f"postgres {running.pids()['postgres']}" in outcome.stdout

    def test_a_second_up_on_another_port_changes_nothing(self, running: Home) -> None:
        before = running.pids()
        outcome = running.run("up", "--port", str(running.port + 1))
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert f"runs already at {running.url}" in outcome.stderr
        assert running.pids() == before

    def test_other_commands_work_on_what_runs(self, running: Home) -> None:
        assert running.run("doctor").returncode == 0
        assert "up to date" in running.run("migrate").stdout
        hunt = running.run("hunt", "--merchant", "mer_nobody", "--json")
        assert (hunt.returncode, hunt.stdout, hunt.stderr.count("\n")) == (1, "", 1)

    @pytest.mark.parametrize("name", PROCESSES)
    def test_a_killed_process_is_back(self, running: Home, name: str) -> None:
        before = running.pids()[name]
        os.kill(before, signal.SIGKILL)

        def is_back() -> bool:
            status = running.status()
            pids = {item["name"]: item["pid"] for item in status["processes"] if item["state"] == "RUNNING"}
            return pids.keys() == set(PROCESSES) and pids[name] != before and is_ready(status)

        wait_until(is_back, timeout=60, what=f"{name} is back and everything is ready")


class TestEnd:
    def test_down_leaves_nothing_and_the_next_start_has_the_same_ports(self, running: Home) -> None:
        ports = (running.folder / "ports.json").read_text()
        outcome = running.run("down")
        assert (outcome.returncode, outcome.stdout) == (0, "Stopped.\n")
        assert running.survivors() == []
        running.up()
        assert (running.folder / "ports.json").read_text() == ports

    def test_a_killed_supervisor_leaves_nothing(self, running: Home) -> None:
        os.kill(running.supervisor_pid(), signal.SIGKILL)
        running.wait_until_gone()
        assert running.status()["url"] is None

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_ending_a_foreground_up_stops_everything(self, home: Home, ending: signal.Signals) -> None:
        home.run("down")
        process = home.begin("up", "--no-history", "--port", str(home.port))
        wait_until(lambda: is_ready(home.status()), timeout=100, what="up is ready")
        if ending is not signal.SIGKILL:  # a killed one cannot wait; its supervisor stops by itself
            assert process.stderr is not None
            for line in process.stderr:
                if "Ctrl-C stops it" in line:
                    break
        process.send_signal(ending)
        _, errors = process.communicate(timeout=60)
        if ending is not signal.SIGKILL:
            assert process.returncode == 0, errors
            assert "Traceback" not in errors
            assert home.survivors() == []
        home.wait_until_gone()


class TestReload:
    SOURCE = ROOT / "phantom_app" / "routes.py"

    def test_a_changed_source_restarts_what_it_is_part_of(self, home: Home) -> None:
        home.run("down")
        process = home.begin("up", "--reload", "--no-history", "--port", str(home.port))
        try:
            wait_until(lambda: self.is_watched(process), timeout=100, what="the sources are watched")
            before = home.pids()
            times = self.SOURCE.stat()
            os.utime(self.SOURCE, ns=(times.st_atime_ns, times.st_mtime_ns))  # heard of, and nothing is changed
            wait_until(lambda: self.is_restarted(home, before), timeout=60, what="web is another process, and ready")
            after = home.pids()
            assert {name for name in PROCESSES if after[name] != before[name]} == {"web"}
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # the supervisor stops by itself
            process.communicate()
        assert process.returncode == 0, errors
        assert "Restarted web" in errors
        home.wait_until_gone()

    def is_restarted(self, home: Home, before: dict[str, int]) -> bool:
        status = home.status()
        pids = {item["name"]: item["pid"] for item in status["processes"] if item["state"] == "RUNNING"}
        return pids.keys() == before.keys() and pids["web"] != before["web"] and is_ready(status)

    def is_watched(self, process: "subprocess.Popen[str]") -> bool:
        """Whether `up` has told the kernel that it wants to hear of this source's folder."""
        assert process.poll() is None, process.communicate()
        wanted = f"ino:{self.SOURCE.parent.stat().st_ino:x} "
        found = False
        for descriptor in Path(f"/proc/{process.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since
                found = found or wanted in descriptor.read_text()
        return found


class TestCorruptFolder:
    def test_is_one_line_and_leaves_nothing(self, running: Home) -> None:
        """The last test of the module: its folder cannot be used after it."""
        running.run("down")
        (running.folder / "postgres" / "data" / "global" / "pg_control").write_bytes(b"torn")
        outcome = running.run("up", "--no-history", "--port", str(running.port))
        assert outcome.returncode == 1
        last = outcome.stderr.splitlines()[-1]
        assert last.startswith("phantom: postgres does not start: "), outcome.stderr
        assert "pg_control" in last
        assert "Traceback" not in outcome.stderr
        assert running.survivors() == []
