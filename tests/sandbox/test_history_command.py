"""`python -m sandbox.history` as `phantom up` calls it: progress, the demo file last, remains of an unfinished one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.history.__main__ import CANNOT, DONE, REMAINS
from tests.sandbox.process import ROOT
from tests.support import environment
from tests.support.database import WorkerDatabase

SANDBOX = "http://127.0.0.1:12111"
Result = subprocess.CompletedProcess[str]


class Command:
    """The command with a few customers and a week."""

    def __init__(self, folder: Path) -> None:
        self.data, self.demo, self.clock = folder / "sandbox", folder / "demo.json", folder / "clock.json"

    def run(self, *flags: str) -> Result:
        command = [sys.executable, "-m", "sandbox.history", "--data", str(self.data), "--demo-file", str(self.demo)]
        command += ["--clock-file", str(self.clock), "--months", "0.25", "--customers", "6", *flags]
        return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=90)  # noqa: S603  # our own


@pytest.fixture
def command(database: WorkerDatabase, redis_url: str, tmp_path: Path) -> Iterator[Command]:
    bases = dict.fromkeys(("STRIPE_API_BASE", "STRIPE_CONNECT_BASE", "RESEND_API_BASE"), SANDBOX)
    with environment.changed(**bases):
        yield Command(tmp_path)


def test_a_first_start_an_interrupted_one_and_a_new_beginning(command: Command):
    first = command.run()
    assert (first.returncode, first.stderr) == (DONE, "")
    lines = first.stdout.splitlines()[1:]  # the first one is the vault's
    assert all(re.fullmatch(r'progress [01]\.\d\d ".+"', line) for line in lines), first.stdout
    assert lines[-1] == 'progress 1.00 "done"'
    made = json.loads(command.demo.read_text())
    assert made.keys() == {"merchant_id", "email", "password", "account_id"}
    assert json.loads(command.clock.read_text()) == {"offset_seconds": 0.0}

    again = command.run()
    assert (again.returncode, again.stdout) == (DONE, ""), "a history that is there is left alone"

    command.demo.unlink()  # as after a kill: everything but the last step
    refused = command.run()
    assert refused.returncode == REMAINS
    assert "--reset" in refused.stderr
    assert not command.demo.exists()

    anew = command.run("--reset")
    assert anew.returncode == DONE, anew.stderr
    assert json.loads(command.demo.read_text())["merchant_id"] != made["merchant_id"]


def test_a_database_that_is_away_is_one_clear_line(command: Command):
    with environment.changed(DATABASE_SYSTEM_URL="postgresql://nobody@127.0.0.1:1/none"):
        result = command.run()
    assert result.returncode == CANNOT
    assert result.stderr.startswith("cannot build the history: ")
    assert len(result.stderr.splitlines()) == 1
    assert not command.data.exists()
