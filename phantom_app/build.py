"""The frontend, built once for each state of its sources: `ensure_built()`, or `python -m phantom_app.build`.

Reflex's export compiles the pages, rewrites `reflex.lock/` and leaves files about, so it runs on a copy of the
tree under `.phantom/frontend/work`, whose `node_modules` serve the next build too. What the server needs
(`build/client` and `backend/`) is moved to `.phantom/frontend/<hash>/` in one rename; a finished build is never
touched again, so a test run may build while a server serves an older one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import PhantomError

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("rxconfig.py", "requirements.txt", "assets", "reflex.lock", "phantom_app")
"""What makes the pages, and so the hash. The HTTP routes below `phantom_app/api` do not reach a page."""
IMPORTED = ("core", "models", "services")
"""What the states import while the pages are compiled; their text does not reach a page either."""
_APART = ("phantom_app/api/", "phantom_app/serve.py")
_KEPT = 4
_TIMEOUT = 600

_holding: list[int] = []  # open folders: their locks last as long as the process and its forks

Progress = Callable[[str], None]


class BuildError(PhantomError):
    code, title = "frontend_build_failed", "The frontend could not be built"


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for name in SOURCES:
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            relative = path.relative_to(root).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not relative.startswith(_APART):
                yield relative, path


def source_hash(root: Path = ROOT) -> str:
    """The name of the build these sources make."""
    digest = hashlib.sha256(b"%d.%d" % sys.version_info[:2])
    for relative, path in _files(root):
        content = path.read_bytes()
        digest.update(f"{relative}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def find_built(root: Path = ROOT, store: Path | None = None) -> Path | None:
    """The finished build for the present sources, or None: for a server that must not build (an image, a cluster).

    The sources' hash names it, so every host that runs the same sources serves the same pages, or none at all.
    """
    finished = (store or _store_of(root)) / source_hash(root)
    return finished if finished.is_dir() else None


def _store_of(root: Path) -> Path:
    return root / ".phantom" / "frontend"


def ensure_built(progress: Progress | None = None, root: Path = ROOT, store: Path | None = None) -> Path:
    """The folder of the build for the present sources, building it first where there is none.

    Safe to call from several processes at once: one builds, the others wait for it. Raises `BuildError`.
    """
    store = store or _store_of(root)
    if found := find_built(root, store):
        return found
    tell = progress or (lambda _line: None)
    store.mkdir(parents=True, exist_ok=True)
    with _alone(store / ".lock") as lock:
        work = store / "work"
        _copy_sources(root, work)
        finished = store / source_hash(work)  # of what is really built: the tree may change while it is copied
        if not finished.is_dir():
            tell("Building the frontend (once for each change of its sources)")
            _export(work, store / "build.log", lock)
            _keep(work / ".web", finished)
            _prune(store, finished)
            tell("Frontend built")
    return finished


@contextmanager
def _alone(lock: Path) -> Iterator[int]:
    """The lock's descriptor: whoever inherits it holds the lock as well."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _copy_sources(root: Path, work: Path) -> None:
    """A fresh copy of the tree, keeping what earlier builds downloaded."""
    work.mkdir(exist_ok=True)
    for name in (*SOURCES, *IMPORTED):
        target = work / name
        if target.is_dir():
            shutil.rmtree(target)
        if (root / name).is_dir():
            shutil.copytree(root / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif (root / name).is_file():
            shutil.copy2(root / name, target)


def _environment(work: Path) -> dict[str, str]:
    """Node from the virtual environment, npm, and nobody told about it."""
    binaries = Path(sys.executable).parent
    inherited = {
        name: value
        for name, value in os.environ.items()
        # a server's own switches must not reach the compiler
        if not name.startswith(("REFLEX_", "__REFLEX_"))
    }
    return inherited | {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(work), os.environ.get("PYTHONPATH", "")))),  # the copy first
        "REFLEX_USE_NPM": "1",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
        "NPM_CONFIG_REGISTRY": os.environ.get("NPM_CONFIG_REGISTRY") or _registry(binaries),
        "NPM_CONFIG_AUDIT": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    }


def _registry(binaries: Path) -> str:
    """The registry npm is set to; Reflex would otherwise measure a list of public mirrors."""
    asked = subprocess.run(  # noqa: S603  # our own Node, fixed arguments
        [binaries / "npm", "config", "get", "registry"], capture_output=True, text=True, timeout=60, check=False
    )
    found = asked.stdout.strip()
    if not found.startswith("http"):
        raise BuildError(f"npm names no registry: {asked.stderr.strip() or found or 'it said nothing'}")
    return found


def _export(work: Path, log: Path, lock: int) -> None:
    """Build in `work`. Killed, we leave Reflex behind, which goes on there: so it holds the lock, too."""
    command = [str(Path(sys.executable).parent / "reflex"), "export", "--frontend-only", "--no-zip"]
    with log.open("w") as output:
        try:
            done = subprocess.run(  # noqa: S603  # our own Reflex, fixed arguments
                command,
                cwd=work,
                env=_environment(work),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT,
                check=False,
                pass_fds=(lock,),
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"the frontend build took more than {_TIMEOUT} s; see {log}") from None
    if done.returncode != 0:
        last = "\n".join(log.read_text().strip().splitlines()[-15:])
        raise BuildError(f"the frontend build failed (see {log}):\n{last}")


def _keep(web: Path, finished: Path) -> None:
    """Move what serving needs to its final name, all at once."""
    parts = {"build/client": web / "build" / "client", "backend": web / "backend"}
    for name, path in parts.items():
        if not path.is_dir():
            raise BuildError(f"the frontend build left no {name}")
    staged = finished.with_name(f".{finished.name}-{os.getpid()}")
    for name, path in parts.items():
        shutil.copytree(path, staged / name)
    staged.rename(finished)


def hold(folder: Path) -> bool:
    """Keep a build from being pruned for as long as this process and its forks live; False when it is gone.

    The lock is on the folder itself, which needs no right to write there: an image's file system is read-only.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(handle, fcntl.LOCK_SH)
    _holding.append(handle)
    return (folder / "build" / "client").is_dir()


def _prune(store: Path, newest: Path) -> None:
    """Keep the build made now, a few former ones, and every one that a running server still serves."""
    others = [path for path in store.iterdir() if path.is_dir() and len(path.name) == 16 and path != newest]
    for path in sorted(others, key=lambda each: each.stat().st_mtime)[: -(_KEPT - 1) or None]:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def main() -> int:
    started = time.monotonic()
    try:
        folder = ensure_built(lambda line: print(line, flush=True))  # noqa: T201  # a command of its own
    except BuildError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return 1
    print(f"{folder} ({time.monotonic() - started:.1f} s)")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
