"""How the working processes start, are scraped, and end: with work done, or with one clear line and exit code 1."""

import argparse
import gc
import sys
from collections.abc import Callable

from core import db, metrics
from services.operations.starting import Refusal, prepare


def _answer_scrapes(options: argparse.Namespace) -> None:
    from jobs import scraped  # what nobody asked for is not imported

    try:
        scraped.serve(options.metrics_port, options.metrics_host)
    except OSError as error:
        raise Refusal(f"{options.metrics_host}:{options.metrics_port} cannot be used: {error.strerror}") from None


def add_metrics_options(parser: argparse.ArgumentParser) -> None:
    """Options of a process whose host has no web server that would answer /metrics for it."""
    parser.add_argument("--metrics-port", type=int, help="answer /metrics on this port")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="and on this address (default: %(default)s)")


def collect_seldom() -> None:
    """Look for cycles among objects less often, and never among what was imported.

    A page of work makes tens of thousands of objects that die without the collector; at its usual 700 it walks them
    all again and again, a fifth of a pulse's processor time (`python -m benchmarks.pulse`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(name: str, work: Callable[[], None], options: argparse.Namespace | None = None) -> int:
    """Prepare, then `work` until it returns; the process's exit code. `options`: of `add_metrics_options`."""
    try:
        settings = prepare()
        if settings.phantom_metrics_folder is not None:
            metrics.share(settings.phantom_metrics_folder)
        if options is not None and options.metrics_port is not None:
            _answer_scrapes(options)
    except Refusal as refusal:
        print(f"PHANTOM's {name} cannot start: {refusal}", file=sys.stderr, flush=True)  # noqa: T201  # for a person
        return 1
    collect_seldom()
    work()
    db.dispose()
    return 0
