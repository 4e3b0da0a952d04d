"""Processes a bench starts: PHANTOM's own, in the place the bench made, gone when it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import BenchError
from cli.paths import ROOT
from core.embedded.process import owner_environment

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0


class NotStartedError(BenchError):
    """A process of the bench ended or did not get ready; the message has what it said last."""


@contextlib.contextmanager
def running(module: str, *arguments: str, log: Path, port: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m module` for the length of a block; with `port`, from the moment that something listens there.

    It ends with the bench, whatever that dies of. Raises `NotStartedError` when it does not start.
    """
    command = [sys.executable, "-m", "core.embedded.child", "--", sys.executable, "-m", module, *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # our own modules
            command, cwd=ROOT, env=owner_environment(), stdout=output, stderr=output
        )
    try:
        if port is not None:
            _wait_for_listener(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_listener(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStartedError(f"{log.stem} did not start: {log.read_text()[-800:]}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


def worker_processes(parent: int) -> list[int]:
    """The children of a process that are alive."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in listed]


def resident_mb(pid: int) -> float:
    """Memory of a process that is its own (unique set size): what it shares with its parent since the fork is not."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] if ":" in line
    )
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time a process of one thread has had so far, to the nanosecond (`/proc/<pid>/schedstat`)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def tree_seconds(pid: int) -> float:
    """Processor time of a process and of all its children so far, those included that have ended; to 10 ms.

    Of a process that ends just now its parent tells the next time.
    """
    try:
        children, stat = worker_processes(pid), Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # after the name in brackets, which may hold anything: state, ..., and utime, stime, cutime, cstime at 12 to 15
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(map(tree_seconds, children))
