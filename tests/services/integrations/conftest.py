"""A Stripe that answers whatever a test wants."""

from collections.abc import Iterator

import pytest

from tests.phantom_app.api.fake_stripe import FakeStripe, in_stripes_place


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with in_stripes_place() as server:
        yield server
