"""`python -m benchmarks [--json] [NAME …]`: run benches and print their rows.

The exit code is 1 when one could not be run or its audit failed; the rows of the others are printed all the same.
"""

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import SERVERS, AuditError, BenchError, Row
from benchmarks.machine import environment
from cli.errors import CommandError
from core.errors import PhantomError

# In the order of PRODUCT's table. A module's `run()` returns its rows.
NAMES = ("intake", "burst", "tasks", "wakeup", "dashboard", "hunt", "rls", "start", "soak")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="phantom bench", description="Measure PHANTOM against controls.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(NAMES)}; all without it")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--soak-seconds", type=float, metavar="N", help="how long `soak` lasts; 600 without it")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no bench called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    about, rows, failures = environment(), list[Row](), list[str]()
    try:
        for name in asked.names or NAMES:
            print(f"-- {name}", file=sys.stderr, flush=True)
            given = {"seconds": asked.soak_seconds} if name == "soak" and asked.soak_seconds else {}
            _measure(name, given, rows, failures)
    finally:  # also when somebody has waited long enough, or a bench has a fault of its own
        print(_told({**about, **SERVERS}, rows, as_json=asked.json), flush=True)
        for failure in failures:
            print(failure, file=sys.stderr)
    return 1 if failures else 0


def _measure(name: str, given: dict[str, float], rows: list[Row], failures: list[str]) -> None:
    """Add a bench's rows, all of them or none, or why there are none."""
    try:
        rows += importlib.import_module(f"benchmarks.{name}").run(**given)
    except AuditError as error:
        failures.append(f"{name}: audit failed, no figure: {error}")
    except (BenchError, CommandError) as error:
        failures.append(f"{name}: not measured: {error}")
    except PhantomError as error:
        failures.append(f"{name}: {error.detail}")


def _told(about: dict[str, Any], rows: Sequence[Row], *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"environment": about, "rows": [row.as_dict() for row in rows]})
    return table(about, rows)


def table(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """The same for people."""
    lines = [f"{key}: {value}" for key, value in about.items()]
    for row in rows:
        against = f"{row.ratio:.2f}x of {row.control} ({row.control_value:,.2f} {row.unit})" if row.control else ""
        lines.append(f"{row.measure:<44} {row.value:>12,.2f} {row.unit:<8} {against}")
        lines.append(f"{'':<44} {row.rounds} rounds, spread {row.spread:.0%}, goal {row.goal}")
    return "\n".join(lines)


def _end(number: int, _frame: object) -> None:
    """Whoever ends a bench ends its servers too: by leaving through every `finally`."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
