"""What both embedded servers need from the operating system: ports, accounts, and an end together with the owner."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
OWNER_PID = "PHANTOM_OWNER_PID"


class EmbeddedServerError(Exception):
    """An embedded server cannot run; the message is one line that a person can act on."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account a server runs as when we are root (PostgreSQL refuses to be root)."""

    uid: int
    gid: int

    def popen_options(self) -> dict[str, object]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account() -> Account | None:
    """`nobody` when we are root, otherwise None: the server runs as whoever we are."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there.

    Asked by binding, without SO_REUSEPORT: granian sets that option and would share a busy port in silence.
    Raises `EmbeddedServerError` for a number that is no port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError:
            raise EmbeddedServerError(f"{port} is no port; choose one from 1 to 65535") from None
        except OSError:
            return False
    return True


def owner_environment() -> dict[str, str]:
    """The environment for a child that shall die with this process."""
    return {**os.environ, OWNER_PID: str(os.getpid())}


def die_with_owner(signal_number: int) -> None:
    """Ask the kernel to send us `signal_number` when our parent ends, however it ends.

    The request survives exec, but not a change of user: call this after it. A parent that ended before the
    request was made is found by its pid, which it hands on in the environment.
    """
    expected = int(os.environ.pop(OWNER_PID, "") or os.getppid())  # ours alone: children of ours have another owner
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != expected:
        sys.exit("the process that started this one has ended")


def drop_to(account: Account | None) -> None:
    """Become `account` for good."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)


def become(command: list[str], *, end_signal: int, account: Account | None = None) -> NoReturn:
    """Turn this process into `command`, as `account`, ending with `end_signal` when its owner ends."""
    drop_to(account)
    die_with_owner(end_signal)
    # Python ignores SIGPIPE and an exec hands that on; a server expects the default
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606  # replacing ourselves is the point; there is no shell in between


def can_reach(account: Account | None, *paths: Path) -> bool:
    """Whether `account` can get to every path; asked of the system itself, which knows about ACLs and mounts."""
    if account is None:
        return True
    script = 'for path in "$@"; do test -x "$path" || exit 1; done'
    outcome = subprocess.run(  # noqa: S603  # fixed program, and the paths are arguments, not shell text
        ["/bin/sh", "-c", script, "sh", *map(str, paths)],
        check=False,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    )
    return outcome.returncode == 0


def last_complaint(log: Path, offset: int = 0) -> str:
    """The line of a server's log, from `offset` on, that says why it gave up; empty when it said nothing."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return ""
    telling = [line for line in lines if any(word in line for word in ("PANIC:", "FATAL:", "FATAL ", "rror"))]
    return (telling or lines or [""])[-1]
