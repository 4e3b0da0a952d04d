"""When the next message goes: grace, cooldown, daytime in the customer's own country, and the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ghost import GhostState, Strategy
from services.merchants.policies import RecoveryPolicy
from services.messaging.schedule import EXHAUST, SEND, History, next_action, within_hours, zones_of

FOUND = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
POLICY = RecoveryPolicy(paused=False)
NEW = History(GhostState.OPEN, Strategy.SMART_RETRY, "funds", "de", FOUND, 0, None)
HOUR = timedelta(hours=1)


class TestFirstMessage:
    def test_goes_at_once_even_at_night(self):
        assert (next_action(NEW, POLICY, FOUND).name, next_action(NEW, POLICY, FOUND).at) == (SEND, FOUND)

    def test_is_held_for_a_technical_fault(self):
        assert next_action(replace(NEW, decline_group="technical"), POLICY, FOUND).at == FOUND + 24 * HOUR

    def test_waits_for_the_day_if_the_merchant_says_so(self):
        quiet = RecoveryPolicy(paused=False, quiet_first_message=True)
        assert next_action(NEW, quiet, FOUND).at == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


class TestFollowing:
    def test_waits_for_the_cooldown_and_the_customers_day(self):
        sent = replace(NEW, state=GhostState.CONTACTED, messages_sent=1, last_message_at=FOUND)
        action = next_action(sent, POLICY, FOUND + HOUR)
        assert (action.name, action.at) == (SEND, datetime(2026, 3, 5, 7, 0, tzinfo=UTC))

    def test_ends_after_the_last_cooldown(self):
        sent = replace(NEW, state=GhostState.CONTACTED, messages_sent=3, last_message_at=FOUND + 200 * HOUR)
        action = next_action(sent, POLICY, FOUND + 201 * HOUR)
        assert (action.name, action.at) == (EXHAUST, FOUND + 272 * HOUR)

    def test_ends_with_the_window(self):
        late = FOUND + timedelta(days=28)
        assert next_action(NEW, POLICY, late).name == EXHAUST

    @pytest.mark.parametrize("state", [s for s in GhostState if s not in ("open", "contacted", "clicked")])
    def test_nothing_follows_when_closed_or_paused(self, state: GhostState):
        assert next_action(replace(NEW, state=state), POLICY, FOUND).name == ""

    @pytest.mark.parametrize("strategy", [Strategy.HIGH_VALUE_MANUAL, Strategy.STOPPED, Strategy.NONE])
    def test_nothing_follows_for_a_person_to_decide(self, strategy: Strategy):
        assert next_action(replace(NEW, strategy=strategy), POLICY, FOUND).name == ""

    def test_nothing_follows_while_the_merchant_pauses(self):
        action = next_action(NEW, RecoveryPolicy(paused=True), FOUND)
        assert (action.name, "paused" in action.reason) == ("", True)


class TestDaytime:
    @given(
        st.integers(0, 2 * 365 * 24 * 60),
        st.sampled_from(["de", "us", "jp", "br", "au", "in", "nz", "ca"]),
    )
    def test_is_always_daytime_somewhere_legal(self, minutes: int, country: str):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        chosen = within_hours(moment, country, POLICY)
        assert moment <= chosen <= moment + timedelta(days=2)
        assert 8 <= chosen.astimezone(ZoneInfo(zones_of(country)[0])).hour < 21

    def test_a_wide_country_is_held_to_hours_legal_in_all_of_it(self):
        at_eight_in_new_york = datetime(2026, 1, 15, 13, 0, tzinfo=UTC)
        chosen = within_hours(at_eight_in_new_york, "us", POLICY)
        assert all(8 <= chosen.astimezone(ZoneInfo(zone)).hour < 21 for zone in zones_of("us"))

    @pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
    def test_the_days_on_which_clocks_change(self, day: datetime):
        chosen = within_hours(day, "de", POLICY)
        assert chosen.astimezone(ZoneInfo("Europe/Berlin")).hour == 8

    def test_an_unknown_country_uses_the_merchants_zone(self):
        night = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
        assert within_hours(night, "zz", POLICY, "Asia/Tokyo") == night
