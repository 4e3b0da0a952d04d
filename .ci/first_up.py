"""The README's first command as a stranger types it: a whole demo with its history, in a folder of its own.

Called with the environment's Python by `.ci/run`. Prints how long the start took and what all of its processes
take of memory together (PSS); fails when anything a stranger would miss is missing; leaves nothing behind.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = {"postgres", "redis", "sandbox", "web", "worker", "sentinel"}
# A developer's shell may say which database or which Stripe to use; a stranger's says nothing
OURS = ("PHANTOM_", "DATABASE_", "REDIS_", "ENCRYPTION_", "STRIPE_", "RESEND_", "TWILIO_", "PUBLIC_URL", "EMAIL_FROM")


def phantom(folder: Path, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """`./phantom …` on this folder."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(  # noqa: S603  # our own launcher
        [ROOT / "phantom", *arguments],
        cwd=ROOT,
        env={**told, "PHANTOM_FOLDER": str(folder)},
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        **options,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(phantom(folder, "status", "--json", stdout=subprocess.PIPE).stdout)
    return found


def complaints(found: dict[str, Any]) -> list[str]:
    """What a stranger would miss in what `status` tells."""
    health, demo = found["health"] or {}, found["demo"] or {}
    running = {item["name"].partition("_")[0] for item in found["processes"] if item["state"] == "RUNNING"}
    ended = [f"{item['name']} is {item['state']}" for item in found["processes"] if item["state"] != "RUNNING"]
    wrong = [*ended, *(f"there is no {name}" for name in sorted(PROCESSES - running))]
    if health.get("status") != "ready":
        wrong.append(f"health is {found['health']}")
    wrong += [f"the demo has no {name}" for name in ("merchant_id", "email", "password") if not demo.get(name)]
    return wrong


def supervisor_of(folder: Path) -> psutil.Process | None:
    """The process above all others of this folder, if it runs."""
    try:
        found = psutil.Process(json.loads((folder / "up.json").read_text())["supervisor_pid"])
        return found if "cli.stack.supervisor" in found.cmdline() else None
    except (FileNotFoundError, psutil.NoSuchProcess):  # a zombie is none, either
        return None


def megabytes(folder: Path) -> float:
    """The proportional set size of all processes together."""
    supervisor = supervisor_of(folder)
    family = [supervisor, *supervisor.children(recursive=True)] if supervisor else []
    return sum(float(process.memory_full_info().pss) for process in family) / 2**20


def check(folder: Path) -> list[str]:
    """Start, look, stop; what was wrong."""
    begun = time.monotonic()
    started = phantom(folder, "up", "--detach", "--port", str(free_port()))
    seconds = time.monotonic() - begun
    if started.returncode != 0:
        return [f"`up` ended with exit code {started.returncode}"]
    wrong = complaints(status(folder))
    sys.stdout.write(f"up took {seconds:.1f} s; all processes take {megabytes(folder):.0f} MB (PSS)\n")
    if phantom(folder, "down").returncode != 0:
        wrong.append("`down` did not end well")
    if status(folder)["url"] is not None:
        wrong.append("it still runs after `down`")
    return wrong


def clean_up(folder: Path) -> None:
    """Whatever happened, nothing stays: not even a stack that does not listen any more."""
    phantom(folder, "down", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if supervisor := supervisor_of(folder):
        supervisor.kill()  # its children end with it
        supervisor.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="phantom-ci-"))
    folder.chmod(0o711)  # as root PostgreSQL runs as `nobody`, who must be able to pass
    try:
        wrong = check(folder)
    finally:
        clean_up(folder)
    sys.stdout.write("".join(f"wrong: {line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
