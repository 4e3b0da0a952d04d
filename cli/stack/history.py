"""The demo's past: lived by the engine itself on the sandbox's clock, once a folder, before anything else runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

from cli.errors import CommandError
from cli.paths import ROOT
from cli.stack.environment import Stack
from cli.stack.progress import Progress
from core.embedded.process import last_complaint

_REMAINS = 3  # exit code: there is data already
_LINE = re.compile(r'progress (?P<share>[0-9.]+) (?P<words>".*")')


def is_wanted(stack: Stack) -> bool:
    """Whether this demo has no past yet; the demo file is the last thing its making writes."""
    return stack.is_demo and not (stack.folder.path / "demo.json").exists()


def prepare_history(stack: Stack, progress: Progress, environment: dict[str, str]) -> None:
    """Make the demo merchant and its months. `environment` has the owner's login, for beginning again.

    A history that was interrupted is cleared away and begun anew, but only data that our own mark says is the
    remains of one: anything else in the database is somebody's work.
    """
    mark, log = _mark(stack), stack.folder.logs / "history.log"
    interrupted = mark.exists()
    mark.touch()
    reset = ["--reset"] if interrupted else []
    code = _live(stack, progress, environment, log, reset)
    if code == _REMAINS:
        mark.unlink()
        raise CommandError(
            f"the demo's history needs an empty database ({last_complaint(log)}): "
            f"remove {stack.folder.path} to begin anew, or start with --no-history"
        )
    if code != 0:
        raise CommandError(f"the demo's history cannot be made: {last_complaint(log) or f'see {log}'}")
    mark.unlink()


def go_without(stack: Stack) -> None:
    """Somebody is going to work in this folder without a history: nothing in it is the remains of one any more."""
    _mark(stack).unlink(missing_ok=True)


def _mark(stack: Stack) -> Path:
    return stack.folder.path / "history.unfinished"


def _live(stack: Stack, progress: Progress, environment: dict[str, str], log: Path, flags: list[str]) -> int:
    """Run it to its end, showing how far it has come; its exit code."""
    folder = stack.folder.path
    command = [
        sys.executable, "-m", "core.embedded.child", "--", sys.executable, "-m", "sandbox.history",
        "--data", str(folder / "sandbox"), "--demo-file", str(folder / "demo.json"),
        "--clock-file", stack.variables["PHANTOM_CLOCK_FILE"], *flags,
    ]  # fmt: skip
    with (
        log.open("wb") as errors,
        progress.bar("Six months of demo history") as advance,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=environment
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if found := _LINE.match(line):
                    advance(float(found["share"]), str(json.loads(found["words"])))
        except KeyboardInterrupt:
            process.terminate()
            raise
    return process.returncode
