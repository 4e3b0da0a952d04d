"""The page of the first hunt: one that nobody works on any more does not run for ever."""

import pytest

from core import db
from core.clock import ManualClock
from models.identity import Role, SignInMethod
from phantom_app.state import access
from phantom_app.state.welcome import Welcome
from services.hunter import service as hunter
from services.hunter.schemas import HuntRequest
from services.identity.schemas import Principal
from services.tasks import service as tasks
from tests.support.factories import make_merchant


@pytest.fixture
def merchant(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> str:
    merchant_id = make_merchant()
    ada = Principal(
        "hash", "usr_ada", "ada@shop.example", "Ada", True, merchant_id, "", Role.OWNER, SignInMethod.PASSWORD
    )
    monkeypatch.setattr(access, "principal", lambda: ada)
    return merchant_id


async def test_a_hunt_whose_task_gave_up_can_be_started_again(merchant: str):
    with db.tenant_session(merchant) as session:
        tasks.schedule(session, kind="hunt", key="hunt:connect:1", merchant_id=merchant)
        hunter.start(session, merchant, HuntRequest(trigger="connect"))
    state = Welcome(_reflex_internal_init=True)
    await state._fill()
    assert (state.running, state.failed) == (True, False)
    with db.system_session() as session:
        [task] = tasks.claim(session, "worker", 1)
        tasks.fail(session, task, "its process died", final=True, chance=lambda: 0.0)
    await state._fill()
    assert (state.running, state.waiting, state.failed) == (False, False, True)
