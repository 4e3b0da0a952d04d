"""Single processes in the foreground, for a service manager or a developer: what `up` runs, one at a time."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from cli.stack.handover import use_running_stack

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    app.command(context_settings=_PASS_ON)(serve)
    app.command(context_settings=_PASS_ON)(worker)
    app.command(context_settings=_PASS_ON)(sentinel)
    app.command(context_settings=_PASS_ON)(sandbox)
    app.command()(build)


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process, so that signals and the exit code are the module's own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  # no shell in between


def serve(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="The engine and the HTTP API alone.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PHANTOM_PORT", help="Port to listen on.")] = 3000,
    no_build: Annotated[bool, typer.Option("--no-build", help="Refuse to start without finished pages.")] = False,
) -> None:
    """Serve the screens and the HTTP API."""
    use_running_stack(context.obj)
    flags = [*(["--headless"] if headless else []), *(["--no-build"] if no_build else [])]
    _become("phantom_app.serve", "--host", host, "--port", str(port), *flags, *context.args)


def worker(context: typer.Context) -> None:
    """Run tasks."""
    use_running_stack(context.obj)
    _become("jobs.worker", *context.args)


def sentinel(context: typer.Context) -> None:
    """Run the scheduler; of several, one leads."""
    use_running_stack(context.obj)
    _become("jobs.sentinel", *context.args)


def sandbox(context: typer.Context) -> None:
    """Run the stand-in for Stripe, Resend and Twilio; options are the sandbox's own."""
    _become("sandbox", *context.args)


def build() -> None:
    """Build the pages for the present sources, where that has not been done; `serve --no-build` serves them."""
    _become("phantom_app.build")
