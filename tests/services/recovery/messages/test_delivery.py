"""What becomes of a mail: forward only, settled where it was not known, and an address that bounced is let alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import clock, db
from core.clock import ManualClock
from models.audit import UsageLog
from models.ghost import GhostState, GhostTarget
from models.messaging import LinkPurpose, Message, MessageState, Suppression
from models.money import DailyMetrics
from services.integrations.stripe.parsing import parse_invoice
from services.messaging.links import Link
from services.recovery import purge, service
from services.recovery.messages import clicks, delivery, outreach, settlement
from services.recovery.observe import FoundVia, observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice

FAILED = parse_invoice(raw_invoice())
PERMANENT = {"bounce": {"type": "Permanent", "subType": "General", "message": "No such mailbox."}}


class Mailed:
    """A ghost whose first message was handed over; `settled` or not yet."""

    def __init__(self, *, settled: bool = True, **policy: Any) -> None:
        self.merchant = make_merchant(policy=policy)
        with db.tenant_session(self.merchant) as session:
            observe(session, merchant_context(session, self.merchant), [FAILED], FoundVia.WEBHOOK, clock.now())
        prepared = self.prepare(1)
        self.message_id = prepared.message_id
        assert prepared.message is not None
        self.tags = prepared.message.tags
        if settled:
            with db.tenant_session(self.merchant) as session:
                settlement.settle_sent(session, self.merchant, self.message_id, "resend", "re_1")

    def prepare(self, step: int) -> outreach.Prepared:
        with db.tenant_session(self.merchant) as session:
            return outreach.prepare(session, self.merchant, self.ghost.id, step, FAILED)

    def tell(self, kind: str, **data: Any) -> str:
        given = {"email_id": "re_1", "tags": self.tags, **data}
        return delivery.handle(self.merchant, f"email.{kind}", given)

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())

    @property
    def message(self) -> Message:
        return self.rows(Message)[0]

    @property
    def ghost(self) -> GhostTarget:
        return self.rows(GhostTarget)[0]


@pytest.fixture
def mailed(database: object, clock: ManualClock) -> Mailed:
    return Mailed()


def test_a_state_only_moves_forward_however_events_are_shuffled(mailed: Mailed) -> None:
    assert mailed.tell("delivered") == "delivered"
    assert mailed.tell("sent") == "already_known"
    assert mailed.tell("delivered") == "already_known"
    assert mailed.tell("complained") == "complained"
    assert mailed.tell("delivered") == "already_known"
    assert mailed.message.state == MessageState.COMPLAINED


@pytest.mark.parametrize(("kind", "details"), [("bounced", PERMANENT), ("complained", {})])
def test_a_bounce_for_good_and_a_complaint_end_mail_to_the_address(
    mailed: Mailed, clock: ManualClock, kind: str, details: dict[str, Any]
) -> None:
    mailed.tell(kind, **details)

    assert {row.reason for row in mailed.rows(Suppression)} == {kind}
    assert mailed.ghost.next_action == "exhaust"
    clock.advance(timedelta(days=4))
    refused = mailed.prepare(2)
    assert refused.message is None
    assert refused.reason in ("Mail to the customer's address comes back.", "The customer marked a message as spam.")
    assert mailed.ghost.next_action_reason == refused.reason


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("suppressed", {"message": "On the suppression list."}),
        ("failed", {"reason": "Invalid `to`: no such recipient"}),
    ],
)
def test_an_address_the_provider_delivers_nothing_to_gets_no_second_mail(
    mailed: Mailed, clock: ManualClock, kind: str, details: dict[str, Any]
) -> None:
    mailed.tell(kind, **{kind: details})

    assert [(row.channel, row.reason) for row in mailed.rows(Suppression)] == [("email", "suppressed")]
    assert mailed.ghost.next_action == "exhaust"
    clock.advance(timedelta(days=4))
    refused = mailed.prepare(2)
    assert (refused.message, refused.reason) == (
        None,
        "The mail provider delivers nothing more to the customer's address.",
    )


def test_a_failure_of_the_account_ends_no_address(mailed: Mailed, clock: ManualClock) -> None:
    mailed.tell("failed", failed={"reason": "reached_daily_quota"})

    assert mailed.rows(Suppression) == []
    clock.current = mailed.ghost.next_action_at
    assert mailed.prepare(2).message is not None


def test_what_came_back_leaves_its_place_of_the_week_to_the_customers_other_ghost(
    database: object, clock: ManualClock
) -> None:
    mailed = Mailed(messages_per_customer_week=1)
    other = parse_invoice(raw_invoice(id="in_2"))
    with db.tenant_session(mailed.merchant) as session:
        observe(session, merchant_context(session, mailed.merchant), [other], FoundVia.WEBHOOK, clock.now())
    waiting = mailed.rows(GhostTarget)

    def planned() -> list[Any]:
        return [each.next_action_at for each in mailed.rows(GhostTarget) if each.invoice_id == "in_2"]

    assert len(waiting) == 2
    assert planned()[0] >= clock.now() + timedelta(days=7)
    mailed.tell("bounced", **PERMANENT)
    moved = {"email": "ada@new.example"}
    with db.tenant_session(mailed.merchant) as session:
        newer = replace(other, customer=replace(other.customer, **moved))
        observe(session, merchant_context(session, mailed.merchant), [newer], FoundVia.WEBHOOK, clock.now())
    assert planned() == [clock.now()]


def test_what_never_went_leaves_its_place_of_the_week_to_the_next(database: object, clock: ManualClock) -> None:
    mailed = Mailed(messages_per_customer_week=1, cooldown_hours=48)
    sent_at = mailed.message.sent_at
    assert mailed.ghost.next_action_at >= sent_at + timedelta(days=7)

    mailed.tell("failed", failed={"reason": "reached_daily_quota"})

    assert sent_at + timedelta(days=2) <= mailed.ghost.next_action_at < sent_at + timedelta(days=4)


@pytest.mark.parametrize(("kind", "details", "writes"), [("bounced", PERMANENT, True), ("complained", {}, False)])
def test_another_address_opens_mail_to_a_dead_mailbox_and_not_to_who_complained(
    mailed: Mailed, clock: ManualClock, kind: str, details: dict[str, Any], writes: bool
) -> None:
    mailed.tell(kind, **details)
    moved = replace(FAILED, customer=replace(FAILED.customer, email="ada@new.example"))
    clock.advance(timedelta(days=5))
    with db.tenant_session(mailed.merchant) as session:
        prepared = outreach.prepare(session, mailed.merchant, mailed.ghost.id, 2, moved)
    assert (mailed.ghost.next_action == "send_message") == writes
    assert not prepared.message or prepared.message.recipient == "ada@new.example"


def test_a_passing_bounce_ends_nothing(mailed: Mailed) -> None:
    assert mailed.tell("bounced", bounce={"type": "Transient", "message": "Mailbox full."}) == "passing_bounce"
    assert mailed.rows(Suppression) == []
    assert mailed.message.state == MessageState.SENT


def test_the_reason_the_provider_gives_is_kept(mailed: Mailed) -> None:
    mailed.tell("failed", failed={"reason": "reached_daily_quota"})
    assert (mailed.message.state, mailed.message.reason) == (MessageState.FAILED, "reached_daily_quota")


def test_the_reason_is_kept_without_the_address_and_not_at_all_once_the_customer_is_forgotten(mailed: Mailed) -> None:
    email, customer = mailed.ghost.customer_email, mailed.ghost.customer_id
    assert email is not None
    assert customer is not None
    mailed.tell("failed", failed={"reason": f"550 <{email}>: user unknown"})
    assert mailed.message.reason == "550 <[email]>: user unknown"

    with db.tenant_session(mailed.merchant) as session:
        purge.erase_customer(session, mailed.merchant, customer, clock.now())
    assert mailed.message.reason == ""
    mailed.tell("complained", complained={"message": f"{email} of Ada Lovelace"})
    assert (mailed.message.state, mailed.message.reason) == (MessageState.COMPLAINED, "")


@pytest.mark.parametrize("purged", [False, True])
def test_a_complaint_is_heard_after_the_message_was_emptied_too(
    mailed: Mailed, clock: ManualClock, purged: bool
) -> None:
    """Nobody knows where it went any more; whose it was, one does, and they are written to no more."""
    if purged:
        clock.advance(timedelta(days=91))
        with db.tenant_session(mailed.merchant) as session:
            assert purge.purge_due(session, mailed.merchant, clock.now()) == 1
        assert mailed.message.recipient is None
    mailed.tell("complained")
    assert len(mailed.rows(Suppression)) == (1 if purged else 2)
    new = replace(FAILED, customer=replace(FAILED.customer, email="ada@new.example"), id="in_2")
    with db.tenant_session(mailed.merchant) as session:
        observe(session, merchant_context(session, mailed.merchant), [new], FoundVia.WEBHOOK, clock.now())
    (later,) = [each for each in mailed.rows(GhostTarget) if each.invoice_id == "in_2"]
    assert (later.next_action, later.next_action_reason) == ("exhaust", "The customer marked a message as spam.")


def test_nor_why_one_that_was_under_way_when_they_were_forgotten_became_uncertain(
    database: object, clock: ManualClock
) -> None:
    mailed = Mailed(settled=False)
    customer = mailed.ghost.customer_id
    assert customer is not None
    with db.tenant_session(mailed.merchant) as session:
        purge.erase_customer(session, mailed.merchant, customer, clock.now())
    with db.tenant_session(mailed.merchant) as session:
        outreach.hold(session, mailed.merchant, mailed.ghost.id, 1, "Stripe knows no email address of this customer.")
    assert (mailed.message.state, mailed.message.reason) == (MessageState.UNCERTAIN, "")


def test_an_intent_left_by_a_crash_is_settled_by_the_providers_word(database: object, clock: ManualClock) -> None:
    mailed = Mailed(settled=False)
    assert mailed.tell("delivered") == "delivered"

    assert mailed.message.provider_message_id == "re_1"
    assert mailed.ghost.state == GhostState.CONTACTED
    assert mailed.ghost.messages_sent == 1
    assert sum(day.messages_count for day in mailed.rows(DailyMetrics)) == 1
    repeated = mailed.prepare(1)
    assert repeated.message is None


@pytest.mark.parametrize("kind", sorted(each.removeprefix("email.") for each in delivery.HANDLED))
def test_it_comes_to_the_same_whether_the_provider_answers_first_or_tells_first(
    database: object, clock: ManualClock, kind: str
) -> None:
    def what_came_of_it(mailed: Mailed) -> dict[str, Any]:
        mailed.tell(kind, **PERMANENT)
        message, ghost, [day, *others] = mailed.message, mailed.ghost, mailed.rows(DailyMetrics)
        assert others == []
        return {
            "message": (message.state, message.provider_message_id, message.sent_at),
            "ghost": (ghost.state, ghost.messages_sent, ghost.contacted_at, ghost.next_action, ghost.next_action_at),
            "counted": day.messages_count,
            "suppressed": [each.reason for each in mailed.rows(Suppression)],
        }

    told = what_came_of_it(Mailed(settled=False))
    assert told == what_came_of_it(Mailed())
    assert told["counted"] == 1


def test_an_uncertain_message_becomes_certain_and_is_counted_once(database: object, clock: ManualClock) -> None:
    mailed = Mailed(settled=False)
    clock.advance(timedelta(hours=25))
    assert mailed.prepare(1).message is None
    assert mailed.message.state == MessageState.UNCERTAIN

    assert mailed.tell("sent") == "sent"
    assert (mailed.message.state, mailed.message.provider_message_id) == (MessageState.SENT, "re_1")
    assert mailed.message.sent_at == mailed.message.intent_at
    assert sum(day.messages_count for day in mailed.rows(DailyMetrics)) == 1


@pytest.mark.parametrize(("word", "usage"), [("delivered", 1), ("bounced", 1), ("failed", 0)])
def test_what_turns_out_to_have_gone_is_a_sent_message_in_everything(
    database: object, clock: ManualClock, word: str, usage: int
) -> None:
    mailed = Mailed(settled=False)
    clock.advance(timedelta(hours=25))
    mailed.prepare(1)
    assert (mailed.ghost.state, mailed.ghost.messages_sent) == (GhostState.OPEN, 1)

    mailed.tell(word, **PERMANENT)
    mailed.tell(word, **PERMANENT)
    contacted = (GhostState.CONTACTED, "message 1 sent") if usage else (GhostState.OPEN, "")
    assert (mailed.ghost.state, mailed.ghost.last_action) == contacted
    assert sum(row.quantity for row in mailed.rows(UsageLog) if row.kind == "message.sent") == usage
    assert mailed.ghost.messages_sent == 1


@pytest.mark.parametrize(("clicked", "then"), [(False, GhostState.CONTACTED), (True, GhostState.CLICKED)])
def test_what_happens_during_a_pause_is_known_after_it(
    database: object, clock: ManualClock, clicked: bool, then: GhostState
) -> None:
    """A message that was under way arrives, and its link is followed: the ghost rests, and goes on from there."""
    mailed = Mailed(settled=False)
    ghost_id = mailed.ghost.id
    with db.tenant_session(mailed.merchant) as session:
        service.pause(session, mailed.merchant, [ghost_id], "usr_1")
    assert mailed.tell("delivered") == "delivered"
    if clicked:
        with db.tenant_session(mailed.merchant) as session:
            clicks.confirm(session, Link(mailed.merchant, ghost_id, mailed.message_id, LinkPurpose.PAY))
    assert (mailed.ghost.state, mailed.ghost.next_action) == (GhostState.PAUSED, "")
    with db.tenant_session(mailed.merchant) as session:
        service.resume(session, mailed.merchant, [ghost_id], "usr_1")
    assert mailed.ghost.state == then


def test_a_mail_of_another_installation_is_none_of_ours(mailed: Mailed) -> None:
    mailed.tags = {**mailed.tags, "phantom_message": "msg_elsewhere"}
    assert mailed.tell("complained") == "unknown_message"
    mailed.tags = {}
    assert mailed.tell("complained") == "unknown_message"


@pytest.mark.parametrize("data", [None, [], "x", {"tags": None}, {"tags": [1, {"name": "phantom_message"}]}])
def test_odd_tags_are_no_tags(data: Any) -> None:
    assert delivery.tag(data, "phantom_message") == ""
