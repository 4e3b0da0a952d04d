"""When each merchant's periods begin: spread over the period, the same for ever."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tasks.schedules import HUNT, PULSE, offset_of, slot_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds


class TestOffset:
    def test_is_the_same_for_ever(self):
        assert offset_of("mer_01kx3", timedelta(hours=12)) == timedelta(seconds=3210)

    def test_spreads_merchants_evenly(self):
        hours = Counter(int(offset_of(f"mer_{n}", HUNT.every) / timedelta(hours=1)) for n in range(12_000))
        assert set(hours) == set(range(12))
        assert max(hours.values()) < 1.15 * min(hours.values())


class TestSlots:
    @given(st.text(min_size=1), MOMENTS)
    def test_now_is_in_its_slot(self, merchant, now):
        slot = HUNT.slot(merchant, now)
        assert HUNT.begins(merchant, slot) <= now < HUNT.begins(merchant, slot + 1)
        assert HUNT.begins(merchant, slot + 1) - HUNT.begins(merchant, slot) == HUNT.every
        assert slot_of(now, HUNT.every) - slot in (0, 1)

    @pytest.mark.parametrize("merchant", ["a", "b"])
    def test_what_is_not_spread_begins_with_the_common_period(self, merchant):
        assert PULSE.begins(merchant, PULSE.slot(merchant, NOW)) == NOW
