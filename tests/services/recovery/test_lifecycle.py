"""The state machine, pair by pair."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ghost import (
    CHASED_STATES,
    COLLECTIBLE_STATES,
    OPEN_STATES,
    UNPAID_STATES,
    GhostKind,
    GhostState,
    GhostTarget,
)
from services.recovery.lifecycle import TRANSITIONS, TransitionNotAllowedError, Trigger, after, can

S, T = GhostState, Trigger
PAIRS = list(itertools.product(S, T))


class TestTable:
    @pytest.mark.parametrize(("state", "trigger"), PAIRS)
    def test_a_pair_is_allowed_or_refused_with_an_error(self, state: GhostState, trigger: Trigger):
        if can(state, trigger):
            assert isinstance(after(state, trigger), GhostState)
        else:
            with pytest.raises(TransitionNotAllowedError):
                after(state, trigger)

    @pytest.mark.parametrize("state", sorted(UNPAID_STATES))
    def test_a_payment_recovers_from_every_unpaid_state(self, state: GhostState):
        assert after(state, T.PAID) is S.RECOVERED

    @pytest.mark.parametrize("state", [S.RECOVERED, S.REVERSED, S.PROTECTED])
    def test_a_second_payment_recovers_nothing(self, state: GhostState):
        assert not can(state, T.PAID)

    @pytest.mark.parametrize("state", [S.EXHAUSTED, S.STOPPED, S.LOST, S.RECOVERED, S.REVERSED, S.PAUSED])
    def test_no_message_follows_in_a_closed_or_paused_state(self, state: GhostState):
        assert not can(state, T.MESSAGE_SENT)

    def test_only_a_recovered_ghost_is_reversed(self):
        assert [state for state in S if can(state, T.REVERSED)] == [S.RECOVERED]

    def test_what_is_owed_again_is_chased_again_and_nothing_else_is(self):
        assert {state: after(state, T.REOPENED) for state in S if can(state, T.REOPENED)} == {
            S.STOPPED: S.OPEN,
            S.RECOVERED: S.OPEN,
        }

    def test_a_charge_fails_that_was_at_risk_made_safe_or_called_off(self):
        may = [state for state in S if can(state, T.CHARGE_FAILED, GhostKind.IMPENDING)]
        assert {state: after(state, T.CHARGE_FAILED) for state in may} == {
            S.IMPENDING: S.OPEN,
            S.PROTECTED: S.OPEN,
            S.LOST: S.OPEN,
        }

    @pytest.mark.parametrize("state", S)
    def test_what_has_failed_does_not_begin_to_fail(self, state: GhostState):
        assert not can(state, T.CHARGE_FAILED, GhostKind.FAILED)

    def test_a_refund_that_failed_alone_leads_out_of_reversed(self):
        assert [trigger for trigger in T if can(S.REVERSED, trigger)] == [T.GIVEN_BACK]
        assert [state for state in S if can(state, T.GIVEN_BACK)] == [S.REVERSED]
        assert after(S.REVERSED, T.GIVEN_BACK) is S.RECOVERED

    @pytest.mark.parametrize("state", [S.OPEN, S.CONTACTED, S.CLICKED])
    def test_resuming_goes_back_to_where_it_was_paused(self, state: GhostState):
        assert after(state, T.PAUSED) is S.PAUSED
        assert after(S.PAUSED, T.RESUMED, paused_from=state) is state

    def test_a_message_does_not_forget_a_click(self):
        assert after(S.CLICKED, T.MESSAGE_SENT) is S.CLICKED


class TestSets:
    def test_each_holds_the_one_before(self):
        assert CHASED_STATES < OPEN_STATES < COLLECTIBLE_STATES < UNPAID_STATES
        assert {state for state in S if can(state, T.MESSAGE_SENT)} == CHASED_STATES
        assert {state for state in S if can(state, T.EXHAUSTED)} == OPEN_STATES
        assert {state for state in S if can(state, T.STOPPED)} == COLLECTIBLE_STATES
        assert {state for state in S if can(state, T.PAID)} == UNPAID_STATES

    def test_the_index_of_who_is_still_here_has_those_that_may_be_charged(self):
        (index,) = [each for each in GhostTarget.__table__.indexes if each.name == "ix_ghost_targets_active"]
        states = re.findall(r"'(\w+)'", str(index.dialect_options["postgresql"]["where"]))
        assert set(states) == COLLECTIBLE_STATES


class TestHistories:
    @given(st.lists(st.sampled_from([trigger for trigger in T if trigger is not T.RESUMED]), max_size=30))
    def test_money_ends_a_ghost_once(self, triggers: list[Trigger]):
        state, recoveries = S.OPEN, 0
        for trigger in triggers:
            if (state, trigger) in TRANSITIONS:
                recoveries -= state is S.RECOVERED and trigger in (T.REOPENED, T.REVERSED)
                state = after(state, trigger)
                recoveries += state is S.RECOVERED
        assert recoveries <= 1
