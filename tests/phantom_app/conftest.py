"""A web server on this run's database, and somebody who is signed in."""

from collections.abc import Iterator

import pytest

from tests.phantom_app.served import Person, Served, sign_up
from tests.support.database import WorkerDatabase


@pytest.fixture(scope="session")
def running() -> Iterator[list[Served]]:
    """This process's web server, started by the first test that asks and ended after the last."""
    servers: list[Served] = []
    yield servers
    for served in servers:
        served.stop()


@pytest.fixture
def served(database: WorkerDatabase, running: list[Served], tmp_path_factory: pytest.TempPathFactory) -> Served:
    if not running:
        running.append(Served.start(tmp_path_factory.mktemp("serve"), "--workers", "1"))
    return running[0]


@pytest.fixture
def ada(served: Served) -> Person:
    return sign_up("Aurora Analytics")
