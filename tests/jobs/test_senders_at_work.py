"""Messages through senders that fail: a key revoked in the middle, a rate that is used up, a sender that changes."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from jobs import send_message
from models.audit import SystemLog
from models.ghost import GhostTarget, Mechanism
from models.messaging import Channel, Message, MessageState
from models.money import DailyMetrics, Recovery
from models.sending import SenderState
from sandbox.stripe.faults import Fault
from services.messaging.senders import pace, refusals, service
from services.messaging.senders.given import OwnMail
from services.operations import health
from services.operations.health_findings import findings
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask
from tests.support import environment
from tests.support.death import dying_at
from tests.support.post_office import PostOffice
from tests.support.shop import Shop

OWN = OwnMail.read("re_northwind_0123456789", "billing@northwind.example")
NEW = OwnMail.read("re_northwind_new_012345", "billing@northwind.example")


class Round:
    """A merchant with its own sender and some customers to be written to."""

    def __init__(self, shop: Shop, office: PostOffice) -> None:
        self.shop, self.office = shop, office
        self.set_sender(OWN)
        for number in range(4):
            shop.subscriber(decline_code="expired_card", email=f"ada{number}@example.com")
        shop.pass_time(days=31, hours=2)

    def set_sender(self, given: OwnMail) -> None:
        with db.tenant_session(self.shop.merchant) as session:
            service.set_mail(session, self.shop.merchant, given, "usr_1")

    def send(self, ghost: GhostTarget) -> dict[str, Any]:
        payload = {"ghost_id": ghost.id, "step": 1}
        now = self.shop.clock.now()
        return send_message.run(ClaimedTask(1, "send_message", self.shop.merchant, payload, 1, 5, 0, "", "t", now))

    def send_all(self, since: int = 0) -> list[str]:
        """Each ghost's message once, from one on; what became of it."""
        outcomes = []
        for ghost in self.shop.ghosts[since:]:
            try:
                outcomes.append("sent" if self.send(ghost)["sent"] else "held")
            except Retry as asked:
                outcomes.append(asked.reason)
        return outcomes

    def send_until_gone(self) -> None:
        """Each ghost's message again and again until all went, at most a day; and once more."""
        for _ in range(48):
            if self.states == ["sent"] * 4:
                break
            self.send_all()
            self.shop.clock.advance(timedelta(minutes=30))
        self.send_all()

    def findings(self, code: str) -> list[str]:
        """What the health card quotes of a finding."""
        with db.tenant_session(self.shop.merchant) as session:
            facts = health.merchant_facts(session, self.shop.merchant)
        return [detail for each in findings(facts) if each.code == code for detail in each.details]

    def die_after_hand_over(self, ghost: GhostTarget) -> None:
        with dying_at("message.handed_over"):
            self.send(ghost)

    @property
    def states(self) -> list[str]:
        return sorted(message.state for message in self.shop.rows(Message))

    @property
    def state(self) -> SenderState:
        with db.tenant_session(self.shop.merchant) as session:
            (view,) = service.senders_of(session, self.shop.merchant)
        return view.state

    def accepted(self) -> list[str]:
        return sorted(message.to[0] for message in self.office.outbox.messages(channel="email"))


@pytest.fixture
def sending(database: object, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Round]:
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    shop = Shop.open(clock, monkeypatch, paused=False)
    with PostOffice.of(shop.world) as office:
        yield Round(shop, office)


def test_messages_go_with_the_merchants_own_key_and_address(sending: Round) -> None:
    assert sending.send_all() == ["sent"] * 4
    assert {row.sender for row in sending.shop.rows(Message)} == {'"Northwind Analytics" <billing@northwind.example>'}
    assert len(sending.accepted()) == 4


def test_a_key_revoked_mid_batch_pauses_the_sender_and_loses_nothing(sending: Round) -> None:
    ghosts = sending.shop.ghosts
    assert sending.send(ghosts[0])["sent"]
    sending.office.outbox.set("keys", [NEW.api_key])
    calls = len(sending.office.calls)

    assert sending.send_all()[1:] == [service.PAUSED] * 3
    assert len(sending.office.calls) == calls + 1  # the provider is asked once, not once a message
    assert sending.state == SenderState.PAUSED
    assert sending.states == ["sent"]  # the others' slots are free: nothing failed, nothing is uncertain
    with db.tenant_session(sending.shop.merchant) as session:
        lines = session.exec(select(SystemLog).where(SystemLog.event == "messaging.sender_paused")).all()
    assert [line.level for line in lines] == ["error"]
    assert "API key is invalid" in lines[0].message

    sending.set_sender(NEW)
    assert sending.send_all()[1:] == ["sent"] * 3
    assert sending.states == ["sent"] * 4
    assert sending.accepted() == [f"ada{number}@example.com" for number in range(4)]


