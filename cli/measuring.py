"""`bench`: what PHANTOM must reach, measured on this machine."""

import os
import sys

import typer

from cli.paths import ROOT


def register(app: typer.Typer) -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("bench", context_settings=passed_on, add_help_option=False)(bench)  # --help is the other's too


def bench(context: typer.Context) -> None:
    """Measure, each figure against its control in the same run: `bench [NAME …] [--json]`. Nothing else should run."""
    os.chdir(ROOT)
    # In this process's place, so that whoever ends `bench` ends the bench and the servers it has started.
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *context.args])  # noqa: S606  # no shell is meant
