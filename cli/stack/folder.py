"""The folder of one running PHANTOM (`.phantom/`): its lock, and the note of what runs.

The lock is an flock that the supervisor process inherits and keeps: it ends when that process does, however it
does, so there is no stale lock to clear. Two stacks on one folder would share Redis's append-only file.
"""

import fcntl
import json
import os
import select
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cli.errors import CommandError


@dataclass(frozen=True)
class Running:
    """What a started stack wrote down about itself."""

    url: str
    port: int
    mode: str
    supervisor_pid: int
    socket: str


class Folder:
    """A state folder; `hold()` makes this process its only user."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the folder if need be. Raises `CommandError` without permission to write there.

        Others may pass through (0711) but not look: as root, PostgreSQL runs as `nobody` and its data is below.
        """
        folder = cls(path)
        try:
            folder.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            folder.logs.mkdir(mode=0o700, exist_ok=True)
            probe = folder.path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise CommandError(f"cannot write to {folder.path}: {error.strerror}") from None
        return folder

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def record(self) -> Path:
        return self.path / "up.json"

    def _open_lock(self) -> int:
        return os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def hold(self) -> int | None:
        """Take the lock and return its descriptor, for the supervisor to inherit; None when another has it."""
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        self._lock = descriptor
        return descriptor

    def let_go(self) -> None:
        """Close our copy of the lock. It stays taken while a supervisor that inherited it lives."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_held(self) -> bool:
        """Whether a stack runs on this folder, ours included."""
        if self._lock is not None:
            return True
        if not (self.path / "lock").exists():
            return False
        free = self.hold() is not None
        self.let_go()
        return not free

    def wait_until_free(self, timeout: float) -> bool:
        """Wait for the stack on this folder to end; False when it did not in time."""
        deadline = time.monotonic() + timeout
        while self.is_held():
            if time.monotonic() > deadline:
                return False
            select.select([], [], [], 0.05)
        return True

    def write(self, running: Running) -> None:
        write_private(self.record, json.dumps(asdict(running)))

    def running(self) -> Running | None:
        """What runs here now; None when nothing does, or it has not come far enough to say."""
        if not self.is_held():
            return None
        try:
            return Running(**json.loads(self.record.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by its owner alone."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(path)
