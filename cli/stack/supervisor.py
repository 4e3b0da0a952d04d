"""The supervisor process of a stack, and how to talk to it.

`python -m cli.stack.supervisor CONFIGURATION LOCK [--with-owner]` is supervisord, which additionally keeps the
folder's lock and tells its children whom to die with.
"""

import contextlib
import importlib
import os
import signal
import sys
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.embedded.process import OWNER_PID, die_with_owner


def _untyped(module: str) -> Any:
    """A module of the supervisor package, which has no types anywhere."""
    return importlib.import_module(module)


class SupervisorUnreachableError(Exception):
    """No supervisor answers on the socket."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process as the supervisor sees it."""

    name: str
    pid: int | None
    state: str
    uptime: int

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def gave_up(self) -> bool:
        """It ended when it should not have: between two tries, or for good."""
        return self.state in ("BACKOFF", "FATAL", "EXITED")


class Supervisor:
    """A client of the supervisor on a Unix socket."""

    def __init__(self, socket: str | Path) -> None:
        self._socket = str(socket)

    @contextlib.contextmanager
    def _proxy(self) -> Iterator[Any]:
        transport = _untyped("supervisor.xmlrpc").SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        except OSError as error:
            raise SupervisorUnreachableError(f"the supervisor does not answer: {error.strerror}") from None
        finally:
            transport.close()

    def answers(self) -> bool:
        with contextlib.suppress(SupervisorUnreachableError), self._proxy() as supervisor:
            return bool(supervisor.getState()["statename"] == "RUNNING")
        return False

    def processes(self) -> list[ProcessState]:
        """All processes, by name."""
        with self._proxy() as supervisor:
            found = supervisor.getAllProcessInfo()
        return [
            ProcessState(
                item["name"], item["pid"] or None, item["statename"], item["now"] - item["start"] if item["pid"] else 0
            )
            for item in found
        ]

    def process(self, name: str) -> ProcessState:
        return next(process for process in self.processes() if process.name == name)

    def start(self, group: str) -> None:
        """Start a program's processes without waiting for them."""
        with self._proxy() as supervisor:
            supervisor.startProcessGroup(group, False)

    def restart(self, group: str) -> None:
        with self._proxy() as supervisor:
            supervisor.stopProcessGroup(group, True)
            supervisor.startProcessGroup(group, False)

    def shut_down(self) -> None:
        """Ask it to stop everything, last started first, and itself."""
        with self._proxy() as supervisor:
            supervisor.shutdown()


def main() -> None:
    supervisord = _untyped("supervisor.supervisord")
    base: Any = supervisord.ServerOptions

    class Options(base):  # type: ignore[misc]
        def cleanup_fds(self) -> None:
            """Keep the folder's lock, which supervisord would close as a leak."""

    configuration, lock, *flags = sys.argv[1:]
    os.set_inheritable(int(lock), False)  # its holder is this process, not the ones it starts
    if "--with-owner" in flags:
        die_with_owner(signal.SIGTERM)
    os.environ[OWNER_PID] = str(os.getpid())
    options: Any = Options()
    options.realize(["-c", configuration])
    options.first, options.test = True, False
    supervisord.go(options)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
