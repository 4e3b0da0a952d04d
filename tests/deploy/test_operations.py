"""`docs/operations.md` is read when something is broken: every name in it has to exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from cli.__main__ import app
from core.config import Settings
from tests.deploy.manifests import ROOT, interpolated

TEXT = (ROOT / "docs" / "operations.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
SETTINGS = {name.upper() for name in Settings.model_fields}
# Of the files in deploy/, of Reflex, of SQL.
OTHERS = interpolated((ROOT / "deploy" / "Caddyfile").read_text()) | {"REFLEX_IGNORE_REDIS_CONFIG_ERROR", "CONFIG"}


def sources(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def test_settings_exist() -> None:
    named = {word for span in CODE for word in re.findall(r"\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)*\b", span)}
    named = {name for name in named if "_" in name or name in SETTINGS} - OTHERS
    assert {"TRUSTED_PROXIES", "DRAIN_SECONDS", "DATABASE_SYSTEM_URL"} <= named
    assert named <= SETTINGS


def test_metrics_exist() -> None:
    named = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in re.findall(r"\bphantom_[a-z_]+", " ".join(CODE))
        if name != "phantom_app"
    }
    told = sources("core", "services/operations")
    assert len(named) >= 8
    assert {name for name in named if f'"{name}"' not in told} == set()


def test_metrics_labels_exist() -> None:
    outcomes = set(re.findall(r'outcome="(\w+)"', TEXT))
    told = sources("services/handshake", "jobs")
    assert outcomes
    assert {each for each in outcomes if f'"{each}"' not in told} == set()
    assert set(re.findall(r'lane="(\w+)"', TEXT)) == {"quick", "long"}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"phantom ([a-z][a-z-]*)", " ".join(CODE)))))
def test_commands_exist(command: str) -> None:
    assert command in get_command(app).commands  # type: ignore[attr-defined]


def test_events_of_the_logs_exist() -> None:
    named = set(re.findall(r"`((?:worker|task|sentinel|queue|janitor|live|health|stripe)\.[a-z_]+)`", TEXT))
    told = sources("jobs", "core", "phantom_app", "services")
    assert len(named) > 5
    assert {event for event in named if f'"{event}"' not in told and event.split(".")[1] not in told} == set()


def test_files_exist() -> None:
    # an option or a second word may follow; a folder ends with a slash
    paths = {span.split()[0] for span in CODE if re.match(r"(?:tests|deploy|docs|models|phantom_app)/[\w./-]+", span)}
    paths |= set(re.findall(r"\]\(([^)#:]+)\)", TEXT))
    resolved = {path: (ROOT / path if not path.startswith("..") else ROOT / "docs" / path) for path in paths}
    assert len(paths) > 5
    assert {
        p for p, place in resolved.items() if not place.exists() and not (ROOT / "docs" / Path(p)).exists()
    } == set()
