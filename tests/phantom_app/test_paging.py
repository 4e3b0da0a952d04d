"""Turning pages: inherited handlers declare who may call them, each state for itself."""

from typing import Any

import pytest

import phantom_app.phantom_app  # noqa: F401  # registers every state
from phantom_app import runtime
from phantom_app.guard import declaration
from phantom_app.state.consents import Consents
from phantom_app.state.dead_letters import DeadLetters
from phantom_app.state.dry_run import DryRun
from phantom_app.state.manual_tasks import ManualTasks
from phantom_app.state.paging import TURNING, Numbered, Trailed
from phantom_app.state.recoveries import Recoveries
from services.identity.permissions import Permission

MAY_TURN = {
    Recoveries: Permission.GHOSTS_READ,
    ManualTasks: Permission.GHOSTS_READ,
    DryRun: Permission.MESSAGES_READ,
    Consents: Permission.MESSAGES_READ,
    DeadLetters: Permission.SYSTEM_READ,
}


class TestWhoMayTurn:
    @pytest.mark.parametrize("state", MAY_TURN)
    @pytest.mark.parametrize("name", TURNING)
    def test_each_list_says_so_for_itself(self, state: Any, name: str) -> None:
        handler = runtime.declared_handlers()[runtime.handler_name(getattr(state, name))]
        assert declaration(handler) == MAY_TURN[state]

    def test_no_list_is_left_out(self) -> None:
        inherited = {state for mixin in (Numbered, Trailed) for state in mixin.__subclasses__() if not state._mixin}
        assert inherited == set(MAY_TURN)

    @pytest.mark.parametrize("mixin", [Numbered, Trailed])
    def test_what_a_state_does_not_declare_nobody_may_call(self, mixin: Any) -> None:
        for name in TURNING:
            assert getattr(vars(mixin)[name], "_phantom_declaration", None) is None


class TestWhere:
    def test_a_counted_list_says_of_how_many(self) -> None:
        state = Recoveries(_reflex_internal_init=True)
        state._stand_at(2, 3, size=25, shown=25, total=1_060, none="No ghosts")
        assert (state.page, state.pages, state.range_text) == (2, 3, "26–50 of 1,060")
        state._stand_at(1, 1, size=25, shown=0, total=0, none="No ghosts")
        assert state.range_text == "No ghosts"

    def test_a_trail_says_whether_more_follows(self) -> None:
        state = Consents(_reflex_internal_init=True)
        state._trail = ["a"]
        state._stand_before("b", size=25, shown=25)
        assert (state.range_text, state.has_more, state.has_former) == ("26–50, and more", True, True)
        state._from_the_start()
        state._stand_before("", size=25, shown=3)
        assert (state.range_text, state.has_more, state.has_former) == ("1–3", False, False)
