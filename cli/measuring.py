"""`bench`: what PHANTOM must reach, measured on this machine."""

import subprocess
import sys

import typer

from cli.paths import ROOT


def register(app: typer.Typer) -> None:
    app.command("bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(bench)


def bench(context: typer.Context) -> None:
    """Measure, each figure against its control in the same run: `bench [NAME …] [--json]`. Nothing else should run."""
    raise typer.Exit(subprocess.call([sys.executable, "-m", "benchmarks", *context.args], cwd=ROOT))
