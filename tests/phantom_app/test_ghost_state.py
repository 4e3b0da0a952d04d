"""A ghost's page as a role sees it."""

import pytest
from sqlalchemy import text
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostTarget
from models.identity import Role, SignInMethod
from phantom_app.state import access, ghost
from phantom_app.state.ghost import Ghost
from services.identity.schemas import Principal
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    """A merchant with a ghost that was written to."""
    made = make_merchant()
    with db.tenant_session(made) as session:
        observe(session, merchant_context(session, made), [parse_invoice(raw_invoice(1))], FoundVia.HUNT, clock.now())
        session.execute(
            text(
                "insert into messages (merchant_id, id, ghost_id, customer_id, step, channel, state, reason, template,"
                " language, sender, recipient, subject, html, plain, unsubscribe_url, idempotency_key, provider,"
                " provider_message_id, due_at, created_at) values (:merchant, 'msg_1', :ghost, 'cus_1', 1, 'email',"
                " 'sent', '', 't', 'en', '', 'ada@example.com', 'Your payment', '', '', '', 'k', '', '', :at, :at)"
            ),
            {"merchant": made, "ghost": session.exec(select(GhostTarget.id)).one(), "at": clock.now()},
        )
    return made


@pytest.mark.parametrize(("role", "reads"), [(Role.ANALYST, False), (Role.MEMBER, True), (Role.OWNER, True)])
async def test_what_was_written_is_for_roles_that_may_read_it(
    merchant: str, monkeypatch: pytest.MonkeyPatch, role: Role, reads: bool
) -> None:
    person = ("hash", "usr_1", "ada@shop.example", "Ada", True)
    signed_in = Principal(*person, merchant, "Shop", role, SignInMethod.PASSWORD)
    for module in (access, ghost):
        monkeypatch.setattr(module, "principal", lambda: signed_in)
    with db.tenant_session(merchant) as session:
        ghost_id = session.exec(select(GhostTarget.id)).one()
    monkeypatch.setattr(Ghost, "_asked_for", lambda _state: ghost_id)
    state = Ghost(_reflex_internal_init=True)
    await state._fill()
    assert state.loaded
    assert (state.may_read_letters, [each.subject for each in state.letters]) == (
        (True, ["Your payment"]) if reads else (False, [])
    )
