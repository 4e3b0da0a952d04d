"""`python -m tests.simulation --seeds N`: play seeds in several processes; what a failing one needs to be replayed."""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.simulation import seeds
from tests.simulation.play import DAYS
from tests.simulation.seeds import Outcome
from tests.support.servers import RunServers, stop


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="phantom sim", description="Play merchants' months against PHANTOM's engine.")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=DAYS, help="days of each before the peace at its end")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    asked = parser.parse_args(arguments)
    if min(asked.seeds, asked.days, asked.processes) < 1:
        parser.error("--seeds, --days and --processes are at least 1")
    began = time.monotonic()
    outcomes = []
    for outcome in played(asked.first_seed, asked.seeds, asked.days, asked.processes):
        outcomes.append(outcome)
        if outcome.violation:
            sys.stderr.write(told(outcome, asked.days) + "\n")
    figures = summary(sorted(outcomes, key=lambda one: one.seed), asked.days, time.monotonic() - began)
    sys.stdout.write((json.dumps(figures) if asked.json else table(figures)) + "\n")
    return 1 if figures["failures"] else 0


def played(first: int, number: int, days: int, processes: int) -> Iterator[Outcome]:
    """The seeds' outcomes as they come."""
    os.environ["PYTHONHASHSEED"] = "0"  # the order of a set is part of what a seed must repeat
    servers = RunServers.new()
    server = servers.postgres.start()
    try:
        context = multiprocessing.get_context("spawn")
        counter = context.Value("i", 0)
        with context.Pool(min(processes, number), seeds.prepare, (servers.as_dict(), counter)) as pool:
            work = [(seed, days) for seed in range(first, first + number)]
            yield from pool.imap_unordered(seeds.play_one, work, chunksize=1)
            pool.close()
            pool.join()
    finally:
        stop(server)
        servers.remove()


def told(outcome: Outcome, days: int) -> str:
    """What a person needs of a failed seed."""
    return "\n".join(
        [
            "",
            f"seed {outcome.seed} violates: {outcome.violation}",
            *(f"  {line}" for line in outcome.last_steps),
            f"replay: {replay(outcome.seed, days)}",
        ]
    )


def replay(seed: int, days: int) -> str:
    """The command that plays a seed again."""
    return f"./phantom sim --seeds 1 --first-seed {seed}" + (f" --days {days}" if days != DAYS else "")


def summary(outcomes: Sequence[Outcome], days: int, seconds: float) -> dict[str, Any]:
    """The one JSON object."""
    faults: Counter[str] = Counter()
    crashes: Counter[str] = Counter()
    came_of_it: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
        crashes.update(outcome.crashes)
        came_of_it.update(outcome.came_of_it)
    return {
        "seeds": len(outcomes),
        "merchant_days": len(outcomes) * days,
        "seconds": round(seconds, 1),
        "seeds_per_second": round(len(outcomes) / seconds, 2),
        "ghosts": sum(outcome.ghosts for outcome in outcomes),
        "messages": sum(outcome.messages for outcome in outcomes),
        "recoveries": sum(outcome.recoveries for outcome in outcomes),
        "reversals": sum(outcome.reversals for outcome in outcomes),
        "tasks": sum(outcome.tasks for outcome in outcomes),
        "crashes": sum(crashes.values()),
        "crashes_by_point": dict(sorted(crashes.items())),
        "faults_by_kind": dict(sorted(faults.items())),
        "what_came_of_it": dict(sorted(came_of_it.items())),
        "failures": [
            {"seed": one.seed, "violation": one.violation, "replay": replay(one.seed, days)}
            for one in outcomes
            if one.violation
        ],
    }


def table(figures: dict[str, Any]) -> str:
    """The same for people."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += [f"{name.replace('_', ' ')}:", *(f"  {key:<28} {count:>8,}" for key, count in value.items())]
        elif name != "failures":
            lines.append(f"{name.replace('_', ' '):<30} {value:>8,}")
    lines += [f"FAILED {one['seed']}: {one['violation']}\n  {one['replay']}" for one in figures["failures"]]
    return "\n".join(lines if figures["failures"] else [*lines, "every invariant held"])


if __name__ == "__main__":
    sys.exit(main())
