"""Benches run whole at a small size, with their audits: what they call has not moved away from under them.

Each in a process of its own, as people run them: they point the settings of their process at servers of their own.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.paths import ROOT
from tests.support.wait import wait_until

_PRINTED = "from benchmarks import {0}; from benchmarks.__main__ import table; print(table({{}}, {0}.run({1})))"
SMALL = {
    "pulse 200": "pulse of 200 ghosts, planned in",
    "rendering 20": "mails in a merchant's own words",
    "sending 6 1": "6 messages due at once: others with their own key, late, p99",
    "sizes 0.5 20": "events of a ghost",
    "stops 40": "40 replies of STOP at once, two web processes, p99",
}
SMALLER_THAN_ASKED_FOR = {
    ("rls", "rounds=2, repeats=1"): "row-level security, ratio surely below",
    ("tasks", "rounds=1, count=100, jobs=250, flood=30_000"): "ten tasks behind 30,000 of another merchant, p50",
}
PATIENCE_SECONDS = 220.0
pytestmark = pytest.mark.timeout(240)  # much of it is waiting; on a busy machine all of it is


@pytest.mark.parametrize("command", SMALL)
def test_is_whole_and_says_what_it_measured(command: str) -> None:
    module, *sizes = command.split()
    assert figure(run("-m", f"benchmarks.{module}", *sizes), SMALL[command]) > 0


@pytest.mark.parametrize(("module", "given"), SMALLER_THAN_ASKED_FOR)
def test_so_are_those_that_people_can_only_run_large(module: str, given: str) -> None:
    assert figure(run("-c", _PRINTED.format(module, given)), SMALLER_THAN_ASKED_FOR[module, given]) > 0


def figure(said: str, measure: str) -> float:
    line = next((line for line in said.splitlines() if line.startswith(measure)), f"{measure} 0")
    return float(line.removeprefix(measure).split()[0].replace(",", ""))


def run(*arguments: str) -> str:
    """What it printed. Fails where the bench does or does not end in time; its servers end with it."""
    done = subprocess.run(  # noqa: S603  # our own modules
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_what_a_bench_started_ends_with_it_whatever_it_dies_of(tmp_path: Path) -> None:
    log = tmp_path / "bench.log"
    program = (
        "import os, pathlib, signal; from benchmarks.processes import running\n"
        f"with running('http.server', '0', log=pathlib.Path({str(log)!r})) as server:\n"
        f"    pathlib.Path({str(log)!r}).write_text(str(server.pid)); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)  # noqa: S603  # above
    assert done.returncode == -signal.SIGKILL
    server = Path(f"/proc/{int(log.read_text())}")
    wait_until(lambda: not server.exists() or "\nState:\tZ" in (server / "status").read_text(), what="it ended too")
