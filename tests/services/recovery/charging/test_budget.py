"""The networks' limits: what counts, which limit holds, and when the next charge is allowed."""

from datetime import UTC, datetime, timedelta

import pytest

from core.config import CARD_LIMITS, CardLimit, load
from core.errors import ConfigurationError
from models.money import AttemptSource, AttemptState
from services.recovery.charging.budget import Attempt, free_from, standing

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMITS = (CardLimit("visa", 20, 30), CardLimit("mastercard", 10, 1), CardLimit("mastercard", 35, 30))


def charges(number: int, *, every: timedelta = timedelta(hours=1), source: AttemptSource = AttemptSource.STRIPE,
            state: AttemptState = AttemptState.DECLINED) -> list[Attempt]:  # fmt: skip
    """So many charges before now, the latest one interval ago."""
    return [Attempt(source, state, NOW - every * (number - index)) for index in range(number)]


class TestConfiguration:
    def test_the_defaults_are_the_networks(self):
        assert load().card_limits == LIMITS

    def test_another_line_replaces_them_and_an_empty_one_is_the_default(self):
        assert load(card_limits="visa=15/30").card_limits == (CardLimit("visa", 15, 30),)
        assert load(card_limits="").card_limits == load(card_limits=CARD_LIMITS).card_limits

    @pytest.mark.parametrize("line", ["mastercard=10/1", "visa=20", "visa=0/30", "visa=x/30", "visa=20/30,"])
    def test_a_line_that_says_nothing_stops_the_start(self, line: str):
        with pytest.raises(ConfigurationError, match="CARD_LIMITS"):
            load(card_limits=line)


class TestWhatCounts:
    def test_stripes_declines_and_ours_share_one_budget(self):
        made = charges(3) + charges(2, source=AttemptSource.PHANTOM)
        assert (standing("visa", made, NOW, LIMITS).used, standing("visa", made, NOW, LIMITS).left) == (5, 15)

    def test_what_is_not_known_counts_as_made(self):
        made = charges(1, state=AttemptState.STARTED) + charges(1, state=AttemptState.UNCERTAIN)
        assert standing("visa", made, NOW, LIMITS).used == 2

    @pytest.mark.parametrize("state", [AttemptState.SUCCEEDED, AttemptState.ALREADY_PAID, AttemptState.GIVEN_UP])
    def test_a_payment_is_no_retry_and_what_was_never_made_is_none(self, state: AttemptState):
        assert standing("visa", charges(30, state=state), NOW, LIMITS).used == 0

    def test_a_customers_own_tries_eat_nothing(self):
        made = charges(50, source=AttemptSource.CUSTOMER)
        assert standing("visa", made, NOW, LIMITS).used == 0
        assert free_from("visa", made, NOW, LIMITS) == NOW


class TestLimits:
    def test_visa_has_twenty_in_thirty_days(self):
        made = charges(19, every=timedelta(days=1))
        assert free_from("visa", made, NOW, LIMITS) == NOW
        made = charges(20, every=timedelta(days=1))
        assert free_from("visa", made, NOW, LIMITS) == made[0].at + timedelta(days=30)

    def test_mastercard_has_ten_a_day_and_thirty_five_in_thirty_days(self):
        made = charges(10)
        assert free_from("mastercard", made, NOW, LIMITS) == made[0].at + timedelta(days=1)
        made = charges(35, every=timedelta(hours=20))
        assert free_from("mastercard", made, NOW, LIMITS) == made[0].at + timedelta(days=30)
        assert standing("mastercard", charges(9), NOW, LIMITS) == standing("mastercard", charges(9), NOW, LIMITS[1:2])

    def test_an_unknown_network_is_held_to_visas(self):
        assert standing("diners", charges(4), NOW, LIMITS).limit == 20
        assert standing("", charges(4), NOW, LIMITS).days == 30

    def test_what_is_older_than_the_days_is_over(self):
        made = charges(40, every=timedelta(days=2))
        assert standing("visa", made, NOW, LIMITS).used == 14

    def test_a_place_is_kept_for_stripes_next_attempt(self):
        made = charges(19, every=timedelta(days=1))
        assert free_from("visa", made, NOW, LIMITS, reserved=1) == made[0].at + timedelta(days=30)

    def test_never_more_than_the_limit_however_long_one_waits(self):
        made: list[Attempt] = []
        at = NOW
        for _ in range(120):
            at = free_from("mastercard", made, at + timedelta(minutes=30), LIMITS)
            made.append(Attempt(AttemptSource.PHANTOM, AttemptState.DECLINED, at))
        times = [attempt.at for attempt in made]
        for end in times:
            assert sum(end - timedelta(days=1) < each <= end for each in times) <= 10
            assert sum(end - timedelta(days=30) < each <= end for each in times) <= 35
