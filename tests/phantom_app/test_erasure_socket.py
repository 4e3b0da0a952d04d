"""What a socket may do towards forgetting a customer: only an owner, only after both questions, only one's own."""

import pytest
from sqlalchemy import update
from sqlmodel import select

from core import db
from models.audit import AuditLog
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.erasure import Erasure
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_erasure_screen import ghost_of
from tests.phantom_app.test_manual_tasks_screen import put
from tests.phantom_app.test_served import answered


class TestSocket:
    @pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER, Role.ANALYST])
    async def test_who_is_no_owner_erases_nobody(self, served: Served, ada: Person, role: Role) -> None:
        put(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=role))
        async with Tab(served.url, ada.cookie, path=f"/recoveries/{ghost_of(ada.merchant_id).id}") as tab:
            await tab.load()
            for act in (Erasure.ask, Erasure.ask, Erasure.erase):
                await tab.call(runtime.handler_name(act))
            await answered(tab)
        assert ghost_of(ada.merchant_id).purged_at is None

    async def test_without_both_questions_nothing_happens(self, served: Served, ada: Person) -> None:
        put(ada.merchant_id)
        async with Tab(served.url, ada.cookie, path=f"/recoveries/{ghost_of(ada.merchant_id).id}") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(Erasure.ask))
            await tab.call(runtime.handler_name(Erasure.erase))
            await answered(tab)
        assert ghost_of(ada.merchant_id).purged_at is None

    async def test_another_merchants_customer_is_not_there(self, served: Served, ada: Person) -> None:
        other = sign_up("Borealis")
        put(other.merchant_id)
        async with Tab(served.url, ada.cookie, path=f"/recoveries/{ghost_of(other.merchant_id).id}") as tab:
            await tab.load()
            for act in (Erasure.ask, Erasure.ask, Erasure.erase):
                await tab.call(runtime.handler_name(act))
            await tab.until(lambda: "There is no such ghost" in tab.heard())
        assert ghost_of(other.merchant_id).purged_at is None
        with db.tenant_session(other.merchant_id) as session:
            assert session.exec(select(AuditLog).where(AuditLog.action == "recovery.customer_erased")).all() == []
