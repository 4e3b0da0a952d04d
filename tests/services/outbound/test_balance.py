"""What each day's report carries: all that is owed in the end, nothing twice, nothing negative."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outbound.balance import reports_due

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(8)]


class TestReportsDue:
    @pytest.mark.parametrize(
        ("nets", "expected"),
        [
            ((100, 50), {0: 100, 1: 50}),
            ((100, 0, 50), {0: 100, 2: 50}),
            ((100, -30, 50), {0: 70, 2: 50}),
            ((-30, 100), {1: 70}),
            ((100, -130, 20, 40), {3: 30}),
            ((0, 0), {}),
            ((-5,), {}),
        ],
        ids=["each its own", "a quiet day", "a reversal is made up for", "first a reversal", "over several days",
             "nothing", "a debt"],
    )  # fmt: skip
    def test_a_row_of_days(self, nets: tuple[int, ...], expected: dict[int, int]):
        counted = dict(zip(DAYS, nets, strict=False))
        assert reports_due(counted, 0, [], DAYS[: len(nets)]) == {DAYS[day]: owed for day, owed in expected.items()}

    def test_what_was_sent_is_not_sent_again(self):
        counted = {DAYS[0]: 100, DAYS[1]: 50}
        assert reports_due(counted, 100, [DAYS[0]], DAYS[:2]) == {DAYS[1]: 50}
        assert reports_due(counted, 150, DAYS[:2], DAYS[:2]) == {}

    def test_a_row_committed_late_goes_into_the_next_open_day(self):
        assert reports_due({DAYS[0]: 130, DAYS[1]: 50}, 100, [DAYS[0]], DAYS[:2]) == {DAYS[1]: 80}
        assert reports_due({DAYS[0]: 130}, 100, [DAYS[0]], DAYS[:1]) == {}

    @given(st.lists(st.lists(st.tuples(st.integers(0, 7), st.integers(-500, 900)), max_size=6), min_size=8, max_size=8))
    def test_whatever_comes_when_the_sum_sent_is_the_most_that_was_ever_owed(self, nights: list[list[tuple[int, int]]]):
        """Each night rows become known, of that day or, late, of an earlier one; then the night's reports go out."""
        counted: dict[date, int] = {}
        sent: dict[date, int] = {}
        for night, rows in enumerate(nights):
            for day, amount in rows:
                on = DAYS[min(day, night)]
                counted[on] = counted.get(on, 0) + amount
            due = reports_due(counted, sum(sent.values()), sent, DAYS[: night + 1])
            assert all(amount > 0 for amount in due.values())
            assert not set(due) & set(sent)
            sent |= due
            assert not due or sum(sent.values()) <= sum(counted.values())
        owed = sum(counted.values())
        last = reports_due(counted, sum(sent.values()), sent, [date(2026, 4, 1)])
        assert sum(sent.values()) + sum(last.values()) == max(owed, sum(sent.values()))
