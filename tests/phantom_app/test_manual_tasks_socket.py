"""What a socket may do with manual tasks: only a role that may, and only with tasks of its own merchant."""

import pytest
from sqlalchemy import update

from core import db
from models.ghost import ManualTaskState
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.manual_tasks import ManualTasks
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_manual_tasks_screen import put, task
from tests.phantom_app.test_served import answered

ACTS = [ManualTasks.release, ManualTasks.assign, ManualTasks.review]


class TestSocket:
    @pytest.mark.parametrize("act", ACTS)
    async def test_an_analyst_changes_nothing(self, served: Served, ada: Person, act: object) -> None:
        (waiting,) = put(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        given = {"task_id": waiting} | ({"user_id": "usr_x"} if act is ManualTasks.assign else {})
        async with Tab(served.url, ada.cookie, path="/tasks") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(act), **given)
            await answered(tab)
        found = task(ada.merchant_id, waiting)
        assert (found.released_at, found.assignee_id, found.state) == (None, None, ManualTaskState.OPEN)

    async def test_another_merchants_task_is_not_there(self, served: Served, ada: Person) -> None:
        other = sign_up("Borealis")
        (theirs,) = put(other.merchant_id)
        async with Tab(served.url, ada.cookie, path="/tasks") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(ManualTasks.release), task_id=theirs)
            await tab.until(lambda: "There is no such task" in tab.heard())
        assert task(other.merchant_id, theirs).released_at is None
