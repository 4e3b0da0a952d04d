"""`phantom doctor`: all checks, each finding with its remedy; exit code 1 for a problem, warnings alone are 0."""

import json
from pathlib import Path

import typer

from cli.doctor import configuration, database, machine, running, senders
from cli.doctor.findings import Check, Finding, Level, examine

_SIGNS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.PROBLEM: ("✗", "red"),
    Level.SKIPPED: ("-", "bright_black"),
}


def diagnose(folder: Path, *, as_json: bool) -> None:
    """Say what was found. Raises `typer.Exit` with code 1 for a problem."""
    _follow_the_shared_clock()
    findings = examine(all_checks(folder))
    problems, warnings = (sum(each.level is level for each in findings) for level in (Level.PROBLEM, Level.WARNING))
    if as_json:
        typer.echo(
            json.dumps({"problems": problems, "warnings": warnings, "findings": [each.as_dict() for each in findings]})
        )
    else:
        for finding in findings:
            _say(finding)
        typer.echo(f"{problems} problems, {warnings} warnings")
    if problems:
        raise typer.Exit(1)


def all_checks(folder: Path) -> list[Check]:
    """In the order in which they stand on each other."""
    return [
        *machine.checks(folder),
        *configuration.checks(),
        *senders.checks(),
        *database.checks(),
        *configuration.checks_of_rows(),
        *running.checks(),
    ]


def _follow_the_shared_clock() -> None:
    """Ages are told by the clock that the processes go by. Settings that cannot be read have their own finding."""
    from core import config
    from core.errors import ConfigurationError

    try:
        config.install_test_doubles(config.settings())
    except ConfigurationError:
        return


def _say(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    typer.echo(f"{typer.style(sign, fg=colour)} {finding.name:<14} {finding.detail}")
    if finding.remedy:
        typer.echo(f"{'':<17}→ {finding.remedy}")
