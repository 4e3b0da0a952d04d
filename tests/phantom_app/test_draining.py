"""A server that is told to stop says so at once, finishes what it has begun, and cuts nobody off in between."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from phantom_app import draining
from tests.phantom_app.served import Served, Tab, sign_up
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.wait import wait_until

DRAIN = 4


@pytest.fixture
def told() -> Iterator[None]:
    yield
    draining._told[0] = 0


def readiness(served: Served) -> int:
    return httpx.get(served.url + "/health/ready", timeout=5).status_code


def half_a_request(served: Served) -> socket.socket:
    """A webhook delivery whose body has not come yet."""
    sender = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    sender.sendall(b"POST /api/webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\nconnection: close\r\n\r\n{")
    return sender


class TestServer:
    def test_is_not_ready_but_answers_until_the_wait_is_over(self, database: WorkerDatabase, tmp_path: Path) -> None:
        with environment.changed(DRAIN_SECONDS=str(DRAIN)):
            served = Served.start(tmp_path, "--workers", "2", "--headless", health="/health/ready")
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: readiness(served) == 503, timeout=2, what="readiness says that the server stops")
        for _ in range(10):  # whichever worker answers
            assert readiness(served) == 503
            assert httpx.get(served.url + "/health").status_code == 200
        begun = half_a_request(served)
        wait_until(lambda: is_closed(served), timeout=DRAIN + 10, what="no new connection is taken")
        begun.sendall(b"}" * 19)
        assert begun.recv(100).startswith(b"HTTP/1.1 400")  # read to its end, and no genuine event
        begun.close()
        assert served.process.wait(timeout=20) == 0
        assert "Traceback" not in served.log.read_text()

    def test_a_second_signal_cuts_the_wait_short(self, database: WorkerDatabase, tmp_path: Path) -> None:
        with environment.changed(DRAIN_SECONDS="300"):
            served = Served.start(tmp_path, "--workers", "1", "--headless", health="/health")
        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: readiness(served) == 503, timeout=5)
        assert served.stop() == 0

    async def test_open_pages_are_let_go(self, database: WorkerDatabase, tmp_path: Path) -> None:
        served = Served.start(tmp_path, "--workers", "1")
        async with Tab(served.url, sign_up("Aurora").cookie) as tab:
            served.process.send_signal(signal.SIGTERM)
            await tab.until(lambda: tab.is_cut, timeout=20)
        assert served.process.wait(timeout=20) == 0


def is_closed(served: Served) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", served.port), timeout=2):
        return False
    return True


class TestDelayed:
    def test_stops_at_once_where_nothing_is_to_be_waited_for(self, told: None) -> None:
        stops: list[str] = []
        draining.delayed(lambda: stops.append("stop"), 0)(signal.SIGTERM, None)
        assert (stops, draining.has_begun()) == (["stop"], True)

    def test_waits_once_and_not_for_a_second_signal(self, told: None) -> None:
        stops: list[str] = []
        handler = draining.delayed(lambda: stops.append("stop"), 60)
        handler(signal.SIGTERM, None)
        assert (stops, draining.has_begun()) == ([], True)
        handler(signal.SIGTERM, None)
        assert stops == ["stop"]
