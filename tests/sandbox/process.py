"""A sandbox as its own process, for what only a process can show: sockets, signals, restarts."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SandboxProcess:
    """Starts when entered, is stopped by SIGTERM when left."""

    data: Path | None = None
    clock_file: Path | None = None
    options: tuple[str, ...] = ()
    base: str = field(default="", init=False)

    def start(self) -> "SandboxProcess":
        """Start and wait for the line that tells the address."""
        command = [sys.executable, "-m", "sandbox", "--port", "0", *self.options]
        if self.data:
            command += ["--data", str(self.data)]
        if self.clock_file:
            command += ["--clock-file", str(self.clock_file)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listening on" in line, f"the sandbox did not start: {line!r}"
        self.base = line.split()[-1]
        return self

    def kill(self) -> None:
        """SIGKILL: nothing can be tidied up."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(timeout=15)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def __enter__(self) -> "SandboxProcess":
        return self.start()

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def control(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Call a control endpoint: POST with a body, GET without."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/_sandbox/{path}", data=data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def act(self, name: str, /, **given: Any) -> Any:
        """One of sandbox.stripe.actions.Actions."""
        return self.control(f"actions/{name}", given)["result"]

    def addresses(self) -> Any:
        """Base addresses for `stripe.StripeClient`."""
        return dict.fromkeys(("api", "connect", "files", "meter_events"), self.base)
