"""What `up` decides before anything starts: folder, lock, secrets, ports, settings, configuration."""

import configparser
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.errors import CommandError
from cli.stack import handover, history, ready
from cli.stack.demo import demo_account
from cli.stack.environment import Given, Stack, plan
from cli.stack.folder import Folder, Running
from cli.stack.programs import Program, programs, supervisor_configuration
from cli.stack.progress import Progress
from cli.stack.secrets import DemoSecrets, Ports
from cli.stack.start import _socket_path, end_group
from core.config import Mode, Settings
from core.embedded import install
from core.embedded.process import free_port
from sandbox.history.build import write_demo_file
from sandbox.history.merchant import DemoMerchant
from tests.phantom_app.served import is_alive
from tests.support.servers import RunServers
from tests.support.stack import secrets_of
from tests.support.wait import wait_until

_FROM_OUTSIDE = [name.upper() for name in Settings.model_fields]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    # pytest's folders are closed to `nobody`, so that root's PostgreSQL would move out of them
    monkeypatch.setattr(install, "SHARED_HOME", tmp_path / "shared")
    return Folder.create(tmp_path / "state")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Given:
    """A shell that sets nothing, in a folder without `.env`."""
    for name in _FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Given.read()


@pytest.fixture
def stack(given: Given, folder: Folder) -> Stack:
    planned = plan(given, folder, host="127.0.0.1", port=3210)
    handover.keep(planned)
    return planned


class TestLock:
    def test_a_second_holder_is_refused(self, folder: Folder) -> None:
        assert folder.hold() is not None
        second = Folder(folder.path)
        assert second.hold() is None
        assert second.is_held()
        folder.let_go()
        assert not second.is_held()

    def test_stays_taken_while_whoever_inherited_it_lives(self, folder: Folder) -> None:
        """Between the end of `up --detach` and the end of its supervisor nobody else may start."""
        lock = folder.hold()
        assert lock is not None
        heir = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1, pass_fds=(lock,))
        folder.let_go()
        assert folder.is_held()
        heir.kill()
        heir.communicate()
        assert wait_until(lambda: not folder.is_held(), what="the lock ends with its holder")

    def test_nothing_runs_in_a_folder_nobody_holds(self, folder: Folder) -> None:
        """A note left by a stack that was killed is no stack."""
        folder.write(Running("http://localhost:1", 1, "demo", os.getpid(), "/nowhere"))
        assert folder.running() is None

    def test_a_folder_that_cannot_be_written_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CommandError, match="cannot write to"):
            Folder.create(tmp_path / "file" / "state")


class TestSecrets:
    def test_are_made_once_and_for_the_owner_only(self, tmp_path: Path) -> None:
        made = DemoSecrets.of_folder(tmp_path)
        assert DemoSecrets.of_folder(tmp_path) == made
        assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600

    def test_a_name_of_a_newer_version_is_added(self, tmp_path: Path) -> None:
        made = DemoSecrets.of_folder(tmp_path)
        path = tmp_path / "secrets.json"
        kept = json.loads(path.read_text())
        del kept["twilio_auth_token"]
        path.write_text(json.dumps(kept))
        again = DemoSecrets.of_folder(tmp_path)
        assert again.encryption_key == made.encryption_key
        assert again.twilio_auth_token

    def test_a_torn_file_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "secrets.json").write_text("{")
        with pytest.raises(CommandError, match="cannot be read"):
            DemoSecrets.of_folder(tmp_path)

    def test_ports_are_remembered_while_they_are_free(self, tmp_path: Path) -> None:
        assert Ports.of_folder(tmp_path) == Ports.of_folder(tmp_path)


