"""Benches run whole at a small size, with their audits: what they call has not moved away from under them.

Each in a process of its own, as people run them: they point the settings of their process at servers of their own.
"""

import subprocess
import sys

import pytest

from cli.paths import ROOT

SMALL = {
    "pulse 200": "pulse of 200 ghosts, planned in",
    "rendering 20": "mails in a merchant's own words",
    "sending 6 1": "6 messages due at once: others with their own key, late, p99",
    "stops 40": "40 replies of STOP at once, two web processes, p99",
}
PATIENCE_SECONDS = 110.0


@pytest.mark.parametrize("command", SMALL)
def test_is_whole_and_says_what_it_measured(command: str) -> None:
    module, *sizes = command.split()
    said = run(f"benchmarks.{module}", *sizes)
    line = next((line for line in said.splitlines() if line.startswith(SMALL[command])), "")
    assert float(line.removeprefix(SMALL[command]).split()[0].replace(",", "")) > 0


def run(module: str, *arguments: str) -> str:
    """What it printed. Fails where the bench does or does not end in time; its servers end with it."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(  # noqa: S603  # our own modules
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