def test_what_a_crash_left_with_the_old_key_is_never_sent_with_the_new_one(sending: Round) -> None:
    """The new key may be another account, which knows nothing of the idempotency key."""
    ghost = sending.shop.ghosts[0]
    sending.die_after_hand_over(ghost)
    sending.set_sender(NEW)
    assert sending.send(ghost) == {"sent": False, "reason": send_message.OTHER_SENDER}
    assert sending.states == ["uncertain"]
    assert len(sending.accepted()) == 1


def test_what_was_begun_for_the_outbox_is_begun_anew_with_the_sender_that_came(sending: Round) -> None:
    """With the platform's From the merchant's provider would refuse it, and the good key would be paused."""
    with db.tenant_session(sending.shop.merchant) as session:
        service.remove(session, sending.shop.merchant, Channel.EMAIL, "usr_1")
    ghost = sending.shop.ghosts[0]

    with environment.changed(RESEND_API_KEY=""), dying_at("message.intended"):
        sending.send(ghost)
    sending.set_sender(OWN)
    with pytest.raises(Retry, match=send_message.NEW_SENDER):
        sending.send(ghost)
    assert sending.send(ghost)["sent"]
    assert [row.sender for row in sending.shop.rows(Message)] == ['"Northwind Analytics" <billing@northwind.example>']
    assert (len(sending.accepted()), sending.state) == (1, SenderState.READY)


def test_what_a_crash_left_waits_with_its_key_while_the_sender_is_paused(sending: Round) -> None:
    ghost = sending.shop.ghosts[0]
    sending.die_after_hand_over(ghost)
    sending.office.outbox.set("keys", [])
    with pytest.raises(Retry):
        sending.send(ghost)
    assert sending.states == ["sending"]
    sending.office.outbox.set("keys", None)
    sending.set_sender(OWN)
    assert sending.send(ghost)["sent"]
    assert len(sending.accepted()) == 1


def test_a_domain_that_is_not_verified_pauses_it_too_in_the_providers_words(sending: Round) -> None:
    sending.office.outbox.set("domains", [])
    assert sending.send_all() == [service.PAUSED] * 4
    with db.tenant_session(sending.shop.merchant) as session:
        (view,) = service.senders_of(session, sending.shop.merchant)
    assert view.paused_reason.startswith("The northwind.example domain is not verified.")


def test_no_more_than_the_providers_rate_and_nobody_waits_in_a_worker(sending: Round, clock: ManualClock) -> None:
    with environment.changed(RESEND_RATE="2"):
        assert sending.send_all() == ["sent"] + ["sender_rate"] * 3
        clock.advance(timedelta(seconds=0.5))
        assert sending.send_all(since=1) == ["sent"] + ["sender_rate"] * 2
        clock.advance(timedelta(seconds=1))
        assert sending.send_all(since=2) == ["sent"] * 2
    assert len(sending.accepted()) == 4


def test_a_429_keeps_everybody_away_for_as_long_as_it_says(sending: Round, clock: ManualClock) -> None:
    sending.office.resend.faults.add(Fault("rate_limit", times=1))
    with environment.changed(RESEND_RATE="5"):
        assert sending.send_all() == ["email_later"] + ["sender_rate"] * 3
        assert sending.office.calls.count("POST /emails") == 1
        clock.advance(timedelta(seconds=2))
        assert "sent" in sending.send_all()


def test_without_a_sender_it_goes_to_the_outbox_with_one_line(sending: Round, caplog: pytest.LogCaptureFixture) -> None:
    with db.tenant_session(sending.shop.merchant) as session:
        service.remove(session, sending.shop.merchant, Channel.EMAIL, "usr_1")
    with environment.changed(RESEND_API_KEY=""), caplog.at_level("INFO", logger="jobs.send_message"):
        assert sending.send_all() == ["sent"] * 4
    assert sending.states == [MessageState.OUTBOX] * 4
    lines = [record for record in caplog.records if record.message == "messaging.outbox"]
    assert len(lines) == 4
    assert all("ada" not in str(record.__dict__) for record in lines)
    assert sending.accepted() == []


