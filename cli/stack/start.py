"""Starts a stack: supervisor, servers, schema, sandbox, and then the processes that need them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cli.errors import CommandError
from cli.logins import Logins, ensure_logins
from cli.paths import ROOT
from cli.stack import history, ready, schema_stamp
from cli.stack.demo import connect_webhooks
from cli.stack.environment import Stack
from cli.stack.folder import Running, write_private
from cli.stack.programs import programs, supervisor_configuration
from cli.stack.progress import Progress
from cli.stack.supervisor import Supervisor, SupervisorUnreachableError
from core import metrics
from core.embedded.process import OWNER_PID, last_complaint

_SOCKET_BYTES = 107 - len(".12345678")  # the system's limit, less the pid supervisord appends while binding
_STOP_SECONDS = 120
_SUPERVISOR_SECONDS = 30
_SERVER_SECONDS = 120  # a crash recovery of a large history


class Start:
    """One start of one stack. `run()` does all of it; `stop()` undoes whatever it got to."""

    def __init__(self, stack: Stack, progress: Progress) -> None:
        self.stack, self.progress = stack, progress
        self._plan = programs(stack)
        self._names = {program.name for program in self._plan}
        self._socket = _socket_path(stack.folder.path)
        self.supervisor = Supervisor(self._socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_starts: dict[str, int] = {}

    def run(self, lock: int, *, with_owner: bool, with_history: bool = True) -> None:
        """Bring everything up. Raises `CommandError` naming what did not come up, and why."""
        frontend = self._begin_frontend()
        try:
            self._start_supervisor(lock, with_owner=with_owner)
            self._start_servers()
            self._prepare_schema()
            if not with_history:
                history.go_without(self.stack)
            elif history.is_wanted(self.stack):
                history.prepare_history(self.stack, self.progress, self._owners_environment())
            if "sandbox" in self._names:
                self._begin("sandbox")
                with self.progress.step("Sandbox (Stripe, Resend, Twilio)"):
                    self._wait("sandbox", lambda: ready.http_answers(f"{self.stack.sandbox_url}/_sandbox/health"), 60)
                    connect_webhooks(self.stack)
            with self.progress.step("Pages"):
                self._finish_frontend(frontend)
        finally:
            end_group(frontend)
        self._start_application()

    def _begin_frontend(self) -> "subprocess.Popen[bytes]":
        """Build the pages while the servers start; a finished build makes this a look at a hash."""
        with self._log("frontend").open("wb") as log:
            command = [sys.executable, "-m", "core.embedded.child", "--", sys.executable, "-m", "phantom_app.build"]
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, env=self._environment(), start_new_session=True
            )

    def _finish_frontend(self, build: "subprocess.Popen[bytes]") -> None:
        if build.wait() != 0:
            raise CommandError(f"the pages cannot be built: {last_complaint(self._log('frontend'))}")

    def _start_supervisor(self, lock: int, *, with_owner: bool) -> None:
        configuration = self.stack.folder.path / "supervisord.conf"
        write_private(
            configuration, supervisor_configuration(self._plan, socket=self._socket, logs=self.stack.folder.logs)
        )
        flags = ["--with-owner"] if with_owner else []
        with self._log("supervisor-start").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.stack.supervisor", str(configuration), str(lock), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self._environment(),
                pass_fds=(lock,),
                start_new_session=True,  # a Ctrl-C is for us, who then stop things in order
            )
        self.stack.folder.write(
            Running(self.stack.url, self.stack.port, self.stack.mode.value, self._process.pid, str(self._socket))
        )
        deadline = time.monotonic() + _SUPERVISOR_SECONDS
        while not self.supervisor.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"the supervisor does not start: {last_complaint(self._log('supervisor-start'))}")
            ready.pause()

    def _start_servers(self) -> None:
        """Both at once, then wait for each."""
        for name in ("postgres", "redis"):
            if name in self._names:
                self._begin(name)
        if self.stack.postgres is not None:
            url = self.stack.postgres.url("postgres")
            with self.progress.step("PostgreSQL 18"):
                self._wait("postgres", lambda: ready.postgres_answers(url), _SERVER_SECONDS)
        if self.stack.redis is not None:
            url_of_redis = self.stack.redis.url
            with self.progress.step("Redis"):
                self._wait("redis", lambda: ready.redis_answers(url_of_redis), _SERVER_SECONDS)

    def _prepare_schema(self) -> None:
        with self.progress.step("Database schema"):
            if self.stack.postgres is None:
                if self.stack.admin_url:
                    self._migrate()
                return
            told, folder = self.stack.variables, self.stack.folder.path
            logins = Logins.of_urls(self.stack.admin_url, told["DATABASE_URL"], told["DATABASE_SYSTEM_URL"])
            ensure_logins(logins, maintenance_url=self.stack.postgres.url("postgres"))
            if not schema_stamp.is_current(folder, logins):
                self._migrate()
                schema_stamp.keep(folder, logins)

    def _start_application(self) -> None:
        metrics.empty(Path(self.stack.variables["PHANTOM_METRICS_FOLDER"]))
        for name in ("web", "worker", "sentinel"):
            self._begin(name)
        with self.progress.step("Web"):
            self._wait("web", lambda: ready.http_answers(f"http://127.0.0.1:{self.stack.port}/health/ready"), 60)
        with self.progress.step("Workers and Sentinel"):
            for process in self.supervisor.processes():
                name, group = process.name, process.name.partition("_")[0]
                if group in ("worker", "sentinel"):
                    self._wait(name, lambda name=name: self.supervisor.process(name).is_running, 60)  # type: ignore[misc]

    def _log(self, name: str) -> Path:
        return self.stack.folder.logs / f"{name}.log"

    def _begin(self, name: str) -> None:
        for log in self.stack.folder.logs.glob(f"{name}*.log"):
            self._log_starts[log.stem] = log.stat().st_size
        self.supervisor.start(name)

    def _wait(self, name: str, is_ready: Callable[[], bool], timeout: float) -> None:
        ready.wait_ready(
            self.supervisor,
            name,
            is_ready,
            log=self._log(name),
            log_start=self._log_starts.get(name, 0),
            timeout=timeout,
        )

    def _environment(self) -> dict[str, str]:
        """Our own environment without the owner's login, which only migrations get, plus the stack's settings."""
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_ADMIN_URL"}
        # set and empty, so that a `.env` cannot hand it to a process after all
        return {**inherited, "DATABASE_ADMIN_URL": "", **self.stack.variables, OWNER_PID: str(os.getpid())}

    def _owners_environment(self) -> dict[str, str]:
        """With the owner's login: for what prepares the database and ends before the product starts."""
        return {**self._environment(), "DATABASE_ADMIN_URL": self.stack.admin_url}

    def _migrate(self) -> None:
        log = self._log("migrate")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "cli", "migrate"]
            code = subprocess.call(command, stdout=output, stderr=output, cwd=ROOT, env=self._owners_environment())
        if code != 0:
            raise CommandError(f"the schema cannot be brought up to date: {last_complaint(log) or f'see {log}'}")

    def wait(self) -> int:
        """Until the supervisor ends, however it does."""
        return self._process.wait() if self._process else 0

    def stop(self) -> None:
        """Stop everything in reverse order and wait for it."""
        stop(self.supervisor, self._process)
        shutil.rmtree(self._socket.parent, ignore_errors=True) if _is_scratch(self._socket) else None


def stop(supervisor: Supervisor, process: "subprocess.Popen[bytes] | None") -> None:
    if process is None or process.poll() is not None:
        return
    try:
        supervisor.shut_down()
    except SupervisorUnreachableError:
        process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # its children end with it
        process.wait()


def _socket_path(folder: Path) -> Path:
    """A path short enough for a Unix socket: in the folder, or in a private one of the system's."""
    wanted = folder / "supervisor.sock"
    if len(os.fsencode(wanted)) <= _SOCKET_BYTES:
        return wanted
    return Path(tempfile.mkdtemp(prefix="phantom-")) / "supervisor.sock"


def _is_scratch(socket: Path) -> bool:
    return socket.parent.name.startswith("phantom-")


def end_group(leader: "subprocess.Popen[bytes]") -> None:
    """Kill a process that leads a session, with whatever it started there: npm goes on building without its parents."""
    if leader.poll() is None:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
