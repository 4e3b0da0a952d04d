"""`test`: the whole test-suite, browser included."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.paths import ROOT

SUITE = ("-n", "2", "--dist", "loadfile")
# One test after another, each on a machine of its own as far as that goes; the marked ones are left out otherwise.
CHAOS = ("tests/chaos", "tests/deploy/test_two_hosts.py", "-m", "chaos or not chaos", "--verbose", "--durations", "15")


def register(app: typer.Typer) -> None:
    app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(run_tests)


def run_tests(
    context: typer.Context,
    repeat: Annotated[int, typer.Option(min=1, help="Run this many times; all of them have to pass.")] = 1,
    chaos: Annotated[bool, typer.Option("--chaos", help="The long form of the chaos tests, and only that.")] = False,
) -> None:
    """Run pytest with servers and a database of its own; arguments go to pytest."""
    from cli.browser import ensure_browser

    if not chaos and needs_browser(context.args):
        ensure_browser()
    command = [sys.executable, "-m", "pytest", *(CHAOS if chaos else SUITE), *context.args]
    # `up`'s folder and a developer's own settings are none of the tests' business
    environment = {name: value for name, value in os.environ.items() if name != "PHANTOM_FOLDER"}
    codes = []
    for turn in range(repeat):
        if repeat > 1:
            typer.echo(f"run {turn + 1} of {repeat}")
        codes.append(subprocess.call(command, cwd=ROOT, env=environment))
    if repeat > 1:
        typer.echo(f"{codes.count(0)} of {repeat} runs passed")
    raise typer.Exit(max(codes, key=abs))


def needs_browser(arguments: list[str]) -> bool:
    """Whether the named tests, or all where none is named, include one that plays a person."""
    named = [ROOT / argument.partition("::")[0] for argument in arguments if not argument.startswith("-")]
    places = [path for path in named if path.exists()] or [ROOT / "tests"]
    return any("browser" in file.read_text() for place in places for file in _test_files(place))


def _test_files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("test_*.py"))
