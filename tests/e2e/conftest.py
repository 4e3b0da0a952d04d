"""One whole PHANTOM for the browser's stories."""

from collections.abc import Iterator

import pytest

from tests.support.stack import Home
from tests.support.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    home = Home.new()
    try:
        home.up("--no-history")
        yield Stage.of(home)
    finally:
        home.remove()
