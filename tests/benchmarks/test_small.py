"""Benches run whole at a small size, with their audits: what they call has not moved away from under them.

Each in a process of its own, as people run them: they point the settings of their process at servers of their own.
"""

import dataclasses
import json
import math
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Row
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
# What `phantom bench NAME` prints at a small size; the first of each as the product's specification calls it.
MEASURES = {
    "intake": ["webhook intake vs bare starlette insert", "webhook intake vs pgbench insert"],
    "burst": [
        "ack in a 10× burst, p99",
        "ack in a 10× burst, max",
        "burst rate (40 % of the closed-loop peak)",
        "burst: events that wait at the end",
        "burst: events handled meanwhile, by one worker",
        "burst: the generator's own CPU",
    ],
    "wakeup": ["commit → handler idle", "commit → handler loaded", "commit → handler loaded: rate offered"],
    "dashboard": ["dashboard at 100x history vs 1x history", "dashboard p99 at 100x history"],
    "hunt": [
        "hunt of 50 ghosts",
        "hunt of 50 ghosts: peak memory",
        "hunt of 50 ghosts: rate limit used",
        "hunt of 50 ghosts: time",
    ],
}
AND_MORE = {"intake": 6}  # with two workers, and who had the processors
KEYS = [field.name for field in dataclasses.fields(Row)]
# What happens behind a bench's back (`small_benches`), and what its audit says to it.
SPOILT = {
    "intake": r"intake: events with their task, and tasks: expected \((\d+), \1\), found",
    "burst": r"stored events, and those with a task: expected \((\d+), \1\), found",
    "wakeup": r"tasks that were started: expected \{1, .*\}, found \{0, 1, ",
    "dashboard": r"the dashboard's figures: expected \{'found': \d+, ",
    "hunt": r"listed and found: expected \(15, 5\), found \(18, 6\)",
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


class TestOfThoseWithANameOfTheirOwn:
    @pytest.mark.parametrize("name", MEASURES)
    def test_it_prints_its_rows_and_nothing_else(self, name: str) -> None:
        done = small(name)
        assert done.returncode == 0, done.stderr[-2000:]
        rows = rows_of(done.stdout)
        assert [row["measure"] for row in rows][: len(MEASURES[name])] == MEASURES[name]
        assert len(rows) == len(MEASURES[name]) + AND_MORE.get(name, 0)
        for row in rows:
            assert_whole(row)

    @pytest.mark.parametrize("name", SPOILT)
    def test_it_prints_no_figure_when_a_count_is_wrong(self, name: str) -> None:
        done = small(name, "spoilt")
        assert (done.returncode, rows_of(done.stdout)) == (1, [])
        assert re.search(f"{name}: audit failed, no figure: {SPOILT[name]}", done.stderr), done.stderr[-2000:]


def small(name: str, *spoilt: str) -> "subprocess.CompletedProcess[str]":
    if name in ("intake", "burst") and shutil.which("wrk") is None:
        pytest.skip("there is no wrk on this machine")
    return bench("-m", "tests.support.small_benches", name, *spoilt)


def rows_of(said: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said)["rows"]
    return found


def assert_whole(row: dict[str, Any]) -> None:
    """Every key, a figure that is one, and of a control all or nothing; of one round the ratio is that of the two."""
    assert list(row) == KEYS
    assert math.isfinite(row["value"])
    assert row["value"] > 0, row
    assert (row["rounds"], row["spread"]) == (1, 0.0)
    assert row["unit"]
    assert row["goal"]
    if row["control"] is None:
        assert (row["control_value"], row["ratio"]) == (None, None)
    else:
        assert row["ratio"] == pytest.approx(row["value"] / row["control_value"])


def figure(said: str, measure: str) -> float:
    line = next((line for line in said.splitlines() if line.startswith(measure)), f"{measure} 0")
    return float(line.removeprefix(measure).split()[0].replace(",", ""))


def run(*arguments: str) -> str:
    """What it printed. Fails where the bench does or does not end in time; its servers end with it."""
    done = bench(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # our own modules
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


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
