"""Crash points: each exists once in the sources, costs nothing unarmed, and kills one process a file."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.paths import ROOT
from core import config, crash_points
from core.errors import ConfigurationError
from tests.support import environment

_PASSED = re.compile(r'crash_point\("([^"]+)"\)')


def test_every_point_is_passed_somewhere_once_and_no_other_is() -> None:
    sources = [path for top in ("jobs", "services", "phantom_app") for path in (ROOT / top).rglob("*.py")]
    passed = [name for path in sources for name in _PASSED.findall(path.read_text())]

    assert sorted(passed) == sorted(crash_points.POINTS)


def test_unarmed_a_point_does_nothing() -> None:
    crash_points.crash_point("tasks.ran")


def test_a_test_hears_of_the_points_its_process_passes_and_only_inside_the_block() -> None:
    heard: list[str] = []
    with crash_points.reached(heard.append):
        crash_points.crash_point("tasks.ran")
    crash_points.crash_point("tasks.settled")

    assert heard == ["tasks.ran"]


def _pass_points(folder: Path) -> int:
    code = (
        "import sys, pathlib; from core import crash_points; crash_points.arm_from(pathlib.Path(sys.argv[1])); "
        "crash_points.crash_point('tasks.ran'); crash_points.crash_point('tasks.settled')"
    )
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603  # our own code above


def test_one_file_is_one_death(tmp_path: Path) -> None:
    (tmp_path / "tasks.settled").touch()

    assert _pass_points(tmp_path) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    assert _pass_points(tmp_path) == 0


def test_live_mode_refuses_to_start_with_crash_points(tmp_path: Path) -> None:
    live = {"PHANTOM_MODE": "live", "PHANTOM_CLOCK_FILE": "", "PHANTOM_DEMO_FILE": ""}
    with (
        environment.changed(**live, PHANTOM_CRASH_FOLDER=str(tmp_path)),
        pytest.raises(ConfigurationError, match="PHANTOM_CRASH_FOLDER"),
    ):
        config.settings()
