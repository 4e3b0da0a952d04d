"""How much room a ghost takes, table by table: what never goes away decides how large a disk has to be.

`python -m benchmarks.sizes [MONTHS [CUSTOMERS]]`; beside `phantom bench`, whose names are fixed. The demo's history,
with fewer customers, is played by the real engine against the sandbox; then each table's growth with its indexes is
divided by the ghosts there are. One merchant, so what tables share (an index's first pages) counts against it.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks.__main__ import table
from benchmarks.harness import BenchError, Place, Row, Samples, alone, audit, place
from benchmarks.machine import environment
from cli.paths import ROOT
from core.embedded.process import owner_environment

MONTHS, CUSTOMERS = 6.0, 120
FOR_GOOD = ("ghost_targets", "ghost_events", "recoveries", "payment_attempts", "messages", "link_tokens")
_NOBODY = "http://127.0.0.1:1"  # the history's sandbox is in its own process

_SIZES = """
select relname, pg_total_relation_size(oid) from pg_class
where relkind = 'r' and relname = any(%s)
"""
_GHOSTS = "select count(*), (select count(*) from ghost_events) from ghost_targets"


def run(months: float = MONTHS, customers: int = CUSTOMERS) -> list[Row]:
    """Bytes a ghost of each table that keeps something of it for good, and how many events it has."""
    with place() as at, psycopg.connect(at.logins.owner.url, autocommit=True) as owner:
        before = _sizes(owner)
        _history(at, months, customers)
        owner.execute("vacuum full ghost_targets, ghost_events, messages, payment_attempts, recoveries")
        after, (ghosts, events) = _sizes(owner), owner.execute(_GHOSTS).fetchone() or (0, 0)
    audit(expected=True, found=ghosts > 0 and events >= ghosts, what="every ghost has an event")
    each = Samples((events / ghosts,))
    return [
        alone("ghosts of the demo's history", Samples((float(ghosts),)), "ghosts", "reported"),
        alone("events of a ghost", each, "rows", "reported"),
        *(_row(name, (after[name] - before[name]) / ghosts) for name in FOR_GOOD),
    ]


def _row(name: str, size: float) -> Row:
    return alone(f"{name}, of a ghost", Samples((size / 1000,)), "kB", "reported")


def _sizes(owner: "psycopg.Connection[Any]") -> dict[str, int]:
    return {str(name): int(size) for name, size in owner.execute(_SIZES, (list(FOR_GOOD),))}


def _history(at: Place, months: float, customers: int) -> None:
    files = {name: str(at.folder / name) for name in ("sandbox", "demo.json", "clock.json")}
    command = [
        *(sys.executable, "-m", "sandbox.history", "--data", files["sandbox"], "--demo-file", files["demo.json"]),
        *("--clock-file", files["clock.json"], "--months", f"{months:g}", "--customers", str(customers)),
    ]
    bases = dict.fromkeys(("STRIPE_API_BASE", "STRIPE_CONNECT_BASE", "RESEND_API_BASE"), _NOBODY)
    done = subprocess.run(  # noqa: S603  # our own module
        command, cwd=ROOT, env={**owner_environment(), **bases}, capture_output=True, text=True, check=False
    )
    if done.returncode != os.EX_OK:
        raise BenchError(f"the history: {done.stderr.strip()[-500:]}")


def main(arguments: Sequence[str]) -> int:
    given: dict[str, Any] = dict(zip(("months", "customers"), (float(each) for each in arguments), strict=False))
    print(table(environment(), run(given.get("months", MONTHS), int(given.get("customers", CUSTOMERS)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
