"""How long PHANTOM takes to be there: the web server from a finished build, `up` again, and a stranger's first `up`.

The first `up` is a fresh clone of what is committed, with empty caches of every package manager, so it needs a network
and is played once. `python -m benchmarks.start quick` leaves it out.

It has no small size for the tests: what it measures is the whole of a start, which needs a finished build of the pages.
Its parts are tested with a checkout that only pretends.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROUNDS, BenchError, Place, Row, Samples, alone, audit, place
from cli.paths import ROOT
from cli.stack.ready import fetch, pause
from core.config import Settings
from core.embedded.process import free_port
from phantom_app.build import ensure_built

FINISHED_BUILD, FIRST_UP = "start from a finished build", "first `up` with cold caches"
START_SECONDS, STOP_SECONDS, FIRST_UP_SECONDS = 120.0, 60.0, 1200.0
_HISTORY = re.compile(r"Six months of demo history\D+(\d+\.\d) s")
_CACHES = ("UV_CACHE_DIR", "PIP_CACHE_DIR", "npm_config_cache", "XDG_CACHE_HOME")


def run(*, first_up: bool = True) -> list[Row]:
    """From the quickest to the slowest."""
    ensure_built()
    with place() as here:
        rows = [_serve(here)]
    rows.append(_second_up())
    return [*rows, *(_first_up() if first_up else [])]


def _serve(here: Place) -> Row:
    taken = [_until_ready(here.folder / "serve.log") for _ in range(ROUNDS)]
    return alone(FINISHED_BUILD, Samples(tuple(taken)), "s", "at most 5 s")


def _until_ready(log: Path) -> float:
    """Seconds from calling `serve` to the first 200 of /health/ready."""
    port = free_port()
    command = [sys.executable, "-m", "cli", "serve", "--no-build", "--port", str(port)]
    begun = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)  # noqa: S603  # our own command
    try:
        while (answer := fetch(f"http://127.0.0.1:{port}/health/ready")) is None or answer[0] != 200:
            if process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                raise BenchError(f"the web server is not ready: {answer}; {log.read_text()[-800:]}")
            pause()
        return time.monotonic() - begun
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)


def _second_up() -> Row:
    """`up --detach` on a folder that has been up before, without a history: servers, schema, sandbox, processes."""
    with _folder() as folder:
        environment = {**_strangers(), "PHANTOM_FOLDER": str(folder / "state")}
        taken = [_up([sys.executable, "-m", "cli"], ROOT, environment, "--no-history")[0] for _ in range(ROUNDS + 1)]
    return alone("second `up`", Samples(tuple(taken[1:])), "s", "at most 10 s")


def _first_up() -> list[Row]:
    """A clone of what is committed, nothing cached: environment, packages, pages, history. One round, for the load
    that it is for the registries it asks.
    """
    with _folder() as folder:
        clone = folder / "phantom"
        _ran(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], folder, dict(os.environ))
        environment = {**_strangers(), **{name: str(folder / "caches" / name) for name in _CACHES}}
        seconds, told = _up([str(clone / "phantom")], clone, environment)
    history = _HISTORY.search(told)
    audit(expected=True, found=history is not None, what="the history's line in what `up` said")
    return [
        alone(FIRST_UP, Samples((seconds,)), "s", "at most 180 s on 2 cores"),
        alone(
            "history of the first `up`",
            Samples((float(history.group(1)) if history else 0.0,)),
            "s",
            "at most 60 s of it",
        ),
    ]


def _up(phantom: list[str], checkout: Path, environment: dict[str, str], *flags: str) -> tuple[float, str]:
    """Seconds of one `up --detach`, and what it said. It is looked at, then stopped, whatever happened."""
    command = [*phantom, "up", "--detach", "--port", str(free_port()), *flags]
    begun = time.monotonic()
    try:
        done = _ran(command, checkout, environment)
        seconds = time.monotonic() - begun
        told = _ran([*phantom, "status", "--json"], checkout, environment)
        audit(expected="ready", found=json.loads(told.stdout)["health"]["status"], what="health after `up`")
        return seconds, done.stderr
    finally:
        subprocess.run([*phantom, "down"], cwd=checkout, env=environment, capture_output=True, check=False)  # noqa: S603


def _ran(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A program that must succeed in time; raises `BenchError` with what it said last."""
    try:
        done = subprocess.run(  # noqa: S603  # our own launcher, and git
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=FIRST_UP_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"`{' '.join(command)}` took more than {FIRST_UP_SECONDS:g} s") from error
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(command)}`: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done


def _strangers() -> dict[str, str]:
    """The environment of a shell that says nothing of PHANTOM."""
    ours = {name.upper() for name in Settings.model_fields} | {"PHANTOM_FOLDER"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="phantom-bench-start-"))
    folder.chmod(0o711)  # as root PostgreSQL runs as `nobody`, who must be able to pass
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for row in run(first_up="quick" not in sys.argv[1:]):
        sys.stdout.write(json.dumps(row.as_dict()) + "\n")
