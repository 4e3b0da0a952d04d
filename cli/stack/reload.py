"""For developing: restarts the processes that a changed source file is part of."""

from pathlib import Path

from cli.paths import ROOT
from cli.stack.progress import Progress
from cli.stack.supervisor import Supervisor

_ENGINE = ("core", "models", "services")
_PARTS = {
    "web": (*_ENGINE, "phantom_app"),
    "worker": (*_ENGINE, "jobs"),
    "sentinel": (*_ENGINE, "jobs"),
    "sandbox": ("core", "sandbox"),
}


def groups_of(changed: set[Path]) -> list[str]:
    """The processes whose sources are among the changed files."""
    tops = {path.relative_to(ROOT).parts[0] for path in changed if path.is_relative_to(ROOT)}
    return [name for name, parts in _PARTS.items() if tops & set(parts)]


def restart_on_change(supervisor: Supervisor, progress: Progress) -> None:
    """Until interrupted. The web builds its pages anew by itself when they changed."""
    from watchfiles import PythonFilter, watch

    folders = sorted({ROOT / part for parts in _PARTS.values() for part in parts})
    for changes in watch(*folders, watch_filter=PythonFilter(), raise_interrupt=True):
        for name in groups_of({Path(path) for _, path in changes}):
            with progress.step(f"Restarted {name}"):
                supervisor.restart(name)
