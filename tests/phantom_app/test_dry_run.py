"""The dry run over a socket: who may read it, whose it is, and a message that is no more."""

import pytest
from sqlalchemy import update

from core import clock, db
from models.ghost import FoundVia
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.dry_run import DryRun, summary
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.plans import ahead
from services.recovery.work import merchant_context
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_served import answered
from tests.support.factories import raw_invoice

LOAD = runtime.handler_name(DryRun.load)
TOGGLE = runtime.handler_name(DryRun.toggle)


def find(merchant_id: str) -> str:
    """The id of a ghost found just now."""
    facts = parse_invoice(raw_invoice(created=int(clock.now().timestamp())))
    with db.tenant_session(merchant_id) as session:
        observe(session, merchant_context(session, merchant_id), [facts], FoundVia.HUNT, clock.now())
    with db.tenant_session(merchant_id) as session:
        return ahead.dry_run(session, merchant_id).outlooks[0].ghost_id


def connect(merchant_id: str) -> None:
    with db.tenant_session(merchant_id) as session:
        session.connection().exec_driver_sql(
            "update merchants set stripe_user_id = 'acct_dry', state = 'active' where id = %s", (merchant_id,)
        )


class TestSocket:
    async def test_shows_who_gets_what_and_each_message_on_demand(self, served: Served, ada: Person) -> None:
        connect(ada.merchant_id)
        ghost_id = find(ada.merchant_id)
        async with Tab(served.url, ada.cookie, path="/dry-run") as tab:
            await tab.load()
            await tab.call(LOAD)
            await tab.until(lambda: "customer1@example.com" in tab.heard())
            assert "3 messages until" in tab.heard()
            assert "<html" not in tab.heard()
            await tab.call(TOGGLE, ghost_id=ghost_id, step=2)
            await tab.until(lambda: "<html" in tab.heard())

    async def test_a_role_that_reads_no_messages_gets_none(self, served: Served, ada: Person) -> None:
        connect(ada.merchant_id)
        ghost_id = find(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        async with Tab(served.url, ada.cookie, path="/dry-run") as tab:
            await tab.load()
            await tab.call(LOAD)
            await tab.call(TOGGLE, ghost_id=ghost_id, step=1)
            await answered(tab)
            assert "customer1@example.com" not in tab.heard()

    async def test_another_merchants_ghost_is_not_there(self, served: Served, ada: Person) -> None:
        theirs = sign_up("Borealis").merchant_id
        connect(theirs)
        ghost_id = find(theirs)
        async with Tab(served.url, ada.cookie, path="/dry-run") as tab:
            await tab.load()
            await tab.call(LOAD)
            await tab.call(TOGGLE, ghost_id=ghost_id, step=1)
            await answered(tab)
            assert "customer1@example.com" not in tab.heard()
            assert "<html" not in tab.heard()


class TestSummary:
    @pytest.mark.parametrize(
        ("messages", "silent", "ghosts", "said"),
        [
            (1, 0, 1, "1 message until 2 Mar 2026 about 1 open ghost."),
            (12, 1, 5, "12 messages until 2 Mar 2026 about 5 open ghosts; 1 gets none."),
            (0, 40, 40, "0 messages until 2 Mar 2026 about 40 open ghosts; 40 get none."),
            (None, None, 90_000, "90,000 open ghosts; each page shows its messages until 2 Mar 2026."),
        ],
    )
    def test_says_what_it_comes_to(
        self, clock: clock.ManualClock, messages: int | None, silent: int | None, ghosts: int, said: str
    ) -> None:
        seen = ahead.DryRun((), ghosts, messages, silent, 1, 1, False, True, clock.now())
        assert summary(seen) == said
