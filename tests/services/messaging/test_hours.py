"""The recipient's hours: daytime everywhere legal, the preferred hour, clocks that change, and zones nobody knows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.merchants.policies import RecoveryPolicy
from services.messaging.hours import Country, at_hour, by_law, within_hours, zone_named, zones_for, zones_of

POLICY = RecoveryPolicy(paused=False)
COUNTRIES = ["de", "us", "jp", "br", "au", "in", "np", "nz", "ca", "ru", "id", "gb", "zz", ""]
MOMENTS = st.integers(0, 2 * 365 * 24 * 60 * 60).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def local_hours(moment: datetime, country: Country, default: str = "UTC") -> set[int]:
    return {moment.astimezone(zone).hour for zone in zones_for(country, default)}


class TestDaytime:
    @given(MOMENTS, st.sampled_from(COUNTRIES), st.integers(0, 11), st.integers(12, 24))
    def test_is_legal_in_every_zone_wherever_some_hour_is(self, moment: datetime, country: str, begins: int, ends: int):
        policy = RecoveryPolicy(quiet_until_hour=begins, quiet_from_hour=ends)
        chosen = within_hours(moment, country, policy, "Asia/Tokyo")
        assert moment <= chosen <= moment + timedelta(days=2)
        hours = local_hours(chosen, country, "Asia/Tokyo")
        legal_somewhen = any(
            all(
                begins <= hour < ends
                for hour in local_hours(moment + timedelta(minutes=15 * step), country, "Asia/Tokyo")
            )
            for step in range(4 * 24)
        )
        if legal_somewhen:
            assert all(begins <= hour < ends for hour in hours)

    @given(MOMENTS, st.sampled_from(COUNTRIES))
    def test_is_the_first_one(self, moment: datetime, country: str):
        chosen = within_hours(moment, country, POLICY)
        assert within_hours(chosen, country, POLICY) == chosen
        before = max(moment, chosen - timedelta(minutes=1))
        assert before == chosen or any(not 8 <= hour < 21 for hour in local_hours(before, country))

    def test_a_wide_country_is_held_to_hours_legal_in_all_of_it(self):
        at_eight_in_new_york = datetime(2026, 1, 15, 13, 0, tzinfo=UTC)
        assert within_hours(at_eight_in_new_york, "us", POLICY) == datetime(2026, 1, 15, 18, 0, tzinfo=UTC)  # Honolulu

    def test_a_country_without_a_common_hour_is_held_to_where_most_people_live(self):
        narrow = RecoveryPolicy(quiet_until_hour=9, quiet_from_hour=10)
        chosen = within_hours(datetime(2026, 1, 15, 0, 0, tzinfo=UTC), "us", narrow)
        assert chosen.astimezone(ZoneInfo("America/New_York")).hour == 9

    @pytest.mark.parametrize(
        ("night", "first"),
        [
            (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 6, 0, tzinfo=UTC)),  # one hour less
            (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 7, 0, tzinfo=UTC)),  # one hour more
        ],
    )
    def test_the_nights_on_which_clocks_change(self, night: datetime, first: datetime):
        assert within_hours(night, "de", POLICY) == first

    def test_the_evening_before_a_change_ends_at_nine(self):
        nine = datetime(2026, 10, 24, 19, 0, tzinfo=UTC)  # 21:00 in Berlin, still summer time
        assert within_hours(nine - timedelta(seconds=1), "de", POLICY) == nine - timedelta(seconds=1)
        assert within_hours(nine, "de", POLICY) == datetime(2026, 10, 25, 7, 0, tzinfo=UTC)

    def test_a_zone_of_quarter_hours_begins_on_the_quarter(self):
        chosen = within_hours(datetime(2026, 1, 15, 0, 0, tzinfo=UTC), "np", POLICY)
        assert chosen == datetime(2026, 1, 15, 2, 15, tzinfo=UTC)  # 8:00 in Kathmandu, UTC+5:45


class TestSeveralCountries:
    """The number is from one, the address in another."""

    @given(MOMENTS)
    def test_daytime_in_both_where_they_have_some_in_common(self, moment: datetime):
        chosen = within_hours(moment, ("au", "us"), POLICY)
        assert all(8 <= hour < 21 for country in ("au", "us") for hour in local_hours(chosen, country))

    @given(MOMENTS, st.integers(0, 11), st.integers(12, 24))
    def test_else_daytime_in_all_of_the_first(self, moment: datetime, begins: int, ends: int):
        """India sleeps while Hawaii is awake; texts are not held to an hour nobody has."""
        mine = by_law(RecoveryPolicy(quiet_until_hour=begins, quiet_from_hour=ends), ("us", "in"), "UTC", moment)
        chosen = within_hours(moment, ("us", "in"), mine)
        assert all(8 <= hour < 21 for hour in local_hours(chosen, "us"))

    def test_the_hours_of_the_merchant_hold_where_the_first_has_some(self):
        nine_to_noon, night = RecoveryPolicy(quiet_until_hour=9, quiet_from_hour=12), datetime(2026, 1, 15, tzinfo=UTC)
        mine = by_law(nine_to_noon, ("jp", "br"), "UTC", night)
        assert (mine.quiet_until_hour, mine.quiet_from_hour) == (9, 12)
        assert local_hours(within_hours(night, ("jp", "br"), mine), "jp") == {9}

    def test_one_without_a_zone_does_not_count(self):
        assert zones_for(("zz", "jp"), "UTC") == zones_for("jp", "UTC")
        assert zones_for(("zz", ""), "Asia/Tokyo") == (ZoneInfo("Asia/Tokyo"),)
        night = datetime(2026, 1, 15, 20, 0, tzinfo=UTC)
        assert within_hours(night, ("zz", "jp"), POLICY) == within_hours(night, "jp", POLICY)


class TestPreferredHour:
    @given(MOMENTS, st.sampled_from(COUNTRIES), st.integers(0, 23))
    def test_is_legal_and_never_more_than_two_days_off(self, moment: datetime, country: str, hour: int):
        chosen = at_hour(moment, hour, country, POLICY)
        assert moment <= chosen <= moment + timedelta(hours=50)
        assert all(8 <= each < 21 for each in local_hours(chosen, country))

    @given(MOMENTS, st.sampled_from(["de", "jp", "np", "gb", "in"]), st.integers(8, 20))
    def test_is_that_hour_where_it_is_legal(self, moment: datetime, country: str, hour: int):
        assert local_hours(at_hour(moment, hour, country, POLICY), country) == {hour}

    def test_within_the_hour_it_is_now(self):
        moment = datetime(2026, 1, 15, 9, 59, 59, tzinfo=UTC)  # 10:59:59 in Berlin
        assert at_hour(moment, 10, "de", POLICY) == moment
        assert at_hour(moment + timedelta(seconds=1), 10, "de", POLICY) == datetime(2026, 1, 16, 9, 0, tzinfo=UTC)

    def test_a_wide_country_gets_the_next_legal_hour_and_does_not_lose_a_day_to_it(self):
        moment = datetime(2026, 1, 15, 18, 0, 5, tzinfo=UTC)  # ten in New York is before eight in Honolulu
        assert at_hour(moment, 10, "us", POLICY) == moment
        assert at_hour(moment - timedelta(hours=2), 10, "us", POLICY) == moment.replace(second=0)

    def test_an_hour_that_a_spring_night_skips_is_the_one_after_it(self):
        always = RecoveryPolicy(quiet_until_hour=0, quiet_from_hour=24)
        chosen = at_hour(datetime(2026, 3, 28, 23, 0, tzinfo=UTC), 2, "de", always)
        assert chosen == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 3:00 in Berlin; there is no 2:00

    def test_an_hour_that_an_autumn_night_has_twice_is_the_first(self):
        always = RecoveryPolicy(quiet_until_hour=0, quiet_from_hour=24)
        chosen = at_hour(datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 2, "de", always)
        assert chosen == datetime(2026, 10, 25, 0, 0, tzinfo=UTC)


class TestZones:
    def test_a_country_is_read_however_it_is_written(self):
        assert zones_of("de") == zones_of("DE") == zones_of(" De ") == ("Europe/Berlin", "Europe/Busingen")

    @pytest.mark.parametrize(
        ("country", "zone"),
        [
            ("au", "Australia/Sydney"),
            ("br", "America/Sao_Paulo"),
            ("ca", "America/Toronto"),
            ("ru", "Europe/Moscow"),
            ("ua", "Europe/Kyiv"),
            ("us", "America/New_York"),
            ("mx", "America/Mexico_City"),
            ("id", "Asia/Jakarta"),
            ("es", "Europe/Madrid"),
            ("pt", "Europe/Lisbon"),
            ("cl", "America/Santiago"),
            ("kz", "Asia/Almaty"),
            ("nz", "Pacific/Auckland"),
            ("cn", "Asia/Shanghai"),
            ("my", "Asia/Kuala_Lumpur"),
        ],
    )
    def test_the_first_is_where_most_people_live(self, country: str, zone: str):
        assert zones_of(country)[0] == zone
        assert len(set(zones_of(country))) == len(zones_of(country))

    @pytest.mark.parametrize("country", ["zz", "", "  ", "#", "deu", "\x00"])
    def test_an_unknown_country_uses_the_merchants_zone(self, country: str):
        assert zones_for(country, "Asia/Tokyo") == (ZoneInfo("Asia/Tokyo"),)

    @pytest.mark.parametrize(
        "name", ["Mars/Olympus", "", "../etc/passwd", "America", "Europe/Berlin\x00", "é", "x" * 999]
    )
    def test_a_zone_nobody_knows_is_utc(self, name: str):
        assert zone_named(name) == ZoneInfo("UTC")
        night = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
        assert within_hours(night, "", POLICY, name) == datetime(2026, 1, 15, 8, 0, tzinfo=UTC)
