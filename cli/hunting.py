"""`hunt`: one Ghost Hunter scan of one merchant, in the foreground."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.errors import CommandError
from cli.stack.handover import use_running_stack

if TYPE_CHECKING:
    from services.hunter.schemas import HuntProgress

Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A UTC day; the whole of it is in the window.")]


def register(app: typer.Typer) -> None:
    app.command()(hunt)


def hunt(
    context: typer.Context,
    merchant: Annotated[str, typer.Option(help="The merchant's id.")],
    since: Day = None,
    until: Day = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Scan a merchant's Stripe account for ghosts. With a window it is the historic audit of those days.

    The result is on stdout, how far it has come on stderr. A hunt that Stripe interrupted goes on when called again.
    """
    from core import config
    from jobs.hunt import as_figures
    from services.hunter.schemas import HuntRequest

    use_running_stack(context.obj)
    config.install_test_doubles(config.settings())
    logging.getLogger().addHandler(logging.NullHandler())  # a person reads this: what matters is in the one line
    begin, end = _start_of(since), _end_of(until)
    request = HuntRequest(trigger="command", since=begin, until=end, audit=begin is not None or end is not None)
    with _display(Console(stderr=True, highlight=False, soft_wrap=True), lines=not as_json) as show:
        figures = as_figures(_run(merchant, request, show))
    typer.echo(json.dumps(figures) if as_json else "  ".join(f"{name} {value}" for name, value in figures.items()))


def _run(merchant_id: str, request: Any, show: "Callable[[HuntProgress], None]") -> "HuntProgress":
    """The worker's own loop. What made it stop is one line that says whether calling again goes on."""
    from core.errors import PhantomError
    from jobs import hunt as job
    from services.integrations.stripe.errors import StripeRateLimitedError, StripeUnavailableError

    try:
        return job.hunt(merchant_id, request, show)
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise CommandError(f"{error.detail}; the same command later goes on where this hunt stopped") from None
    except PhantomError as error:
        raise CommandError(f"the hunt ended: {error.detail}") from None


@contextlib.contextmanager
def _display(console: Console, *, lines: bool) -> "Iterator[Callable[[HuntProgress], None]]":
    """Shows how far a hunt has come: one living line on a terminal, elsewhere a plain one a page, or nothing."""
    if not console.is_terminal:
        yield lambda progress: console.print(_words(progress), markup=False) if lines else None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as living:
        task = living.add_task("Hunting …", total=None)  # Stripe tells no totals
        yield lambda progress: living.update(task, description=_words(progress))


def _words(progress: "HuntProgress") -> str:
    sweep = progress.sweep.replace("_", " ")
    return f"{sweep}: {progress.listed} listed, {progress.found} found, {progress.updated} updated"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a day; write it as 2026-03-31") from None


def _start_of(text: str | None) -> datetime | None:
    return datetime.combine(_day(text), time.min, UTC) if text else None


def _end_of(text: str | None) -> datetime | None:
    """The window's end is exclusive."""
    return datetime.combine(_day(text) + timedelta(days=1), time.min, UTC) if text else None
