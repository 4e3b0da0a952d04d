"""`python -m sandbox.history`: build the demo's past, once.

Needs PostgreSQL (migrated) and the product's settings in the environment; nothing else of PHANTOM may run meanwhile,
no sandbox, no worker, no Sentinel. Progress goes to stdout, one line at a time:

    progress 0.42 "March 2026: 31 ghosts, 22 recovered"

Exit codes: 0 done, or the demo file was there already (then nothing is done); 1 it cannot run, with a line on
stderr; 3 there are remains of an unfinished history, or other data: start again with --reset, which empties every
table (as the owner of DATABASE_ADMIN_URL) and the data folder first.
"""

import argparse
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import psycopg
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

from core import clock, db, queue
from core.errors import ConfigurationError
from sandbox.history.build import History, Wanted, history, write_demo_file
from sandbox.history.engine import HistoryError
from sandbox.history.figures import month_in_words
from sandbox.history.reset import remains, reset
from services.operations import starting

DONE, CANNOT, REMAINS = 0, 1, 3


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    defaults = Wanted()
    parser = argparse.ArgumentParser(prog="python -m sandbox.history", description="Build the demo's past, once.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the sandbox's state")
    parser.add_argument("--demo-file", type=Path, required=True, help="written last; its presence means done")
    parser.add_argument("--clock-file", type=Path, help="the shared clock; set to the machine's time in the end")
    parser.add_argument("--months", type=float, default=defaults.months)
    parser.add_argument("--customers", type=int, default=defaults.customers)
    parser.add_argument("--seed", default=defaults.seed)
    parser.add_argument("--reset", action="store_true", help="empty database and data folder first")
    return parser.parse_args(arguments)


def say(line: str, stream: TextIO) -> None:
    """One line, at once: somebody reads along."""
    stream.write(line + "\n")
    stream.flush()


def _progress(under_way: History, share: float, moment: int) -> None:
    words = month_in_words(under_way, moment)
    say(f'progress {min(share, 0.99):.2f} "{words}"', sys.stdout)


def do_not_wait_for_the_disk() -> None:
    """An unfinished history is thrown away whole, so its commits need not be on the disk one by one."""

    def relax(connection: "psycopg.Connection[tuple[object, ...]]", _record: object) -> None:
        former, connection.autocommit = connection.autocommit, True
        connection.execute("set synchronous_commit = off")
        connection.autocommit = former

    for engine in db.ENGINES:
        event.listen(engine(), "connect", relax)
    db.dispose()


def wait_for_the_disk() -> None:
    """One commit that waits: the log is written in order, so all before it is on the disk then as well."""
    with db.system_session() as session:
        session.execute(text("set local synchronous_commit = on"))
        session.execute(text("select pg_logical_emit_message(true, 'phantom.history', 'complete')"))


def build(options: argparse.Namespace) -> None:
    """Live the history and say so."""
    do_not_wait_for_the_disk()
    wanted = Wanted(options.months, options.customers, options.seed, options.data)
    with history(wanted) as under_way:
        merchant = under_way.run(lambda share, moment: _progress(under_way, share, moment))
    wait_for_the_disk()
    if options.clock_file:
        clock.write_offset(options.clock_file, timedelta())
    write_demo_file(options.demo_file, merchant)
    say('progress 1.00 "done"', sys.stdout)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    logging.disable(logging.WARNING)  # months of routine in a minute
    if options.demo_file.exists():
        return DONE
    try:
        starting.prepare()
        if options.reset:
            reset(options.data)
        elif found := remains(options.data):
            say(f"cannot build the history: {found}; use --reset", sys.stderr)
            return REMAINS
        build(options)
    except (starting.Refusal, ConfigurationError, HistoryError, psycopg.Error, SQLAlchemyError, OSError) as error:
        say(f"cannot build the history: {error}", sys.stderr)
        return CANNOT
    finally:
        db.dispose()
        queue.disconnect()
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
