"""A Redis that accepts connections and never answers costs a request less than half a second, and then nothing."""

import time

import pytest

from core import queue
from tests.support import environment
from tests.support.silent import silent_server


@pytest.fixture
def _silence():
    with silent_server() as port, environment.changed(REDIS_URL=f"redis://127.0.0.1:{port}/0"):
        queue.disconnect()
        yield
        queue.disconnect()


@pytest.mark.usefixtures("_silence")
@pytest.mark.parametrize(
    "said",
    [queue.announce_work, queue.work_taken, lambda: queue.announce_changes(["m1", "m2"]), queue.answers],
    ids=["work", "taken", "changes", "answers"],
)
def test_nobody_is_held(said):
    began = time.monotonic()
    assert said() is False
    assert time.monotonic() - began < 0.5 + 0.3  # and what a busy machine takes
    began = time.monotonic()
    assert [said() for _ in range(100)] == [False] * 100
    assert time.monotonic() - began < 0.3  # for a second nobody even asks
