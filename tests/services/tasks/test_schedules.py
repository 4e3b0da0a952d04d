"""When each merchant's periods begin: spread over the period, the same for ever."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tasks.schedules import HUNT, PULSE, gathered, offset_of, slot_of

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


class TestGathered:
    @given(MOMENTS, st.timedeltas(timedelta(seconds=1), timedelta(hours=1)))
    def test_is_worked_on_once_no_transaction_of_its_period_is_open_any_more(self, now, every):
        share, at = gathered(now, every, timedelta(seconds=30))
        assert share == slot_of(now, every)
        assert timedelta(seconds=30) < at - now + timedelta(milliseconds=1)
        assert at - now <= every + timedelta(seconds=30, milliseconds=1)

    def test_all_of_a_period_get_the_same_moment(self):
        moments = [NOW + timedelta(seconds=seconds) for seconds in (0, 4, 9.9, 10)]
        *same, next_one = (gathered(moment, timedelta(seconds=10), timedelta(seconds=5)) for moment in moments)
        assert {at for _, at in same} == {NOW + timedelta(seconds=15)}
        assert len(set(same)) == 1
        assert next_one == (same[0][0] + 1, NOW + timedelta(seconds=25))
