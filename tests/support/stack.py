"""A whole PHANTOM for tests, in a folder and on a port of its own, driven through its command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cli.paths import ROOT
from core.config import Settings
from core.embedded.process import free_port
from tests.support.wait import wait_until

_OURS = {name.upper() for name in Settings.model_fields}
_UP_SECONDS = 110
# Everything else in a folder's environment.json and secrets.json opens something.
_NO_SECRETS = {
    "PHANTOM_MODE", "PHANTOM_PORT", "PUBLIC_URL", "PHANTOM_CLOCK_FILE", "PHANTOM_DEMO_FILE", "TWILIO_FROM",
    "STRIPE_CLIENT_ID", "STRIPE_API_BASE", "STRIPE_CONNECT_BASE", "RESEND_API_BASE", "TWILIO_API_BASE",
    "RESEND_RATE", "TWILIO_RATE",
}  # fmt: skip


def secrets_of(folder: Path) -> dict[str, str]:
    """Every secret of a demo by name: what its processes are told, and the passwords inside of the addresses."""
    kept = {name.upper(): value for name, value in json.loads((folder / "secrets.json").read_text()).items()}
    told = json.loads((folder / "environment.json").read_text())
    return {name: value for name, value in {**kept, **told}.items() if name not in _NO_SECRETS}


@dataclass
class Home:
    """A state folder with whatever `up` starts in it. `remove()` ends all of that."""

    folder: Path
    port: int = field(default_factory=free_port)

    @classmethod
    def new(cls) -> "Home":
        folder = Path(tempfile.mkdtemp(prefix="phantom-test-up-"))
        folder.chmod(0o711)  # as root PostgreSQL runs as `nobody`, who must be able to pass
        return cls(folder)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def begin(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a command in an environment that sets nothing of ours."""
        told = {name: value for name, value in os.environ.items() if name not in _OURS}
        return subprocess.Popen(  # noqa: S603  # our own command line
            [sys.executable, "-m", "cli", "--folder", str(self.folder), *arguments],
            cwd=ROOT,
            env={**told, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        process = self.begin(*arguments, **environment)
        try:
            output, errors = process.communicate(timeout=_UP_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()  # it stops what it has started so far
            output, errors = process.communicate(timeout=_UP_SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def up(self, *flags: str, **environment: str) -> None:
        """Start and leave running, without a history unless asked. Raises `AssertionError` with what `up` said."""
        outcome = self.run("up", "--detach", "--port", str(self.port), *(flags or ("--no-history",)), **environment)
        assert outcome.returncode == 0, outcome.stderr

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def pids(self) -> dict[str, int]:
        return {item["name"]: item["pid"] for item in self.status()["processes"] if item["state"] == "RUNNING"}

    def supervisor_pid(self) -> int:
        pid: int = json.loads((self.folder / "up.json").read_text())["supervisor_pid"]
        return pid

    def survivors(self) -> list[str]:
        """The command lines of processes that belong to this folder: those that name it or listen on its ports."""
        ports = {f"{self.port}", *map(str, self._ports())}
        found = []
        for process in psutil.process_iter(["cmdline", "status", "pid"]):
            line = process.info["cmdline"] or []
            ours = any(str(self.folder) in part for part in line) or bool(ports & set(line))
            if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(" ".join(line))
        return found

    def _ports(self) -> list[int]:
        try:
            return list(json.loads((self.folder / "ports.json").read_text()).values())
        except FileNotFoundError:
            return []

    def wait_until_gone(self) -> None:
        wait_until(lambda: not self.survivors(), timeout=30, what=f"nothing is left of {self.folder}")

    def remove(self) -> None:
        """Stop what runs, however the test left it, and delete the folder."""
        self.run("down")
        if self.survivors():
            os.kill(self.supervisor_pid(), signal.SIGKILL)
            self.wait_until_gone()
        shutil.rmtree(self.folder, ignore_errors=True)
