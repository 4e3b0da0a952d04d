"""What comes next and why: the order of what decides, each rule by itself, and what holds whatever the history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ghost import CHASED_STATES, GhostState, Strategy
from models.messaging import Channel
from services.merchants.policies import RecoveryPolicy
from services.messaging.advice import Hour
from services.messaging.hours import zones_for
from services.messaging.schedule import (
    EXHAUST,
    NO_EMAIL,
    SEND,
    SMS_IS_OFF,
    WEEK,
    Action,
    History,
    channel_of,
    forward,
    may_go,
    next_action,
    together,
)

FOUND = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # 3:00 in Berlin
POLICY = RecoveryPolicy(paused=False)
NEW = History(GhostState.OPEN, Strategy.SMART_RETRY, "funds", "de", FOUND, FOUND, 0, None)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SENT = replace(NEW, state=GhostState.CONTACTED, messages_sent=1, last_message_at=FOUND)
ASKED = "The customer asked for no more messages."
NO_CONSENT = "This customer has not agreed to messages by SMS."


def after(history: History, now: datetime, **policy: object) -> Action:
    return next_action(history, POLICY.model_copy(update=policy), now)


class TestFirstMessage:
    def test_goes_at_once_even_at_night(self):
        assert next_action(NEW, POLICY, FOUND) == Action(
            SEND, FOUND, "Golden Hour: the sooner the customer knows, the likelier they pay.", 1
        )

    def test_is_held_for_a_technical_fault_from_the_failure_on(self):
        technical = replace(NEW, decline_group="technical", failed_at=FOUND - 20 * HOUR)
        assert next_action(technical, POLICY, FOUND).at == FOUND + 4 * HOUR
        assert "Held 24 hours" in next_action(technical, POLICY, FOUND).reason

    def test_a_technical_fault_found_late_has_had_its_time(self):
        old = replace(NEW, decline_group="technical", failed_at=FOUND - 3 * DAY)
        assert next_action(old, POLICY, FOUND).at == FOUND

    def test_waits_for_the_day_if_the_merchant_says_so(self):
        assert after(NEW, FOUND, quiet_first_message=True).at == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)

    def test_by_sms_always_waits_for_the_day(self):
        texted = replace(NEW, no_email=NO_EMAIL, no_sms="")
        action = next_action(texted, POLICY, FOUND)
        assert (action.at, action.channel) == (datetime(2026, 3, 2, 7, 0, tzinfo=UTC), Channel.SMS)

    def test_that_waited_for_a_place_goes_in_the_morning(self):
        full = replace(NEW, week=(FOUND - 3 * DAY, FOUND - DAY))
        action = next_action(full, POLICY, FOUND)
        assert action.at == datetime(2026, 3, 6, 9, 0, tzinfo=UTC)  # free at 3:00 in Berlin, ten is the preferred hour
        assert "at most 2 messages a week" in action.reason

    def test_that_waited_for_a_place_keeps_its_hour_once_there_is_one(self):
        full = replace(NEW, week=(FOUND - 3 * DAY, FOUND - DAY))
        planned = next_action(full, POLICY, FOUND)
        since_half_an_hour = datetime(2026, 3, 6, 2, 30, tzinfo=UTC)
        kept = replace(full, planned_at=planned.at, planned_why=planned.reason)
        action = next_action(kept, POLICY, since_half_an_hour)
        assert action.at == planned.at
        assert action.reason == (
            "This customer gets at most 2 messages a week: it waited for a place. Then in the customer's morning."
        )

    def test_that_waited_for_anything_else_goes_as_soon_as_it_may(self):
        at = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
        no_longer = replace(NEW, planned_at=at, planned_why="Held 24 hours: this kind of fault often passes by itself.")
        assert next_action(no_longer, POLICY, FOUND + HOUR).at == FOUND + HOUR


class TestWindow:
    """28 days from when there was something to do: found, said go, or owed again; whichever was last."""

    def test_what_waited_for_the_merchants_go_has_all_its_days_from_there(self):
        now = FOUND + 40 * DAY
        assert after(NEW, now).name == EXHAUST
        assert after(NEW, now, going_since=now).name == SEND
        assert after(NEW, now + 28 * DAY, going_since=now).name == EXHAUST

    def test_nobody_is_given_up_before_the_merchants_go(self):
        """Who cannot be written to may be by then: an address comes, or a consent."""
        now, silent = FOUND + 40 * DAY, replace(NEW, no_email=NO_EMAIL)
        assert next_action(silent, POLICY.model_copy(update={"paused": True}), now) == Action("", None, NO_EMAIL)
        assert next_action(silent, POLICY, now).name == EXHAUST

    def test_what_is_owed_again_has_them_from_there(self):
        now = FOUND + 40 * DAY
        again = replace(NEW, reopened_at=now)
        assert next_action(again, POLICY, now).name == SEND
        assert next_action(again, POLICY, now + 28 * DAY).name == EXHAUST
        assert after(again, now + 28 * DAY, going_since=FOUND).name == EXHAUST

    @pytest.mark.parametrize(
        ("why", "said"),
        [
            (NO_EMAIL, f"{NO_EMAIL} A payment still counts."),
            (f"{ASKED} A payment still counts.", f"{ASKED} A payment still counts."),
            (
                "After the last message's cooldown PHANTOM stops asking.",
                "All messages were sent; a payment still counts.",
            ),
        ],
    )
    def test_once_it_is_over_the_reason_stays(self, why: str, said: str):
        assert next_action(replace(NEW, state=GhostState.EXHAUSTED, ended=why), POLICY, FOUND).reason == said


class TestFollowing:
    def test_waits_for_the_cooldown_and_the_preferred_hour(self):
        action = next_action(SENT, POLICY, FOUND + HOUR)
        assert (action.name, action.at) == (SEND, datetime(2026, 3, 5, 9, 0, tzinfo=UTC))
        assert action.reason == "Message 2 of 3, 72 hours after the last one, in the customer's morning."

    def test_asks_the_oracle_for_the_hour(self):
        evening = next_action(SENT, POLICY, FOUND, oracle=lambda group, country: Hour(18, f"{group} in {country}"))
        assert evening.at == datetime(2026, 3, 5, 17, 0, tzinfo=UTC)
        assert evening.reason.endswith("funds in de.")

    def test_an_oracle_has_no_say_over_quiet_hours(self):
        night = next_action(SENT, POLICY, FOUND, oracle=lambda group, country: Hour(3, ""))
        assert night.at == datetime(2026, 3, 5, 7, 0, tzinfo=UTC)

    def test_a_wide_country_is_not_told_that_its_noon_is_morning(self):
        action = next_action(replace(SENT, country="us"), POLICY, FOUND)
        assert action.at == datetime(2026, 3, 5, 18, 0, tzinfo=UTC)  # eight in Honolulu, one in New York
        assert action.reason.endswith("when it is daytime in the whole country.")

    def test_in_its_hour_already_it_loses_no_day(self):
        morning = replace(SENT, last_message_at=datetime(2026, 3, 3, 9, 0, 7, tzinfo=UTC))
        assert next_action(morning, POLICY, FOUND).at == datetime(2026, 3, 6, 9, 0, 7, tzinfo=UTC)

    def test_whose_moment_came_goes_though_its_hour_has_passed(self):
        """A task that runs late, after an outage, is not put off to the next morning."""
        due = replace(SENT, planned_at=datetime(2026, 3, 5, 9, 0, tzinfo=UTC))
        late = datetime(2026, 3, 5, 15, 0, tzinfo=UTC)
        assert next_action(due, POLICY, late).at == late

    def test_whose_moment_came_still_waits_out_the_night(self):
        due = replace(SENT, planned_at=datetime(2026, 3, 5, 9, 0, tzinfo=UTC))
        assert next_action(due, POLICY, datetime(2026, 3, 5, 22, 0, tzinfo=UTC)).at == datetime(
            2026, 3, 6, 9, 0, tzinfo=UTC
        )

    def test_ends_after_the_last_cooldown(self):
        sent = replace(NEW, state=GhostState.CONTACTED, messages_sent=3, last_message_at=FOUND + 200 * HOUR)
        action = next_action(sent, POLICY, FOUND + 201 * HOUR)
        assert (action.name, action.at) == (EXHAUST, FOUND + 272 * HOUR)

    def test_ends_with_the_window(self):
        assert next_action(NEW, POLICY, FOUND + 28 * DAY).name == EXHAUST

    def test_that_would_come_after_the_window_ends_with_it(self):
        sent = replace(SENT, last_message_at=FOUND + 26 * DAY)
        action = next_action(sent, POLICY, FOUND + 26 * DAY)
        assert (action.name, action.at) == (EXHAUST, FOUND + 28 * DAY)

    def test_one_that_is_under_way_is_said_to_be(self):
        going = replace(SENT, under_way=True, planned_at=FOUND)
        assert next_action(going, POLICY, FOUND + HOUR) == Action(SEND, FOUND + HOUR, "It is being sent.", 2)


class TestOrderOfWhatDecides:
    """Each rule with everything that comes after it set against it, too: the earlier one gives the reason."""

    EVERYTHING = replace(
        NEW, no_email=ASKED, strategy=Strategy.HIGH_VALUE_MANUAL, held_out=True, week=(FOUND, FOUND),
        decline_group="technical",
    )  # fmt: skip

    def test_consent_and_suppression_first(self):
        assert after(self.EVERYTHING, FOUND, paused=True) == Action("", None, ASKED)
        assert after(self.EVERYTHING, FOUND) == Action(EXHAUST, FOUND + 28 * DAY, ASKED)

    def test_then_what_the_ghost_is(self):
        action = after(replace(self.EVERYTHING, no_email=""), FOUND, paused=True)
        assert (action.name, action.reason) == ("", "A person decides: PHANTOM does nothing here by itself.")

    def test_then_the_merchants_pause(self):
        found = replace(self.EVERYTHING, no_email="", strategy=Strategy.CARD_REFRESH)
        assert after(found, FOUND, paused=True) == Action("", None, "Messages are paused in the recovery policy.")

    def test_then_the_holdout(self):
        found = replace(self.EVERYTHING, no_email="", strategy=Strategy.CARD_REFRESH)
        assert next_action(found, POLICY, FOUND).reason.startswith("Held out")

    def test_then_caps(self):
        found = replace(self.EVERYTHING, no_email="", strategy=Strategy.CARD_REFRESH, held_out=False)
        action = after(found, FOUND, quiet_first_message=True)
        assert action.reason.startswith("This customer gets at most 2 messages a week")
        assert action.at == datetime(2026, 3, 9, 9, 0, tzinfo=UTC)

    @pytest.mark.parametrize("state", [state for state in GhostState if state not in CHASED_STATES])
    def test_nothing_follows_when_closed_or_paused(self, state: GhostState):
        action = next_action(replace(self.EVERYTHING, state=state), POLICY, FOUND)
        assert (action.name, action.at) == ("", None)
        assert action.reason not in ("", ASKED)

    def test_nothing_follows_where_the_customer_stopped_it(self):
        assert next_action(replace(NEW, strategy=Strategy.STOPPED), POLICY, FOUND).name == ""

    def test_where_there_is_nothing_to_ask_for_it_ends_with_its_window(self):
        action = next_action(replace(NEW, strategy=Strategy.NONE), POLICY, FOUND)
        assert (action.name, action.at) == (EXHAUST, FOUND + 28 * DAY)
        assert "nothing to ask for" in action.reason


class TestAPersonDecides:
    MANUAL = replace(NEW, strategy=Strategy.HIGH_VALUE_MANUAL)

    def test_until_a_person_closes_the_task_and_then_it_ends_with_its_days(self):
        action = next_action(replace(self.MANUAL, decided=True), POLICY, FOUND)
        assert (action.name, action.at) == (EXHAUST, FOUND + POLICY.window)

    def test_until_a_draft_is_released(self):
        assert next_action(self.MANUAL, POLICY, FOUND).name == ""
        assert next_action(replace(self.MANUAL, released_at=FOUND), POLICY, FOUND).name == SEND

    def test_and_again_after_that_one_message(self):
        sent = replace(self.MANUAL, released_at=FOUND, messages_sent=1, last_message_at=FOUND + HOUR)
        assert next_action(sent, POLICY, FOUND + 5 * DAY).name == ""


class TestChannel:
    @pytest.mark.parametrize(
        ("no_email", "no_sms", "channel"),
        [
            ("", SMS_IS_OFF, Channel.EMAIL),
            ("", "", Channel.EMAIL),  # mail first, however much was agreed to
            ("Mail to the customer's address comes back.", "", Channel.SMS),
            (NO_EMAIL, "", Channel.SMS),
        ],
    )
    def test_is_mail_first_and_sms_where_mail_cannot(self, no_email: str, no_sms: str, channel: Channel):
        assert channel_of(replace(NEW, no_email=no_email, no_sms=no_sms)) is channel

    def test_without_consent_nothing_goes_and_both_reasons_are_given(self):
        action = next_action(replace(NEW, no_email=ASKED, no_sms=NO_CONSENT), POLICY, FOUND)
        assert (action.name, action.reason) == (EXHAUST, f"{ASKED} {NO_CONSENT}")

    def test_a_refused_mail_leaves_its_step_to_nobody(self):
        """SMS takes the next step: a step never has two messages."""
        refused = replace(
            NEW, no_email="The provider refused the message: see the outbox.", no_sms="", never_got=frozenset({1})
        )
        action = next_action(refused, POLICY, FOUND)
        assert (action.step, action.channel) == (2, Channel.SMS)
        assert action.reason.endswith("By SMS: the provider refused the message: see the outbox.")

    def test_a_refused_text_leaves_mail_open(self):
        refused = replace(NEW, no_sms="The provider refused the message: see the outbox.", never_got=frozenset({1}))
        action = next_action(refused, POLICY, FOUND)
        assert (action.name, action.step, action.channel) == (SEND, 2, Channel.EMAIL)

    def test_where_both_were_refused_it_is_said_once(self):
        refused = "The provider refused the message: see the outbox."
        action = next_action(replace(NEW, no_email=refused, no_sms=refused, never_got=frozenset({1, 2})), POLICY, FOUND)
        assert (action.name, action.reason) == (EXHAUST, refused)

    def test_a_text_keeps_to_the_legal_hours_where_the_merchants_own_fit_no_zone_together(self):
        early = POLICY.model_copy(update={"quiet_until_hour": 8, "quiet_from_hour": 9})
        noon = datetime(2026, 3, 2, 13, 30, tzinfo=UTC)  # 8:30 in New York, 3:30 in Honolulu
        assert may_go(Channel.SMS, 1, "us", early, noon) == datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
        assert may_go(Channel.SMS, 1, "de", early, noon) == datetime(2026, 3, 3, 7, 0, tzinfo=UTC)

    def test_what_was_begun_is_handed_over_in_the_day_alone(self):
        night = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
        morning = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
        assert may_go(Channel.EMAIL, 1, "de", POLICY, night) == night
        assert may_go(Channel.EMAIL, 2, "de", POLICY, night) == morning
        assert may_go(Channel.SMS, 1, "de", POLICY, night) == morning


class TestHeld:
    def test_looks_again_some_hours_later(self):
        action = next_action(replace(NEW, held="a payment is under way"), POLICY, FOUND)
        assert (action.name, action.at) == (SEND, FOUND + 6 * HOUR)
        assert action.reason.startswith("Held: a payment is under way.")

    def test_is_the_reason_even_where_the_week_has_no_place(self):
        full = replace(NEW, held="a payment is under way", week=(FOUND - 3 * DAY, FOUND - DAY))
        assert next_action(full, POLICY, FOUND).reason.startswith("Held: a payment is under way.")


class TestOneCustomersGhosts:
    """Forty invoices of one customer are two messages a week, not forty, and not forty tasks that are held."""

    FORTY = [replace(NEW, ghost_id=f"gh_{number:02}") for number in range(40)]

    def test_share_the_places_of_each_week(self):
        actions = together(self.FORTY, POLICY, FOUND)
        sends = sorted(action.at for action in actions if action.name == SEND and action.at)
        assert len(sends) == 8  # four weeks
        assert sends[:2] == [FOUND, FOUND]
        assert all(second - first >= WEEK for first, second in zip(sends, sends[2:], strict=False))

    def test_who_gets_no_place_is_told_so(self):
        last = together(self.FORTY, POLICY, FOUND)[-1]
        assert (last.name, last.at) == (EXHAUST, FOUND + 28 * DAY)
        assert "at most 2 messages a week" in last.reason
        assert "28 days are over" in last.reason

    def test_who_could_go_first_goes_first_and_the_order_given_does_not_matter(self):
        late = replace(NEW, ghost_id="gh_z", found_at=FOUND - DAY)
        actions = together([*self.FORTY, late], POLICY, FOUND)
        backwards = together([late, *reversed(self.FORTY)], POLICY, FOUND)
        assert actions[-1].at == FOUND
        assert actions == [*reversed(backwards[1:]), backwards[0]]

    def test_those_that_ask_nothing_take_no_place(self):
        paused = [replace(each, state=GhostState.PAUSED) for each in self.FORTY[:38]]
        actions = together([*paused, *self.FORTY[38:]], POLICY, FOUND)
        assert [action.at for action in actions[38:]] == [FOUND, FOUND]

    def test_a_second_message_about_one_takes_the_place_that_another_would_have(self):
        """Else the plan of the other would say a day at which it never goes."""
        heard = replace(SENT, ghost_id="gh_1", messages_sent=2, last_message_at=FOUND - 2 * DAY)
        week = (FOUND - 5 * DAY, FOUND - 2 * DAY)
        new = replace(NEW, ghost_id="gh_2", week=week)
        actions = together([replace(heard, week=week), new], POLICY.model_copy(update={"cooldown_hours": 48}), FOUND)
        assert [action.at for action in actions] == [
            datetime(2026, 3, 11, 9, 0, tzinfo=UTC),  # not the 7th, when what follows about the new one goes
            datetime(2026, 3, 4, 9, 0, tzinfo=UTC),
        ]

    def test_held_it_is_looked_at_again_whatever_the_others_get(self):
        held = replace(NEW, ghost_id="gh_0", held="a payment is under way")
        actions = together([held, *self.FORTY[:1], replace(SENT, ghost_id="gh_z", week=())], POLICY, FOUND)
        assert actions[0].at == FOUND + 6 * HOUR


class TestForward:
    @pytest.mark.parametrize("hours", range(0, 7 * 24, 5))
    def test_what_it_says_first_is_what_is_planned_whenever_it_is_asked(self, hours: int):
        """Each message goes as it was planned, and nothing else happens: no plan moves meanwhile."""
        week = (FOUND - 3 * DAY, FOUND - DAY)
        present = [
            replace(each, week=week)
            for each in (replace(SENT, ghost_id="gh_0", last_message_at=FOUND - DAY), *TestOneCustomersGhosts.FORTY[:3])
        ]
        planned = together(present, POLICY, FOUND)
        asked = FOUND + hours * HOUR
        kept = [
            replace(each, planned_at=plan.at, planned_why=plan.reason)
            for each, plan in zip(present, planned, strict=True)
        ]
        due = [plan.at for plan in planned if plan.at is not None]
        if asked >= min(due):
            return
        assert [plan.at for plan in together(kept, POLICY, asked)] == due
        assert [actions[0].at for actions in forward(kept, POLICY, asked, asked + 60 * DAY)] == due

    def test_plays_a_ghost_to_its_end(self):
        (actions,) = forward([NEW], POLICY, FOUND, FOUND + 14 * DAY)
        assert [(action.name, action.step) for action in actions] == [(SEND, 1), (SEND, 2), (SEND, 3), (EXHAUST, 0)]
        assert [action.at for action in actions[:3]] == [
            FOUND,
            datetime(2026, 3, 5, 9, 0, tzinfo=UTC),
            datetime(2026, 3, 9, 9, 0, tzinfo=UTC),  # the week is full until the 9th at 3:00
        ]

    def test_stops_at_the_horizon_and_says_what_comes_then(self):
        (actions,) = forward([NEW], POLICY, FOUND, FOUND + DAY)
        assert [(action.name, action.at > FOUND + DAY) for action in actions if action.at] == [
            (SEND, False),
            (SEND, True),
        ]

    def test_forty_ghosts_are_five_messages_in_a_fortnight(self):
        played = forward(TestOneCustomersGhosts.FORTY, POLICY, FOUND, FOUND + 14 * DAY)
        sends = sorted(action.at for actions in played for action in actions[:-1] if action.at)
        assert len(sends) == 4
        assert all(len(actions) <= 2 for actions in played)  # each told once before any is told twice
        assert all(second - first >= WEEK for first, second in zip(sends, sends[2:], strict=False))

    def test_nothing_to_do_is_one_reason(self):
        (actions,) = forward([replace(NEW, no_email=ASKED)], POLICY, FOUND, FOUND + 14 * DAY)
        assert [action.reason for action in actions] == [ASKED]


moments = st.integers(0, 365 * 24 * 3600).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
policies = st.builds(
    RecoveryPolicy,
    paused=st.just(False),
    cooldown_hours=st.integers(1, 200),
    messages_per_ghost=st.integers(1, 3),
    messages_per_customer_week=st.integers(1, 4),
    window_days=st.integers(1, 60),
    quiet_until_hour=st.integers(0, 11),
    quiet_from_hour=st.integers(18, 24),
    quiet_first_message=st.booleans(),
    grace_hours=st.dictionaries(st.sampled_from(["funds", "technical"]), st.integers(0, 72)),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, datetime]:
    now = draw(moments)
    sent = draw(st.integers(0, 3))
    ago = st.floats(0, 40).map(lambda days: now - timedelta(days=days))
    found = draw(ago)
    history = History(
        state=draw(st.sampled_from(GhostState)),
        strategy=draw(st.sampled_from(Strategy)),
        decline_group=draw(st.sampled_from(["funds", "technical", "authentication"])),
        country=draw(st.sampled_from(["de", "us", "jp", "np", "nz", "zz", ""])),
        failed_at=draw(ago),
        found_at=found,
        messages_sent=sent,
        last_message_at=draw(ago) if sent else None,
        no_email=draw(st.sampled_from(["", ASKED])),
        no_sms=draw(st.sampled_from(["", SMS_IS_OFF, NO_CONSENT])),
        held_out=draw(st.booleans()),
        decided=draw(st.booleans()),
        held=draw(st.sampled_from(["", "a payment is under way"])),
        week=tuple(sorted(draw(st.lists(ago, max_size=5)))),
        never_got=draw(st.frozensets(st.integers(1, sent + 1))),
        under_way=draw(st.booleans()),
        planned_at=draw(st.none() | ago),
    )
    return history, now


class TestWhateverTheHistory:
    @given(histories(), policies)
    def test_it_is_decided_the_same_way_every_time_and_never_for_the_past(
        self, given: tuple[History, datetime], policy: RecoveryPolicy
    ):
        history, now = given
        action = next_action(history, policy, now)
        assert action == next_action(history, policy, now)
        assert action.at is None or action.at >= now
        assert action.reason

    @given(histories(), policies)
    def test_a_message_keeps_all_rules_at_the_moment_it_is_planned_for(
        self, given: tuple[History, datetime], policy: RecoveryPolicy
    ):
        history, now = given
        action = next_action(history, policy, now)
        if action.name != SEND or history.under_way:
            return
        assert action.at is not None
        assert history.state in CHASED_STATES
        assert history.messages_got < policy.messages_per_ghost
        assert action.at < history.found_at + policy.window
        inside = [moment for moment in history.week if action.at - WEEK < moment <= action.at]
        assert len(inside) < policy.messages_per_customer_week
        if history.last_message_at is not None:
            assert action.at >= history.last_message_at + policy.cooldown
        else:
            assert action.at >= history.failed_at + policy.grace(history.decline_group)
        if action.step > 1 or policy.quiet_first_message or action.channel is Channel.SMS:
            hours = {action.at.astimezone(zone).hour for zone in zones_for(history.country, "UTC")}
            assert all(policy.quiet_until_hour <= hour < policy.quiet_from_hour for hour in hours)
        assert not (history.no_email and history.no_sms)

    @given(histories(), policies, st.integers(0, 23), st.integers(1, 24))
    def test_a_text_is_read_between_eight_and_nine_whatever_hours_the_merchant_chose(
        self, given: tuple[History, datetime], policy: RecoveryPolicy, begins: int, ends: int
    ):
        history, now = given
        chosen = policy.model_copy(update={"quiet_until_hour": min(begins, ends - 1), "quiet_from_hour": ends})
        texted = replace(history, state=GhostState.OPEN, no_email=NO_EMAIL, no_sms="", under_way=False)
        action = next_action(texted, chosen, now)
        begun = may_go(Channel.SMS, 1, history.country, chosen, now)
        for at in (begun, action.at if action.name == SEND else None):
            if at is not None:
                assert all(8 <= at.astimezone(zone).hour < 21 for zone in zones_for(history.country, "UTC"))

    @given(histories(), policies)
    def test_what_is_planned_stands_when_its_moment_has_come(
        self, given: tuple[History, datetime], policy: RecoveryPolicy
    ):
        """Else a message would be tried and held, again and again."""
        history, now = given
        action = next_action(history, policy, now)
        if action.name != SEND or action.at is None:
            return
        then = next_action(replace(history, planned_at=action.at, held=""), policy, action.at)
        assert (then.name, then.at, then.step) == (SEND, action.at, action.step)

    @given(histories(), policies)
    def test_every_open_ghost_comes_to_an_end(self, given: tuple[History, datetime], policy: RecoveryPolicy):
        history, now = given
        if history.state not in CHASED_STATES:
            return
        (actions,) = forward([history], policy, now, now + timedelta(days=365))
        assert len([action for action in actions if action.name == SEND]) <= 3
        last = actions[-1]
        asks_people = history.strategy is Strategy.HIGH_VALUE_MANUAL and not history.decided
        waits = policy.paused or asks_people or history.strategy is Strategy.STOPPED
        assert last.name == EXHAUST or (waits and (last.name, last.at) == ("", None))
