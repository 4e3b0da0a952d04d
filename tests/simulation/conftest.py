"""Where the seeds of these tests are played."""

from collections.abc import Iterator

import pytest

from tests.simulation.place import Place, place
from tests.support.database import WorkerDatabase


@pytest.fixture
def where(database: WorkerDatabase, redis_url: str) -> Iterator[Place]:
    with place(database) as found:
        yield found
