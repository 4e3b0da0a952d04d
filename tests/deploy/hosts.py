"""Several hosts on one machine: network namespaces on one bridge, whose cables can be pulled.

`data` has PostgreSQL, Redis and the sandbox; `one` and `two` run PHANTOM; `front` is where the test itself lives for
as long as the network stands: the place of the proxy and of the browsers. Nothing of the machine's own network is
touched, and nothing here has a route to anywhere else.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core.embedded.process import owner_environment
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
NETS = Path("/run/netns")
ADDRESSES = {"data": "10.77.0.1", "front": "10.77.0.2", "one": "10.77.0.11", "two": "10.77.0.12"}
NETWORK = "10.77.0.0/24"
_PREFIX = "phantomlab"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, <linux/sched.h>


def why_not() -> str:
    """Why this machine cannot have several hosts; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "nsenter", "setpriv") if shutil.which(tool) is None]
    if missing:
        return f"no {', '.join(missing)} on the PATH"
    probe = f"{_PREFIX}-{os.getpid()}-probe"
    with contextlib.ExitStack() as after:
        try:
            _ip("netns", "add", probe)
            after.callback(_ip, "netns", "del", probe)
            _ip("-n", probe, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
            _ip("-n", probe, "link", "add", "b0", "type", "bridge")
        except subprocess.CalledProcessError as error:
            return f"network namespaces are not permitted here: {error.stderr.strip()}"
    return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607  # fixed words


def _enter(net: Path) -> None:
    """Move this thread, and what it starts from now on, into a network."""
    handle = os.open(net, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), f"setns({net})")
    finally:
        os.close(handle)


@dataclass
class Running:
    """A process of a host; everything it says goes to one file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")

    def wait_for(self, words: str, timeout: float = 60) -> None:
        def heard() -> bool:
            assert self.process.poll() is None or self.said(words), self.log.read_text()[-4000:]
            return self.said(words)

        wait_until(heard, timeout=timeout, what=f"{self.name} says {words!r} ({self.log})")

    def stop(self, timeout: float = 40) -> int:
        """Its exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(timeout)


@dataclass
class Lab:
    """The hosts, what runs on them, and their cables."""

    folder: Path
    running: list[Running] = field(default_factory=list)

    def net(self, host: str) -> str:
        return f"{_PREFIX}-{os.getpid()}-{host}"

    def inside(self, host: str, *command: str) -> list[str]:
        """A command line that runs on a host."""
        return ["nsenter", f"--net={NETS / self.net(host)}", *command]

    def begin(self, host: str, name: str, *command: str, **environment: str) -> Running:
        """Start a process on a host; it ends with this one, whatever happens."""
        log = self.folder / f"{host}-{name}-{len(self.running)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # our own commands
                self.inside(host, sys.executable, "-m", "core.embedded.child", "--", *command),
                cwd=ROOT,
                env={**owner_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.running.append(Running(f"{name} of {host}", process, log))
        return self.running[-1]

    def ask(self, host: str, *command: str, timeout: float = 60, **environment: str) -> str:
        """Run something on a host to its end; what it printed."""
        done = subprocess.run(  # noqa: S603  # our own commands
            self.inside(host, *command),
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def cut(self, host: str) -> None:
        """Pull a host's cable out of the switch: what it sends from now on gets nowhere, and nobody is told."""
        _ip("-n", self.net("data"), "link", "set", f"to-{host}", "down")

    def mend(self, host: str) -> None:
        _ip("-n", self.net("data"), "link", "set", f"to-{host}", "up")

    def _cable(self) -> None:
        for host in ADDRESSES:
            _ip("netns", "add", self.net(host))
            _ip("-n", self.net(host), "link", "set", "lo", "up")
        data = self.net("data")
        _ip("-n", data, "link", "add", "switch", "type", "bridge")
        _ip("-n", data, "addr", "add", f"{ADDRESSES['data']}/24", "dev", "switch")
        _ip("-n", data, "link", "set", "switch", "up")
        for host in ("front", "one", "two"):
            net = self.net(host)
            _ip("-n", data, "link", "add", f"to-{host}", "type", "veth", "peer", "name", "eth0", "netns", net)
            _ip("-n", data, "link", "set", f"to-{host}", "master", "switch", "up")
            _ip("-n", net, "addr", "add", f"{ADDRESSES[host]}/24", "dev", "eth0")
            _ip("-n", net, "link", "set", "eth0", "up")

    def _clear(self) -> None:
        for each in self.running:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()
        for host in ADDRESSES:
            if (NETS / self.net(host)).exists():
                _ip("netns", "del", self.net(host))


def _sweep() -> None:
    """Remove the networks of runs that were killed."""
    for path in NETS.glob(f"{_PREFIX}-*"):
        pid = path.name.split("-")[1]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):
            _ip("netns", "del", path.name)


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """The network, with this thread on `front`; all of it is gone afterwards."""
    _sweep()
    built = Lab(folder)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        built._cable()
        _enter(NETS / built.net("front"))
        yield built
    finally:
        _enter(Path(f"/proc/self/fd/{home}"))
        os.close(home)
        built._clear()