class TestPlan:
    def test_a_demo_is_complete_and_reaches_no_vendor(self, stack: Stack) -> None:
        told = Settings(_env_file=None, **{name.lower(): value for name, value in stack.variables.items()})
        assert told.is_demo
        assert told.public_url == "http://localhost:3210"
        bases = {told.stripe_api_base, told.stripe_connect_base, told.resend_api_base, told.twilio_api_base}
        assert bases == {stack.sandbox_url}
        assert told.webhook_secrets(connect=True) != told.webhook_secrets(connect=False)

    def test_the_owners_login_is_not_among_what_processes_are_told(self, stack: Stack) -> None:
        assert "phantom_owner" in stack.admin_url
        assert not any("phantom_owner" in value for value in stack.variables.values())

    def test_a_real_stripe_key_in_the_shell_does_not_reach_a_demo(
        self, given: Given, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_real")
        monkeypatch.setenv("STRIPE_API_BASE", "https://api.stripe.com")
        told = {**os.environ, **plan(given, folder, host="127.0.0.1", port=3210).variables}
        assert told["STRIPE_SECRET_KEY"].startswith("sk_test_")
        assert told["STRIPE_API_BASE"].startswith("http://127.0.0.1:")

    def test_live_mode_makes_nothing(self, given: Given, folder: Folder) -> None:
        live = given.model_copy(update={"phantom_mode": Mode.LIVE})
        with pytest.raises(CommandError, match=r"live mode makes no secrets.*DATABASE_URL.*REDIS_URL, ENCRYPTION_KEY"):
            plan(live, folder, host="127.0.0.1", port=3210)
        assert not (folder.path / "secrets.json").exists()

    def test_a_database_of_ones_own_replaces_the_embedded_one(self, given: Given, folder: Folder) -> None:
        url = "postgresql://someone@db/phantom"
        names = ("database_url", "database_system_url", "database_admin_url")
        theirs = given.model_copy(update=dict.fromkeys(names, url) | {"redis_url": "redis://elsewhere"})
        planned = plan(theirs, folder, host="127.0.0.1", port=3210)
        assert (planned.postgres, planned.redis, planned.admin_url) == (None, None, url)
        assert [program.name for program in programs(planned)] == ["sandbox", "web", "worker", "sentinel"]

    def test_half_a_database_is_one_line(self, given: Given, folder: Folder) -> None:
        half = given.model_copy(update={"database_url": "postgresql://someone@db/phantom"})
        with pytest.raises(CommandError, match="DATABASE_SYSTEM_URL, DATABASE_ADMIN_URL as well"):
            plan(half, folder, host="127.0.0.1", port=3210)

    def test_a_bad_value_is_one_line_without_the_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PHANTOM_MODE", "wonderful")
        with pytest.raises(CommandError, match="PHANTOM_MODE") as caught:
            Given.read()
        assert "wonderful" not in str(caught.value)


class TestConfiguration:
    def test_holds_no_secret_and_starts_in_order(self, stack: Stack, tmp_path: Path) -> None:
        text = supervisor_configuration(programs(stack), socket=tmp_path / "s.sock", logs=tmp_path)
        for name, secret in secrets_of(stack.folder.path).items():
            assert secret not in text, name
        read = configparser.RawConfigParser()
        read.read_string(text)
        sections = [name for name in read.sections() if name.startswith("program:")]
        order = sorted(sections, key=lambda name: read.getint(name, "priority"))
        assert [name.removeprefix("program:") for name in order] == [
            "postgres", "redis", "sandbox", "web", "worker", "sentinel",
        ]  # fmt: skip

    def test_odd_characters_in_a_path_survive(self, tmp_path: Path) -> None:
        odd = Program("web", [sys.executable, "-c", "100% 'odd'"])
        text = supervisor_configuration([odd], socket=tmp_path / "s.sock", logs=tmp_path / "100%")
        assert "100%% " in text
        assert f"logfile={tmp_path}/100%%/supervisor.log" in text

    def test_a_socket_path_too_long_for_the_system_moves(self, tmp_path: Path) -> None:
        assert _socket_path(Path("/short")) == Path("/short/supervisor.sock")
        moved = _socket_path(tmp_path / ("long" * 30))
        assert len(os.fsencode(moved)) < 100
        moved.parent.rmdir()


class TestHistory:
    """What `up` makes of the history's exit codes; the history itself has tests of its own."""

    @pytest.fixture
    def flags(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """The flags of each run; the first is interrupted, the second finds other data, the rest succeed."""
        given: list[list[str]] = []

        def live(_stack: Stack, _progress: object, _environment: object, log: Path, flags: list[str]) -> int:
            given.append(flags)
            log.write_text("cannot build the history: the database has a connected merchant already; use --reset")
            return {1: 1, 2: 3}.get(len(given), 0)

        monkeypatch.setattr(history, "_live", live)
        return given

    def test_only_the_remains_of_its_own_are_cleared_away(self, stack: Stack, flags: list[list[str]]) -> None:
        for words in ("cannot be made", "needs an empty database"):
            with pytest.raises(CommandError, match=words):
                history.prepare_history(stack, Progress(), {})
        history.prepare_history(stack, Progress(), {})  # the second said that the data is not a history's
        assert flags == [[], ["--reset"], []]

    def test_whoever_goes_without_one_keeps_what_they_do(self, stack: Stack, flags: list[list[str]]) -> None:
        with pytest.raises(CommandError):
            history.prepare_history(stack, Progress(), {})
        history.go_without(stack)
        with pytest.raises(CommandError, match="needs an empty database"):
            history.prepare_history(stack, Progress(), {})
        assert flags == [[], []]

    def test_is_wanted_until_the_demo_file_says_it_is_there(self, stack: Stack) -> None:
        assert history.is_wanted(stack)
        assert demo_account(stack.folder.path) is None
        (stack.folder.path / "demo.json").write_text('{"merchant_id": "mer_1", "email": "a@b", "password": "c"}')
        assert not history.is_wanted(stack)
        assert demo_account(stack.folder.path) == {
            "merchant_id": "mer_1", "email": "a@b", "password": "c", "api_key": None,
        }  # fmt: skip


class TestHandover:
    def test_a_command_in_another_shell_works_on_what_runs(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        handover.keep(stack)
        path = stack.folder.path / "environment.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        seen = dict(os.environ)
        monkeypatch.setattr(os, "environ", seen)
        handover.use_running_stack(stack.folder.path)
        assert "DATABASE_URL" not in seen  # nothing runs
        stack.folder.hold()
        handover.use_running_stack(stack.folder.path)
        assert seen["DATABASE_URL"] == stack.variables["DATABASE_URL"]
        assert "phantom_owner" in seen["DATABASE_ADMIN_URL"]
        stack.folder.let_go()


class TestStatus:
    """What `status --json` tells programs of a stack that runs; this process stands in for it."""

    MERCHANT = DemoMerchant("mer_1", "owner@example.com", "correct horse", "acct_1")

    def status(self, folder: Folder, mode: Mode) -> dict[str, object]:
        folder.hold()
        folder.write(Running("http://localhost:1", free_port(), mode.value, os.getpid(), str(folder.path / "s.sock")))
        outcome = CliRunner().invoke(app, ["--folder", str(folder.path), "status", "--json"])
        folder.let_go()
        assert outcome.exit_code == 0, outcome.exception
        told: dict[str, object] = json.loads(outcome.stdout)
        assert list(told) == ["url", "processes", "health", "demo"]
        return told

    def test_a_demo_tells_how_to_sign_in(self, folder: Folder) -> None:
        write_demo_file(folder.path / "demo.json", self.MERCHANT)
        assert self.status(folder, Mode.DEMO)["demo"] == {
            "merchant_id": "mer_1",
            "email": "owner@example.com",
            "password": "correct horse",
            "api_key": None,
        }

    def test_a_demo_without_a_merchant_says_so(self, folder: Folder) -> None:
        assert self.status(folder, Mode.DEMO)["demo"] is None

    def test_live_mode_never_does(self, folder: Folder) -> None:
        """Not even beside what a demo left in the same folder."""
        write_demo_file(folder.path / "demo.json", self.MERCHANT)
        assert self.status(folder, Mode.LIVE)["demo"] is None


class TestReady:
    def test_a_password_that_is_not_the_datas_is_said_at_once(self, run_servers: RunServers) -> None:
        """Somebody deleted secrets.json and kept the data."""
        url = run_servers.postgres.url("postgres", password="another")
        with pytest.raises(CommandError, match="refuses the kept password"):
            ready.postgres_answers(url)

    def test_nothing_there_is_not_ready(self) -> None:
        port = free_port()
        assert not ready.postgres_answers(f"postgresql://a:b@127.0.0.1:{port}/c")
        assert not ready.redis_answers(f"redis://:b@127.0.0.1:{port}/0")
        assert not ready.http_answers(f"http://127.0.0.1:{port}/")


def test_a_build_that_is_ended_leaves_nothing_behind():
    script = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    leader = subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with leader:
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
        end_group(leader)
    wait_until(lambda: not is_alive(child), what="its child is gone")
    end_group(leader)
