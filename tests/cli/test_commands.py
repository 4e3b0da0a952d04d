"""The command line from outside: exit codes, and one line where something is wrong."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import testing
from cli.__main__ import app
from cli.paths import ROOT
from cli.testing import needs_browser
from core.config import Settings
from core.embedded.process import free_port
from tests.support.database import WorkerDatabase

Outcome = subprocess.CompletedProcess[str]


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """A shell that sets none of our names."""
    ours = {name.upper() for name in Settings.model_fields}
    told = {name: value for name, value in os.environ.items() if name not in ours}
    return {**told, "PHANTOM_FOLDER": str(tmp_path / "state")}


def phantom(environment: dict[str, str], *arguments: str, **more: str) -> Outcome:
    return subprocess.run(  # noqa: S603  # our own command line
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_line(outcome: Outcome) -> str:
    assert outcome.returncode == 1, outcome
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("phantom: ")
    return lines[0]


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


class TestNothingRuns:
    def test_status(self, bare_environment: dict[str, str]) -> None:
        outcome = phantom(bare_environment, "status", "--json")
        assert outcome.returncode == 1
        assert json.loads(outcome.stdout) == {"url": None, "processes": [], "health": None, "demo": None}

    def test_down(self, bare_environment: dict[str, str]) -> None:
        outcome = phantom(bare_environment, "down")
        assert (outcome.returncode, outcome.stdout) == (0, "PHANTOM is not running.\n")

    def test_a_command_that_needs_settings(self, bare_environment: dict[str, str]) -> None:
        outcome = phantom(bare_environment, "vault", "self-test", DATABASE_URL="mysql://nothing")
        assert "DATABASE_URL: a database URL starts with postgresql://" in only_line(outcome)
        assert "mysql" not in outcome.stderr


class TestUpRefuses:
    def test_a_busy_port(self, bare_environment: dict[str, str], busy_port: int) -> None:
        outcome = phantom(bare_environment, "up", "--port", str(busy_port))
        assert only_line(outcome) == (f"phantom: port {busy_port} is in use by another program; choose one with --port")

    def test_a_folder_it_cannot_write_to(self, bare_environment: dict[str, str]) -> None:
        outcome = phantom(bare_environment, "up", PHANTOM_FOLDER="/proc/phantom")
        assert "cannot write to /proc/phantom" in only_line(outcome)

    def test_live_mode_without_its_settings(self, bare_environment: dict[str, str]) -> None:
        outcome = phantom(bare_environment, "up", "--port", str(free_port()), PHANTOM_MODE="live")
        assert "live mode makes no secrets" in only_line(outcome)

    def test_a_database_that_is_not_there(self, bare_environment: dict[str, str]) -> None:
        url = f"postgresql://someone:secret@127.0.0.1:{free_port()}/phantom"
        names = ("DATABASE_URL", "DATABASE_SYSTEM_URL", "DATABASE_ADMIN_URL")
        outcome = phantom(
            {**bare_environment, **dict.fromkeys(names, url)},
            "migrate",
            ENCRYPTION_KEY="00" * 32,
        )
        assert "the database cannot be reached" in only_line(outcome)
        assert "secret" not in outcome.stderr


class TestTestCommand:
    def test_only_asks_for_a_browser_when_a_named_test_plays_one(self, tmp_path: Path) -> None:
        (tmp_path / "test_story.py").write_text("pytestmark = pytest.mark.browser")
        (tmp_path / "test_sums.py").write_text("def test_sum(): ...")
        assert needs_browser([str(tmp_path), "-x"])
        assert needs_browser([f"{tmp_path}/test_story.py::TestStory"])
        assert not needs_browser(["-k", "sum", str(tmp_path / "test_sums.py")])

    @pytest.mark.parametrize(("flags", "selected"), [([], None), (["--chaos"], "chaos or not chaos")])
    def test_the_long_form_of_chaos_runs_when_it_is_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config, flags: list[str], selected: str | None
    ) -> None:
        commands: list[list[str]] = []
        monkeypatch.setattr(testing.subprocess, "call", lambda command, **_: commands.append(command))
        monkeypatch.setattr(testing, "needs_browser", lambda _arguments: False)
        CliRunner().invoke(app, ["test", *flags, "-k", "storm"])
        ((_, *command),) = commands
        assert command[-2:] == ["-k", "storm"]
        if selected is None:
            assert "-n" in command
            assert "tests/chaos" not in command
        else:
            named = ["tests/chaos", "tests/deploy/test_two_hosts.py", "-m", selected]
            assert command[command.index("tests/chaos") :][:4] == named
            assert all((ROOT / path).exists() for path in named[:2])
            assert "-n" not in command  # one after another
        assert "not chaos" in pytestconfig.getini("addopts")


class TestPassedOn:
    """`bench` and `sim` are programs of their own: theirs are the help and the refusals."""

    @pytest.mark.parametrize(("command", "option"), [("bench", "--soak-seconds"), ("sim", "--first-seed")])
    def test_help_is_the_programs_own(self, command: str, option: str) -> None:
        outcome = phantom(dict(os.environ), command, "--help")
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.startswith(f"usage: phantom {command} ")
        assert option in outcome.stdout

    @pytest.mark.parametrize("option", ["--seeds", "--days", "--processes"])
    def test_nothing_cannot_be_played(self, option: str) -> None:
        outcome = phantom(dict(os.environ), "sim", option, "0")
        assert outcome.returncode == 2
        assert outcome.stderr.splitlines()[-1].startswith("phantom sim: error: ")


class TestVaultSelfTest:
    def test_prints_the_promised_line(self) -> None:
        outcome = phantom(dict(os.environ), "vault", "self-test")
        assert outcome.stdout == "[SECURITY] Vault self-test passed: AES-256-GCM Active.\n"

    def test_refuses_a_bad_key(self) -> None:
        assert "ENCRYPTION_KEY" in only_line(phantom(dict(os.environ), "vault", "self-test", ENCRYPTION_KEY="short"))


class TestOwnerCreate:
    def test_prints_the_link_and_whose_workspace_it_opens(self, database: WorkerDatabase) -> None:
        outcome = phantom(dict(os.environ), "owner", "create", "--email", "first@example.com")
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.startswith(f"{os.environ['PUBLIC_URL']}/auth/owner/usr_")
        assert outcome.stdout.count("\n") == 1
        assert "Works once, until" in outcome.stderr

    def test_what_is_no_address_is_one_line(self, database: WorkerDatabase) -> None:
        only_line(phantom(dict(os.environ), "owner", "create", "--email", "nobody"))
