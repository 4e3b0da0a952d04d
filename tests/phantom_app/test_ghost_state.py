"""A ghost's page as a role sees it."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostKind, GhostState, GhostTarget
from models.identity import Role, SignInMethod
from phantom_app.state import access, ghost
from phantom_app.state.ghost import Ghost, attempts, moment, outcome, went_back
from services.identity.schemas import Principal
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.charging.charges import CardAttempts
from services.recovery.observe import observe
from services.recovery.schemas import GhostDetail, GhostRow, TimelineEntry
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


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


def entry(name: str, amount: object = None, before: str = "", after: str = "recovered") -> TimelineEntry:
    return TimelineEntry(name, before, after, "Said.", NOW, {} if amount is None else {"amount": amount})


class TestMoments:
    def test_money_that_moved_is_named(self) -> None:
        assert moment(entry("paid", 95_000), NOW, "usd").title == "Paid, $950.00"
        assert moment(entry("partly_reversed", 25_000), NOW, "jpy").title == "Partly reversed, ¥25,000"

    @pytest.mark.parametrize("odd", [None, "950", True])
    def test_what_is_no_amount_is_not(self, odd: object) -> None:
        assert moment(entry("message_sent", odd), NOW, "usd").title == "Message sent"

    def test_a_state_is_named_where_it_changed(self) -> None:
        assert moment(entry("clicked", before="contacted", after="clicked"), NOW, "usd").change == "Contacted → Clicked"
        assert moment(entry("attempt_failed", after="open"), NOW, "usd").change == ""
        assert moment(entry("purged", before="open", after="open"), NOW, "usd").change == ""

    def test_what_only_engineers_call_so_has_words(self) -> None:
        assert moment(entry("purged"), NOW, "usd").title == "Personal data removed"


class TestWentBack:
    def test_is_what_was_taken_of_the_latest_payment(self) -> None:
        told = (entry("paid", 900), entry("reversed", 900), entry("paid", 500), entry("partly_reversed", 200))
        assert went_back(told) == 200
        assert went_back((*told, entry("given_back", 200))) == 0
        assert went_back(()) == 0


class TestOutcome:
    def of(self, *told: TimelineEntry, close_reason: str = "", mechanism: str = "click", **row: object) -> str:
        known = {field.name: "" for field in fields(GhostRow)} | {
            "state": GhostState.RECOVERED, "kind": GhostKind.FAILED, "currency": "usd", "recovered": 0,
            "closed_at": NOW, **row,
        }  # fmt: skip
        return outcome(
            GhostDetail(GhostRow(**known), "in_1", "", "", mechanism, close_reason, "", "", (), tuple(told), ())
        )

    def test_what_came_back_is_said_with_what_went_again(self) -> None:
        paid = entry("paid", 95_000)
        assert self.of(paid, recovered=95_000).endswith("Merit: A click on our link.")
        partly = self.of(paid, entry("partly_reversed", 25_000), recovered=70_000)
        assert partly.startswith("$950.00 came back on 2 Mar 2026")
        assert partly.endswith("$250.00 went back again.")
        whole = self.of(paid, entry("reversed", 95_000), state=GhostState.REVERSED)
        assert whole.startswith("$950.00 came back")
        assert whole.endswith("All of it went back again.")

    @pytest.mark.parametrize(
        ("state", "reason", "said"),
        [
            (GhostState.STOPPED, "stopped", "Stopped on 2 Mar 2026, 09:00 UTC."),
            (GhostState.LOST, "given_up", "Lost on 2 Mar 2026, 09:00 UTC: nobody asks any more, and a payment still"
             " counts."),
            (GhostState.LOST, "went_through", "Lost on 2 Mar 2026, 09:00 UTC: the charge went through."),
        ],
    )  # fmt: skip
    def test_an_end_without_money_is_one_sentence(self, state: GhostState, reason: str, said: str) -> None:
        assert self.of(state=state, close_reason=reason) == said

    @pytest.mark.parametrize(
        ("by", "said"), [("click", "A click on our link"), ("message", "After our message"), ("organic", "On its own")]
    )
    def test_what_was_made_safe_says_how_much_and_whose_merit_that_is(self, by: str, said: str) -> None:
        ended = self.of(state=GhostState.PROTECTED, kind=GhostKind.IMPENDING, amount=4900, mechanism=by)
        assert ended == f"$49.00 made safe on 2 Mar 2026, 09:00 UTC. Merit: {said}."

    def test_what_is_open_has_none(self) -> None:
        assert self.of(closed_at=None, state=GhostState.OPEN) == ""


@pytest.mark.parametrize(
    ("days", "by_us", "by_customer", "said"),
    [
        (1, 0, 0, "1 of 10 in 1 day"),
        (30, 1, 0, "1 of 10 in 30 days, 1 by PHANTOM"),
        (30, 0, 1, "1 of 10 in 30 days; the customer tried once"),
        (30, 2, 3, "1 of 10 in 30 days, 2 by PHANTOM; the customer tried 3 times"),
    ],
)
def test_the_cards_attempts_name_whom_there_is_to_name(days: int, by_us: int, by_customer: int, said: str) -> None:
    card = CardAttempts(1, 10, days, by_us, by_customer, None, None, "", is_open=True)
    assert attempts(card) == said
