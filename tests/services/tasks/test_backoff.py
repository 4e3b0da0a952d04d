"""How long a failed task waits."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.tasks.backoff import CAP, backoff


class TestBackoff:
    def test_grows_fourfold(self):
        assert [backoff(attempts, 1.0).total_seconds() for attempts in (1, 2, 3, 4, 5)] == [10, 40, 160, 640, 2560]

    @given(st.integers(-5, 10_000), st.floats(0, 1, exclude_max=True))
    def test_stays_within_bounds(self, attempts, chance):
        assert timedelta() <= backoff(attempts, chance) <= CAP

    def test_the_whole_interval_is_random(self):
        assert backoff(3, 0.0) == timedelta()
