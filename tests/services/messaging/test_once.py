"""What is said once and no more: before a charge that may fail, and to who told their bank to stop."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ghost import GhostState, Strategy
from models.messaging import Channel
from services.merchants.policies import RecoveryPolicy
from services.messaging.advice import Hour
from services.messaging.history import PROTECTION_STEP
from services.messaging.once import ABOVE_THE_LINE
from services.messaging.schedule import NO_EMAIL, SEND, Action, Charge, History, forward, may_go, next_action, together

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # 3:00 in Berlin
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = RecoveryPolicy(paused=False, protection_mails=True)
DUE = datetime(2026, 3, 30, 14, 0, tzinfo=UTC)
COMING = History(
    GhostState.IMPENDING, Strategy.NONE, "", "de", NOW, NOW, 0, None, charge=Charge(DUE, "card_expiring")
)  # fmt: skip
STOPPED = History(GhostState.STOPPED, Strategy.STOPPED, "customer_stopped", "de", NOW, NOW, 0, None)
ASKED = "The customer asked for no more messages."
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # 10:00 in Berlin


def after(history: History, now: datetime = NOW, **policy: object) -> Action:
    return next_action(history, POLICY.model_copy(update=policy), now)


class TestBeforeACharge:
    def test_by_default_nothing_is_said(self):
        assert next_action(COMING, RecoveryPolicy(paused=False), NOW) == Action("", None, "Nothing has failed yet.")

    def test_one_mail_a_week_before_it_in_the_customers_morning(self):
        action = after(COMING)
        assert (action.name, action.at, action.step) == (
            SEND,
            datetime(2026, 3, 24, 9, 0, tzinfo=UTC),  # the 23rd at 15:00 in Berlin is a week before
            PROTECTION_STEP,
        )
        assert action.reason == (
            "A word a week before the charge, while there is time to change the card, in the customer's morning."
        )

    def test_found_late_it_goes_in_the_next_morning(self):
        action = after(COMING, DUE - 3 * DAY)
        assert action.at == datetime(2026, 3, 28, 9, 0, tzinfo=UTC)
        assert action.reason.startswith("A word before the charge, ")

    def test_what_would_come_after_the_charge_never_goes(self):
        tonight = replace(COMING, charge=Charge(NOW + 2 * HOUR, "card_expiring"))
        assert after(tonight) == Action("", None, "The charge comes before a message could.")
        assert after(COMING, DUE).name == after(COMING, DUE + DAY).name == ""

    def test_one_and_no_more(self):
        told = replace(COMING, last_message_at=NOW)
        assert after(told, NOW + DAY) == Action("", None, "The customer was told; PHANTOM waits for the charge.")
        (played,) = forward([COMING], POLICY, NOW, DUE + 30 * DAY)
        assert [action.name for action in played] == [SEND, ""]

    def test_only_by_mail(self):
        silent = replace(COMING, no_email=NO_EMAIL, no_sms="")
        assert after(silent) == Action("", None, NO_EMAIL)

    def test_where_no_words_fit_none_are_said(self):
        assert after(replace(COMING, charge=Charge(DUE, ""))).name == ""

    def test_one_under_way_is_said_to_be(self):
        going = replace(COMING, under_way=True, planned_at=NOW)
        assert after(going, NOW + HOUR) == Action(SEND, NOW + HOUR, "It is being sent.", PROTECTION_STEP)

    def test_an_oracles_hour_is_asked_for_by_what_is_said(self):
        asked: list[tuple[str, str]] = []

        def oracle(group: str, country: str) -> Hour:
            asked.append((group, country))
            return Hour(18, "in the evening")

        action = next_action(COMING, POLICY, NOW, oracle=oracle)
        assert (asked, action.at) == ([("card_expiring", "de")], datetime(2026, 3, 23, 17, 0, tzinfo=UTC))


class TestOrderOfWhatDecides:
    """Each rule with everything that comes after it set against it, too: the earlier one gives the reason."""

    EVERYTHING = replace(
        COMING, no_email=ASKED, charge=Charge(NOW + 2 * DAY, "card_expiring", is_high=True), held_out=True,
        held="the next charge is more than 30 days away", week=(NOW, NOW),
    )  # fmt: skip

    def test_consent_and_suppression_first(self):
        assert after(self.EVERYTHING, paused=True).reason == ASKED

    def test_then_what_it_is(self):
        found = replace(self.EVERYTHING, no_email="")
        assert after(found, paused=True).reason == ABOVE_THE_LINE

    def test_then_the_merchants_pause(self):
        found = replace(self.EVERYTHING, no_email="", charge=Charge(DUE, "card_expiring"))
        assert after(found, paused=True).reason == "Messages are paused in the recovery policy."

    def test_then_the_holdout(self):
        found = replace(self.EVERYTHING, no_email="", charge=Charge(DUE, "card_expiring"))
        assert after(found).reason.startswith("Held out")

    def test_then_the_fresh_look(self):
        held = replace(COMING, held="the next charge is more than 30 days away", charge=Charge(DUE, "card_expiring"))
        action = after(held, DUE - 5 * DAY)
        assert action.reason.startswith("Held: the next charge is more than 30 days away.")
        assert action.at is not None
        assert action.at >= DUE - 5 * DAY + 6 * HOUR

    def test_then_caps(self):
        late = DUE - 6 * DAY
        action = after(replace(COMING, week=(late, late)), late)
        assert (action.name, action.reason) == ("", "The charge comes before a message could.")
        free = after(replace(COMING, week=(late - 5 * DAY, late)), late)
        assert free.reason.startswith("This customer gets at most 2 messages a week")


class TestAPoliteNote:
    def test_one_by_day_and_never_at_night(self):
        action = after(STOPPED)
        assert (action.name, action.at, action.step, action.channel) == (SEND, MORNING, 1, Channel.EMAIL)
        assert action.reason == "One polite note and no more: the customer told their bank to stop, " + (
            "in the customer's morning."
        )

    def test_one_and_no_more(self):
        (played,) = forward([STOPPED], POLICY, NOW, NOW + 60 * DAY)
        assert [action.name for action in played] == [SEND, ""]

    def test_to_nobody_who_was_written_to_about_it_before(self):
        """It says that it is the only message about the payment."""
        chased = replace(STOPPED, messages_sent=1, last_message_at=NOW - DAY)
        assert after(chased).name == ""

    def test_to_nobody_who_cancelled(self):
        """PRODUCT says nothing of a note to who ended the subscription: the strategy stays what the bank said."""
        for strategy in Strategy:
            if strategy is not Strategy.STOPPED:
                assert after(replace(STOPPED, strategy=strategy)).name == ""

    @pytest.mark.parametrize(
        "why", [ASKED, "The customer answered STOP to a text message.", "The subscription is over."]
    )
    def test_to_nobody_who_wants_none(self, why: str):
        assert after(replace(STOPPED, wants_none=why)) == Action("", None, why)

    def test_never_by_sms(self):
        assert after(replace(STOPPED, no_email=NO_EMAIL, no_sms="")) == Action("", None, NO_EMAIL)

    def test_none_where_the_merchant_wants_none(self):
        assert after(STOPPED, polite_note=False).name == after(STOPPED, paused=True).name == ""

    def test_none_when_a_fresh_look_finds_something_else(self):
        action = after(replace(STOPPED, held="the payment is still under way at the bank"))
        assert action == Action("", None, "No note: the payment is still under way at the bank.")

    def test_none_long_after(self):
        assert after(STOPPED, NOW + 28 * DAY).name == ""

    def test_none_to_who_is_held_out(self):
        assert after(replace(STOPPED, held_out=True)).name == ""

    def test_what_was_begun_waits_for_the_day(self):
        assert may_go(Channel.EMAIL, 1, "de", POLICY, NOW, by_day=True) == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


class TestTogether:
    def test_what_is_said_once_shares_the_customers_week(self):
        """Two invoices that failed take the week; what is not urgent waits, or is not said at all."""
        chased = [
            History(GhostState.OPEN, Strategy.SMART_RETRY, "funds", "de", NOW, NOW, 0, None, ghost_id=f"gh_{each}")
            for each in range(2)
        ]
        soon = replace(COMING, charge=Charge(NOW + 5 * DAY, "card_expiring"), ghost_id="gh_z")
        first, second, coming = together([*chased, soon], POLICY, NOW)
        assert first.at == second.at == NOW
        assert coming == Action("", None, "The charge comes before a message could.")


@given(
    now=st.integers(0, 365 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    ahead=st.integers(0, 40 * 24),
    written=st.lists(st.integers(0, 10 * 24), max_size=4),
    country=st.sampled_from(["de", "us", "in", "nz", ""]),
    planned=st.booleans(),
)
def test_whatever_the_history_it_goes_by_day_before_the_charge_and_within_the_week(
    now: datetime, ahead: int, written: list[int], country: str, planned: bool
) -> None:
    week = tuple(sorted(now - each * HOUR for each in written))
    charge = Charge(now + ahead * HOUR, "card_expiring")
    history = replace(COMING, country=country, charge=charge, week=week, planned_at=now if planned else None)
    action = next_action(history, POLICY, now, "Europe/Berlin")
    if action.at is None:
        return
    assert now <= action.at < charge.at
    assert sum(action.at - 7 * DAY < each <= action.at for each in week) < POLICY.messages_per_customer_week
    zone = {"de": "Europe/Berlin", "us": "Pacific/Honolulu", "in": "Asia/Kolkata", "nz": "Pacific/Auckland"}
    assert 8 <= action.at.astimezone(ZoneInfo(zone.get(country, "Europe/Berlin"))).hour < 21
