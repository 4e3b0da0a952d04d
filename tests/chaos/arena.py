"""One whole PHANTOM that is made to suffer: its processes, its clock, its tables as their owner sees them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from cli.paths import ROOT
from cli.stack.supervisor import ProcessState, Supervisor
from core.clock import OffsetClock, write_offset
from tests.support.stack import Home
from tests.support.stage import Stage
from tests.support.wait import wait_until

# Every second, for longer than any test: a delivery that is refused comes again, and none is given up.
RETRY_SECONDS = [1] * 900
SERVICES = ("postgres", "redis", "sandbox", "web", "worker", "sentinel")
_UNFINISHED = """
select (select count(*) from scheduled_tasks where state = 'running') as running,
    (select count(*) from scheduled_tasks where state = 'pending' and run_at <= %(now)s) as in_hand,
    (select count(*) from processed_events where handled_at is null) as unhandled,
    (select min(run_at) from scheduled_tasks
     where state = 'pending' and last_error <> '' and run_at > %(now)s and run_at < %(soon)s) as put_off_until
"""


@dataclass
class Arena:
    """What runs in a `Home`, and how to hurt it."""

    home: Home
    stage: Stage
    _parts: list["Part"] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Arena"]:
        home = Home.new()
        try:
            (home.folder / "crash").mkdir()
            home.up("--no-history", PHANTOM_CRASH_FOLDER=str(home.folder / "crash"), USAGE_METER="phantom")
            arena = cls(home, Stage.of(home))
            arena.stage.control("/_sandbox/deliveries/behaviour", {"retry_seconds": RETRY_SECONDS})
            yield arena
        finally:
            home.remove()
            assert not home.survivors()

    @property
    def told(self) -> dict[str, str]:
        """What every process of it is told, the owner's login included."""
        found: dict[str, str] = json.loads((self.home.folder / "environment.json").read_text())
        return found

    # -- looking ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def owner(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """The database as its owner sees it; no row is hidden."""
        url = self.told["DATABASE_ADMIN_URL"]
        with psycopg.connect(url, autocommit=True, row_factory=dict_row, connect_timeout=3) as connection:
            yield connection

    def rows(self, query: str, **given: Any) -> list[dict[str, Any]]:
        with self.owner() as connection:
            return connection.execute(query.encode(), given).fetchall()

    def log_of(self, name: str) -> str:
        return "\n".join(path.read_text() for path in sorted((self.home.folder / "logs").glob(f"{name}.log*")))

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.home.url}/health/ready", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    # -- processes ----------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(json.loads((self.home.folder / "up.json").read_text())["socket"])

    def states(self) -> dict[str, ProcessState]:
        return {process.name: process for process in self.supervisor.processes()}

    def pid(self, name: str) -> int:
        """The process id of a service that runs."""

        def found() -> int | None:
            state = self.states()[name]
            return state.pid if state.is_running else None

        return wait_until(found, timeout=60, what=f"{name} runs")

    def web_workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid("web")).children()]

    def send_signal(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a service; its process id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill_and_wait(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a service and wait until its successor runs."""
        former = self.send_signal(name, number)
        wait_until(lambda: self.pid(name) != former, timeout=60, what=f"{name} runs again")

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """The supervised process of this name is stopped for the length of a block."""
        with self.supervisor._proxy() as proxy:
            proxy.stopProcessGroup(name, True)
        try:
            yield
        finally:
            self.supervisor.start(name)

    @contextlib.contextmanager
    def beside(self, module: str, *arguments: str, **changed: str) -> Iterator["Part"]:
        """One more process of ours, told the same as the others but for what is given here."""
        part = Part.start(self.home.folder, module, arguments, {**self.told, **changed})
        try:
            yield part
        finally:
            part.end()

    # -- crash points -------------------------------------------------------------------------------------------

    def arm(self, *points: str) -> None:
        """Whoever passes one of these points next dies there, once."""
        for point in points:
            (self.home.folder / "crash" / point).touch()

    def armed(self) -> set[str]:
        """Points where nobody has died yet."""
        return {path.name for path in (self.home.folder / "crash").iterdir()}

    # -- time ---------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> OffsetClock:
        return OffsetClock(Path(self.told["PHANTOM_CLOCK_FILE"]))

    def shift_clock(self, by: timedelta) -> None:
        """Everybody's clock jumps, back too; nothing that falls due is played."""
        write_offset(Path(self.told["PHANTOM_CLOCK_FILE"]), self.clock.offset() + by)

    def pass_time(self, seconds: float) -> None:
        """Time passes at the sandbox with all that falls due there, and for everybody else."""
        self.stage.wait(int(seconds) + 1)

    # -- peace --------------------------------------------------------------------------------------------------

    def wait_until_well(self, timeout: float = 90, *, without: str = "") -> None:
        """Every service (`without` one that is replaced) runs and answers."""

        def well() -> bool:
            states = self.states()
            return all(states[name].is_running for name in SERVICES if name != without) and self.ready()

        wait_until(well, timeout=timeout, what="all services answer")

    def wait_until_delivered(self, timeout: float = 60) -> None:
        """Every webhook so far was acknowledged."""

        def delivered() -> bool:
            counts = self.stage.control("/_sandbox/deliveries")
            return not counts["due"] and not counts["waiting"]

        wait_until(delivered, timeout=timeout, what="every webhook is acknowledged")

    def wait_until_handled(self, timeout: float = 60) -> None:
        """Every webhook that was acknowledged is handled, without the clock's help."""
        query = "select id from processed_events where handled_at is null"
        wait_until(lambda: not self.rows(query), timeout=timeout, what=f"every event is handled; {self.unfinished()}")

    def wait_until_quiet(self, timeout: float = 120) -> None:
        """Everything acknowledged is handled and nothing more is due. What was put off has its time brought on."""
        seen: dict[str, Any] = {}

        def quiet() -> bool:
            seen.clear()
            seen.update(self.stage.control("/_sandbox/deliveries"))
            try:
                now = self.clock.now()
                seen.update(self.rows(_UNFINISHED, now=now, soon=now + timedelta(hours=2))[0])
            except psycopg.OperationalError as error:
                seen["database"] = str(error)
                return False
            busy = seen["due"] or seen["waiting"] or seen["running"] or seen["unhandled"] or seen["in_hand"]
            if not busy and seen["put_off_until"]:
                self.pass_time((seen["put_off_until"] - now).total_seconds())
                return False
            return not busy

        try:
            wait_until(quiet, timeout=timeout, what="everything is handled")
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}; {self.unfinished()}") from None

    def replay_the_dead(self) -> int:
        """What a person does on the System page with tasks whose process died three times under them; how many."""
        query = """update scheduled_tasks
            set state = 'pending', attempts = 0, deaths = 0, finished_at = null, run_at = %(now)s
            where state = 'dead' and last_error like 'The process that ran this task died%%' returning id"""
        return len(self.rows(query, now=self.clock.now()))

    def unfinished(self) -> list[dict[str, Any]]:
        """The tasks that are not done, for the words of a failing test."""
        query = """select id, kind, state, attempts, deaths, run_at, leased_until, last_error from scheduled_tasks
            where state <> 'done' order by id limit 20"""
        return self.rows(query)


@dataclass
class Part:
    """A process of ours outside the supervisor."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, folder: Path, module: str, arguments: tuple[str, ...], told: Mapping[str, str]) -> "Part":
        log = folder / "logs" / f"beside-{module}-{len(list((folder / 'logs').iterdir()))}.log"
        environment = {**os.environ, **told, "DATABASE_ADMIN_URL": "", "PHANTOM_OWNER_PID": str(os.getpid())}
        command = [sys.executable, "-m", "core.embedded.child", "--", sys.executable, "-m", module, *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # our own module
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, env=environment
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def wait_for(self, words: str, timeout: float = 60) -> None:
        """Return when its log has these words."""

        def heard() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.said(words)

        wait_until(heard, timeout=timeout, what=f"{words} in {self.log.name}")

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Continue it if it was stopped, and end it, cleanly if it can."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
