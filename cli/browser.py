"""Finds a browser for the tests, and brings one where that can be done without asking."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from core.errors import ConfigurationError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_INSTALL_SECONDS = 600


def launch_flags() -> list[str]:
    """What every start of the browser gets. Chromium's own sandbox refuses to run as root."""
    return [*(["--no-sandbox"] if os.geteuid() == 0 else []), *_FLAGS]


def _runs(program: str) -> bool:
    """Whether it starts: a snap's stub or a download without its libraries is there and does not."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwright_downloads() -> list[Path]:
    """Chromium builds in Playwright's cache, newest first; read from disk, as asking the driver starts Node."""
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return sorted(cache.glob("chromium-*/chrome-linux*/chrome"), reverse=True)


def find_browser_or_none() -> str | None:
    """The path of a Chromium or Chrome that runs."""
    on_path = [found for name in _NAMES if (found := shutil.which(name))]
    programs = [*on_path, *map(str, _playwright_downloads())]
    return next((program for program in programs if _runs(program)), None)


def find_browser() -> str:
    """The same; raises `ConfigurationError` with what to do when there is none."""
    if found := find_browser_or_none():
        return found
    raise ConfigurationError(
        "no browser for the tests: install Chromium or Chrome, or run `.venv/bin/python -m playwright install chromium`"
    )


def ensure_browser() -> str:
    """Find a browser or install one: Debian's package as root (it brings its libraries), else Playwright's build."""
    if found := find_browser_or_none():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(step, env=quiet, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
    if find_browser_or_none() is None:
        download = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(download, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
    return find_browser()
