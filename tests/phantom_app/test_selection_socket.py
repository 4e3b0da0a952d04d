"""What a socket may do with many ghosts: only a role that may, only with its own merchant's, only what was asked."""

from sqlalchemy import update

from core import db
from models.ghost import GhostState
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.selection import Selection
from phantom_app.state.write_off import WriteOff
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_manual_tasks_screen import put
from tests.phantom_app.test_selection_screen import ghosts
from tests.phantom_app.test_served import answered


class TestSocket:
    async def test_an_analyst_changes_nothing(self, served: Served, ada: Person) -> None:
        put(ada.merchant_id)
        (ghost_id,) = ghosts(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        async with Tab(served.url, ada.cookie, path=f"/recoveries/{ghost_id}") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(Selection.turn), ghost_id=ghost_id)
            await tab.call(runtime.handler_name(Selection.ask), what="write_off")
            await tab.call(runtime.handler_name(Selection.act))
            await tab.call(runtime.handler_name(WriteOff.ask))
            await tab.call(runtime.handler_name(WriteOff.act))
            await answered(tab)
        assert ghosts(ada.merchant_id) == {ghost_id: GhostState.OPEN}

    async def test_another_merchants_ghost_and_rubbish_change_nothing(self, served: Served, ada: Person) -> None:
        other = sign_up("Borealis")
        put(other.merchant_id)
        (theirs,) = ghosts(other.merchant_id)
        async with Tab(served.url, ada.cookie, path="/recoveries") as tab:
            await tab.load()
            for chosen in (theirs, "'; drop table ghost_targets; --", "", "gh_" + "x" * 500):
                await tab.call(runtime.handler_name(Selection.turn), ghost_id=chosen)
            await tab.call(runtime.handler_name(Selection.ask), what="write_off")
            await tab.call(runtime.handler_name(Selection.act))
            await tab.until(lambda: "Nothing was changed." in tab.heard())
        assert ghosts(other.merchant_id) == {theirs: GhostState.OPEN}

    async def test_nothing_happens_that_was_not_asked_first(self, served: Served, ada: Person) -> None:
        put(ada.merchant_id)
        (ghost_id,) = ghosts(ada.merchant_id)
        async with Tab(served.url, ada.cookie, path=f"/recoveries/{ghost_id}") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(Selection.turn), ghost_id=ghost_id)
            await tab.call(runtime.handler_name(Selection.act))
            await tab.call(runtime.handler_name(WriteOff.act))
            await answered(tab)
        assert ghosts(ada.merchant_id) == {ghost_id: GhostState.OPEN}
