"""One PostgreSQL a test run and one Redis a worker, never those of `phantom up`.

The process that starts the run owns PostgreSQL and hands its address to the workers. Redis is a worker's own:
keyspace notifications and FLUSHALL know no database number.
"""

import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.stack.ready import postgres_answers, redis_answers
from core.embedded.postgres import PostgresServer
from core.embedded.process import free_port
from core.embedded.redis import RedisServer
from tests.support.wait import wait_until


@dataclass(frozen=True)
class RunServers:
    """What every worker has to know of the run; plain values, so that xdist can carry them."""

    folder: str
    postgres_port: int
    owner_password: str
    login_password: str
    by_socket: bool = False

    @classmethod
    def new(cls) -> "RunServers":
        folder = Path(tempfile.mkdtemp(prefix="phantom-test-"))
        folder.chmod(0o711)  # as root the server runs as `nobody`, who must be able to pass
        return cls(str(folder), free_port(), secrets.token_urlsafe(12), secrets.token_urlsafe(12))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer(Path(self.folder) / "postgres", self.postgres_port, self.owner_password, durable=False)

    def url(self, database: str, user: str) -> str:
        password = self.owner_password if user == "phantom_owner" else self.login_password
        ways = self.postgres
        return (ways.socket_url if self.by_socket else ways.url)(database, user, password)

    def wait_for_postgres(self) -> None:
        """Return once the server takes connections."""
        url = self.url("postgres", "phantom_owner")
        wait_until(lambda: postgres_answers(url), timeout=60, what=f"PostgreSQL answers ({self.postgres.log})")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def stop(process: "subprocess.Popen[bytes]", with_signal: int = signal.SIGTERM) -> None:
    """End a server and wait for it, so that no process and no warning outlives the run."""
    process.send_signal(with_signal)
    process.wait(timeout=30)


def redis_of_worker(folder: str, worker: str) -> RedisServer:
    return RedisServer(Path(folder) / f"redis-{worker}", free_port(), secrets.token_urlsafe(12), durable=False)


def wait_for_redis(url: str) -> None:
    """Return once the worker's Redis answers."""
    wait_until(lambda: redis_answers(url), what="Redis of the worker answers")
