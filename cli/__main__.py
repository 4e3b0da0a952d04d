"""`phantom`: every command, each in a file of its own group, imported when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import (
    billing,
    checks,
    forgetting,
    hunting,
    measuring,
    owners,
    processes,
    schema,
    simulating,
    stack_commands,
    testing,
)
from cli.errors import CommandError
from cli.paths import DEFAULT_FOLDER
from core.errors import ConfigurationError

app = typer.Typer(
    name="phantom",
    help="Revenue intelligence for businesses that bill through Stripe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def shared(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option(envvar="PHANTOM_FOLDER", help="Where `up` keeps its state.", show_default=".phantom")
    ] = DEFAULT_FOLDER,
) -> None:
    """Options of every command."""
    context.obj = folder.absolute()


for group in (
    stack_commands,
    testing,
    measuring,
    simulating,
    processes,
    schema,
    checks,
    hunting,
    forgetting,
    owners,
    billing,
):
    group.register(app)


def main() -> None:
    """Run a command; what a person can act on ends in one line, never in a traceback."""
    try:
        app(prog_name="phantom")
    except (CommandError, ConfigurationError) as error:
        sys.stderr.write(f"phantom: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
