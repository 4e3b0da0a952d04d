"""Real worker and Sentinel processes for tests, with the probe kinds known to them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START = """
import sys
from jobs import {module}
from tests.jobs import probe
probe.register({limit})
{setup}
sys.exit({module}.main({arguments!r}))
"""


class Process:
    """A process whose output is read as it comes."""

    def __init__(
        self, module: str, *arguments: str, limit: float = 60, setup: str = "", env: Mapping[str, str] | None = None
    ) -> None:
        """`setup` is Python that runs in the process before its work begins."""
        code = _START.format(module=module, arguments=list(arguments), limit=limit, setup=setup)
        self._process = subprocess.Popen(  # noqa: S603  # our own code and arguments
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, words: str, timeout: float = 30) -> str:
        """The first line with these words in it."""

        def found() -> str | None:
            return next((line for line in self.lines if words in line), None)

        with self._news:
            assert self._news.wait_for(lambda: found() or not self._reader.is_alive(), timeout), self.lines
        line = found()
        assert line is not None, self.lines
        return line

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines if line.startswith("{")]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, timeout: float = 30) -> int:
        """Its exit code, when it has ended and all it said was read."""
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


@contextlib.contextmanager
def process(module: str, *arguments: str, **options: object) -> Iterator[Process]:
    """A running process, killed at the end if it still runs."""
    started = Process(module, *arguments, **options)  # type: ignore[arg-type]
    try:
        yield started
    finally:
        started.signal(signal.SIGKILL)
        started.end()
