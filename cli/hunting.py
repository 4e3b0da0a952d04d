"""`hunt`: one Ghost Hunter scan of one merchant, in the foreground."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack

_FIGURES = ("listed", "found", "updated", "unreadable", "requests", "seconds")
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
    """Scan a merchant's Stripe account for ghosts. With a window it is the historic audit of those days."""
    from core import config
    from core.errors import PhantomError
    from services.hunter.schemas import HuntRequest

    use_running_stack(context.obj)
    config.install_clock(config.settings())
    begin, end = _start_of(since), _end_of(until)
    request = HuntRequest(trigger="command", since=begin, until=end, audit=begin is not None or end is not None)
    try:
        progress = _run(merchant, request, quiet=as_json)
    except PhantomError as error:
        raise CommandError(f"the hunt ended: {error.detail}") from None
    figures = {name: getattr(progress, name) for name in _FIGURES}
    typer.echo(json.dumps(figures) if as_json else "  ".join(f"{name} {value}" for name, value in figures.items()))


def _run(merchant_id: str, request: Any, *, quiet: bool) -> Any:
    """Page by page: fetched outside any transaction, stored in one, so that an interrupted hunt goes on later."""
    from core.db import tenant_session
    from core.errors import PhantomError
    from services.hunter import service as hunter
    from services.integrations.stripe.client import client_for

    with tenant_session(merchant_id) as session:
        client = client_for(session, merchant_id)
        run = hunter.start(session, merchant_id, request)
    try:
        while (page := run.fetch(client)) is not None:
            with tenant_session(merchant_id) as session:
                progress = run.store(session, page)
            if not quiet:
                typer.echo(f"  {progress.listed} listed, {progress.found} found", err=True)
    except PhantomError as error:
        with tenant_session(merchant_id) as session:
            run.fail(session, error.detail)
        raise
    return run.progress


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