def test_the_platforms_refused_key_holds_messages_too(sending: Round, clock: ManualClock) -> None:
    with db.tenant_session(sending.shop.merchant) as session:
        service.remove(session, sending.shop.merchant, Channel.EMAIL, "usr_1")
    sending.office.outbox.set("keys", [])
    with environment.changed(RESEND_RATE="5"):
        assert sending.send_all() == [service.PAUSED] + ["sender_rate"] * 3
        sending.office.outbox.set("keys", None)
        clock.advance(service.LOOK_AGAIN + timedelta(seconds=1))
        assert "sent" in sending.send_all()


class TestRefusedForDays:
    """A provider that says 429 has taken nothing: what waits for it is no message that anybody might have."""

    @pytest.mark.parametrize("quota", ["daily", "monthly"])
    def test_nothing_counts_while_the_quota_is_used_up_and_each_goes_once_afterwards(
        self, sending: Round, clock: ManualClock, quota: str
    ) -> None:
        sending.office.outbox.set("quota", quota)
        for _ in range(16):
            assert set(sending.send_all()) <= {refusals.NO_QUOTA, "sender_rate", "held"}  # `held`: quiet hours
            clock.advance(timedelta(hours=3))
        assert sending.states == []
        assert {(ghost.messages_sent, ghost.contacted_at) for ghost in sending.shop.ghosts} == {(0, None)}
        assert sum(row.messages_count for row in sending.shop.rows(DailyMetrics)) == 0

        sending.office.outbox.set("quota", None)
        sending.send_until_gone()
        assert sending.states == ["sent"] * 4
        assert sending.accepted() == [f"ada{number}@example.com" for number in range(4)]

    def test_who_pays_meanwhile_was_brought_by_no_message(self, sending: Round, clock: ManualClock) -> None:
        sending.office.outbox.set("quota", "monthly")
        ghost = sending.shop.ghosts[0]
        for _ in range(9):
            sending.send_all()
            clock.advance(timedelta(hours=3))
        card = sending.shop.actions.create_card(sending.shop.account, "visa")
        sending.shop.actions.pay_invoice(sending.shop.account, ghost.invoice_id, card["id"])
        sending.shop.deliver()
        (recovery,) = sending.shop.rows(Recovery)
        assert (recovery.ghost_id, recovery.mechanism) == (ghost.id, Mechanism.ORGANIC)

    def test_the_card_says_why_they_wait_and_the_log_once(self, sending: Round, clock: ManualClock) -> None:
        sending.office.outbox.set("quota", "daily")
        for _ in range(3):
            assert refusals.NO_QUOTA in sending.send_all()
            assert sending.findings("quota_email") == ["You have reached your daily email quota."]
            clock.advance(service.LOOK_AGAIN + timedelta(seconds=1))
        lines = [row for row in sending.shop.rows(SystemLog) if row.event == "messaging.sender_quota"]
        assert [row.level for row in lines] == ["warning"]
        assert "You have reached your daily email quota." in lines[0].message
        assert sending.state == SenderState.READY

    def test_a_rate_limit_of_two_days_loses_and_counts_nothing_either(self, sending: Round, clock: ManualClock) -> None:
        sending.office.resend.faults.add(Fault("rate_limit"))
        for _ in range(16):
            assert set(sending.send_all()) <= {"email_later", "sender_rate", "held"}
            clock.advance(timedelta(hours=3))
        assert sending.states == []
        sending.office.resend.faults.clear()
        sending.send_until_gone()
        assert (sending.states, len(sending.accepted())) == (["sent"] * 4, 4)

    def test_what_an_earlier_run_may_have_handed_over_stays_in_doubt(self, sending: Round, clock: ManualClock) -> None:
        """The refusal is of the repeat: of the first time nobody knows."""
        ghost = sending.shop.ghosts[0]
        sending.die_after_hand_over(ghost)
        (begun,) = sending.shop.rows(Message)
        sending.office.resend.faults.add(Fault("rate_limit"))
        with pytest.raises(Retry, match="email_later"):
            sending.send(ghost)
        (kept,) = sending.shop.rows(Message)
        assert (kept.state, kept.idempotency_key) == (MessageState.SENDING, begun.idempotency_key)
        clock.advance(timedelta(hours=24))
        assert sending.send(ghost)["sent"] is False
        assert (sending.states, sending.shop.ghosts[0].messages_sent) == (["uncertain"], 1)
        assert len(sending.accepted()) == 1
