"""`sim`: merchants' months played against the whole engine, judged by a ledger of the simulation's own."""

import subprocess
import sys

import typer

from cli.paths import ROOT


def register(app: typer.Typer) -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("sim", context_settings=passed_on, add_help_option=False)(sim)  # --help is the other's too


def sim(context: typer.Context) -> None:
    """Play seeds: `sim [--seeds N] [--first-seed S] [--days D] [--processes P] [--json]`. Exit 1 when one fails."""
    raise typer.Exit(subprocess.call([sys.executable, "-m", "tests.simulation", *context.args], cwd=ROOT))
