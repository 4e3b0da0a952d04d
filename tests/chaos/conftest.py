"""One PHANTOM a module; each test has a business of its own in it."""

from collections.abc import Iterator

import pytest

from tests.chaos.arena import Arena


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena.open() as opened:
        yield opened
