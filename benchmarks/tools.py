"""Programs that measure from outside: wrk and pgbench, found or brought where that can be done without asking."""

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.deliveries import Deliveries
from benchmarks.harness import BenchError
from core.embedded.install import wheel_binaries
from core.errors import ConfigurationError

CONNECTIONS = 64
_THREADS = 2
_INSTALL_SECONDS = 600
_HEADROOM = 1.6
_PROCESSED, _RATE = re.compile(r"actually processed: (\d+)"), re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_SCRIPT = Path(__file__).with_name("deliveries.lua")


def _install(package: str) -> None:
    """Debian's package, as root; whoever is not root is told what to install."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", package]):
            subprocess.run(step, env=quiet, capture_output=True, timeout=_INSTALL_SECONDS, check=False)  # noqa: S603


def find_wrk() -> str:
    """wrk (github.com/wg/wrk). Raises `ConfigurationError` with what to do where there is none."""
    if shutil.which("wrk") is None:
        _install("wrk")
    if found := shutil.which("wrk"):
        return found
    raise ConfigurationError("this bench needs wrk: install it (Debian: apt-get install wrk)")


def find_pgbench() -> str:
    """The embedded PostgreSQL's own pgbench, else one on the path or Debian's. Raises `ConfigurationError`."""
    if os.access(bundled := wheel_binaries() / "pgbench", os.X_OK):
        return str(bundled)
    if shutil.which("pgbench") is None:
        _install("postgresql-contrib")
    if found := shutil.which("pgbench"):
        return found
    raise ConfigurationError("this bench needs pgbench: install it (Debian: apt-get install postgresql-contrib)")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. Latencies in milliseconds."""

    acknowledged: int
    seconds: float
    refused: int
    """Answers that were not 2xx or 3xx."""
    broken: int
    """Connections that could not be made, read, written, or that timed out."""
    p99: float
    slowest: float
    cpu_seconds: float = 0.0
    """Processor time of wrk itself."""

    @property
    def rate(self) -> float:
        return self.acknowledged / self.seconds


def run_wrk(port: int, deliveries: Deliveries, seconds: int, expected_rate: float, folder: Path) -> Load:
    """Deliver as fast as the server answers, for `seconds`, on 64 connections.

    Raises `BenchError` when wrk fails, or the server was so quick that the requests made for `expected_rate` ran out.
    """
    program, base = find_wrk(), folder / "requests"
    each = int(expected_rate * seconds * _HEADROOM / _THREADS) + CONNECTIONS
    files = [Path(f"{base}.{number}") for number in range(_THREADS)]
    for path in files:
        _write(path, deliveries.make(each))
    spent = _children_seconds()
    try:
        outcome = subprocess.run(  # noqa: S603  # a fixed program, our own script
            [program, "-t", str(_THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "10s", "-s",
             str(_SCRIPT), f"http://127.0.0.1:{port}", "--", str(base), str(deliveries.size)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        for path in files:
            path.unlink()
    load = replace(_load(outcome), cpu_seconds=_children_seconds() - spent)
    if load.acknowledged > each * _THREADS - 2 * CONNECTIONS:
        raise BenchError(f"{each * _THREADS} requests were too few for {seconds} s: give a higher expected rate")
    return load


def _children_seconds() -> float:
    """Processor time of all children that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _load(outcome: "subprocess.CompletedProcess[str]") -> Load:
    """What our script printed last, whatever wrk itself printed before."""
    said = outcome.stdout.strip().splitlines()[-1:]
    if outcome.returncode != 0 or not said or not said[0].startswith("{"):
        raise BenchError(f"wrk: exit code {outcome.returncode}: {outcome.stderr.strip()[-500:]}")
    return Load(**json.loads(said[0]))


def _write(path: Path, requests: Iterable[bytes]) -> None:
    with path.open("wb", buffering=1 << 20) as file:
        file.writelines(requests)


def run_pgbench(url: str, script: str, seconds: int, variables: dict[str, str], folder: Path) -> tuple[int, float]:
    """`pgbench -M prepared` with 64 clients: transactions, and how many a second once all were connected.

    Raises `BenchError` when one failed.
    """
    parts, path = urlsplit(url), folder / "pgbench.sql"
    path.write_text(script)
    given = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    outcome = subprocess.run(  # noqa: S603  # a fixed program, our own script
        [find_pgbench(), "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", str(_THREADS), "-T", str(seconds),
         "-f", str(path), *given, "-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username),
         parts.path.lstrip("/")],
        env={**os.environ, "PGPASSWORD": unquote(parts.password or "")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    processed, rate = _PROCESSED.search(outcome.stdout), _RATE.search(outcome.stdout)
    if outcome.returncode != 0 or processed is None or rate is None:
        raise BenchError(f"pgbench: {(outcome.stderr.strip() or outcome.stdout.strip())[-500:]}")
    return int(processed[1]), float(rate[1])
