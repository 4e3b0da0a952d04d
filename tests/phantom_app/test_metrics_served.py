"""Metrics of a host: the web's workers tell as one, and a worker's own port stands in where there is no web."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.embedded.process import free_port
from tests.phantom_app.served import ROOT, Served
from tests.services.tasks.support import put, row
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database", "redis_url")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder this host's processes count in."""
    with environment.changed(PHANTOM_METRICS_FOLDER=str(tmp_path / "metrics")):
        yield tmp_path


def sample(text: str, pattern: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


def scrape(url: str) -> str:
    answer = httpx.get(f"{url}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_workers_of_the_web_and_of_the_queue_tell_as_one(database: WorkerDatabase, folder: Path) -> None:
    task = put("hunt", merchant_id="mer_unknown")
    served = Served.start(folder, "--workers", "2", "--headless", health="/health")
    port = free_port()
    worker = subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", "jobs.worker", "--metrics-port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(20):
            httpx.get(served.url + "/r/nothing")
        wait_until(lambda: row(task)["state"] != "running" and row(task)["attempts"] > 0, timeout=30)
        health = r'phantom_http_request_seconds_count\{method="GET",route="/r/\{token\}",status="404"\}'
        hunts = r'phantom_task_seconds_count\{kind="hunt",outcome="\w+"\}'
        own = f"http://127.0.0.1:{port}"  # a task is counted, and requests are written, a moment after they ended
        wait_until(lambda: sample(scrape(own), hunts) >= 1 and sample(scrape(own), health) == 20, timeout=10)
        for url in [served.url] * 6 + [own]:  # whichever process answers
            text = scrape(url)
            assert sample(text, health) == 20
            assert sample(text, hunts) >= 1
            assert sample(text, r'phantom_task_wait_seconds_count\{kind="hunt"\}') >= 1
            assert sample(text, "phantom_database_up") == 1
        assert httpx.get(f"{own}/health").status_code == 404
    finally:
        worker.terminate()
        assert worker.wait(timeout=30) == 0
        served.stop()


def test_a_port_that_is_taken_ends_the_start_in_one_line(database: WorkerDatabase, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = subprocess.run(  # noqa: S603  # our own module
            [sys.executable, "-m", "jobs.sentinel", "--metrics-port", str(taken.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "cannot be used" in ended.stderr
