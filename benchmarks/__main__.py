"""`python -m benchmarks [--json] [NAME …]`: run benches and print their rows.

The exit code is 1 when one could not be run or its audit failed.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import AuditError, Row, environment
from core.errors import ConfigurationError

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
    about, rows, failures = environment(), [], []
    for name in asked.names or NAMES:
        print(f"-- {name}", file=sys.stderr, flush=True)
        try:
            given = {"seconds": asked.soak_seconds} if name == "soak" and asked.soak_seconds else {}
            rows += importlib.import_module(f"benchmarks.{name}").run(**given)
        except AuditError as error:
            failures.append(f"{name}: audit failed, no figure: {error}")
        except ConfigurationError as error:
            failures.append(f"{name}: {error.detail}")
    print(
        json.dumps({"environment": about, "rows": [row.as_dict() for row in rows]})
        if asked.json
        else table(about, rows)
    )
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def table(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """The same for people."""
    lines = [f"{key}: {value}" for key, value in about.items()]
    for row in rows:
        against = f"{row.ratio:.2f}x of {row.control} ({row.control_value:,.2f} {row.unit})" if row.control else ""
        lines.append(f"{row.measure:<44} {row.value:>12,.2f} {row.unit:<8} {against}")
        lines.append(f"{'':<44} {row.rounds} rounds, spread {row.spread:.0%}, goal {row.goal}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
