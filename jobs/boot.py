"""How the working processes start: settings, logs, clock, vault and database, or one clear line and exit code 1."""

import argparse
import sys
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import config, db, logging, metrics
from core.errors import ConfigurationError, PhantomError
from services.vault import service as vault


class Refusal(Exception):
    """A reason not to start, in one line for a person."""


def prepare() -> config.Settings:
    """Everything a working process needs before its first task. Raises `Refusal`."""
    try:
        settings = config.settings()
    except ConfigurationError as error:
        raise Refusal(error.detail) from None
    logging.configure(settings.phantom_log_level)
    config.install_test_doubles(settings)
    try:
        vault.boot()
    except PhantomError as error:
        raise Refusal(f"the vault's self-test failed: {error.detail}") from None
    for name, session in (("DATABASE_SYSTEM_URL", db.system_session), ("DATABASE_URL", db.user_session)):
        try:
            with session() as opened:
                opened.execute(text("select 1"))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise Refusal(f"the database of {name} cannot be used: {reason}") from None
    return settings


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
    work()
    db.dispose()
    return 0
