"""Text messages: only with consent, never twice, settled by callbacks, ended by STOP."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core import db
from core.clock import ManualClock
from jobs import send_message
from models.ghost import FoundVia, GhostEvent
from models.messaging import Channel, Message, MessageState, Suppression
from models.money import DailyMetrics
from models.work import ScheduledTask
from sandbox.stripe.faults import Fault
from services.analytics import shards
from services.integrations.stripe.parsing import parse_invoice
from services.integrations.twilio import OutgoingText, TextRefusedError, TwilioSender
from services.messaging import consents, links, suppression
from services.messaging.senders import pace, service
from services.messaging.senders.given import OwnMail, OwnText
from services.recovery import service as recovery
from services.recovery.messages import texts
from services.recovery.observe import observe
from services.recovery.plans import pulse
from services.recovery.work import merchant_context
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask
from tests.support import environment
from tests.support.death import dying_at
from tests.support.factories import raw_invoice
from tests.support.post_office import PostOffice
from tests.support.shop import Shop

ADA, ACCOUNT, TOKEN, ACME = "+12025550143", "AC" + "a" * 32, "0123456789abcdef" * 2, "+15005550006"


class Texting:
    """A customer whom mail cannot reach and who agreed to texts."""

    def __init__(self, shop: Shop, office: PostOffice) -> None:
        self.shop, self.office = shop, office
        subscription = shop.subscriber(decline_code="expired_card")
        shop.actions.update_customer(shop.account, subscription["customer"], phone="+1 (202) 555-0143")
        shop.deliver()
        with db.tenant_session(shop.merchant) as session:
            service.set_text(session, shop.merchant, OwnText.read(ACCOUNT, TOKEN, ACME), "usr_1")
            links.suppress(session, shop.merchant, Channel.EMAIL, "ada@example.com", "bounced")

    def agree(self, state: str = "granted") -> None:
        given = consents.read(channel="sms", address=ADA, happened_at=self.shop.clock.now(), state=state)
        with db.tenant_session(self.shop.merchant) as session:
            consents.record(session, self.shop.merchant, [given], "usr_1")

    def fail_to_pay(self) -> None:
        self.shop.pass_time(days=31, hours=11)  # daytime from New York to Honolulu

    def send(self, step: int = 1, channel: Channel = Channel.SMS) -> dict[str, Any]:
        payload = {"ghost_id": self.shop.ghosts[0].id, "step": step, "channel": channel.value}
        now = self.shop.clock.now()
        return send_message.run(ClaimedTask(1, "send_message", self.shop.merchant, payload, 1, 5, 0, "", "t", now))

    def text_a_double(self) -> None:
        """Another customer with the same number, in another shard, who gets a text an hour later."""
        mine, now = self.shop.ghosts[0].customer_id, self.shop.clock.now()
        apart = (
            f"cus_double{n}" for n in range(99) if shards.of_customer(f"cus_double{n}") != shards.of_customer(mine)
        )
        with db.tenant_session(self.shop.merchant) as session:
            merchant = merchant_context(session, self.shop.merchant)
            observe(session, merchant, [parse_invoice(raw_invoice(2, customer=next(apart)))], FoundVia.WEBHOOK, now)
        (ghost,) = [each for each in self.shop.ghosts if each.customer_id != mine]
        with db.tenant_session(self.shop.merchant) as session:
            session.add(Message(
                merchant_id=self.shop.merchant, id="msg_double", ghost_id=ghost.id, customer_id=ghost.customer_id or "",
                step=1, channel=Channel.SMS, state=MessageState.SENT, recipient=ADA, idempotency_key="double",
                due_at=now, intent_at=now, sent_at=now, created_at=now + timedelta(hours=1),
            ))  # fmt: skip

    def call_back(self) -> list[str]:
        """Hand what Twilio posts to the handler that its task calls."""
        outcomes = []
        for posted in self.office.postman.take_deliveries():
            form = {name: values[-1] for name, values in parse_qs(posted.body.decode()).items()}
            message = parse_qs(urlsplit(posted.url).query)["message"][0]
            data = {"message": message, "status": form["MessageStatus"], "sid": form["MessageSid"]}
            outcomes.append(texts.handle(self.shop.merchant, texts.STATUS, data, self.shop.clock.now()))
        return outcomes

    @property
    def message(self) -> Message:
        (found,) = self.shop.rows(Message)
        return found

    def accepted(self) -> int:
        return len(self.office.outbox.messages(channel="sms"))


@pytest.fixture
def texting(database: object, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Texting]:
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    shop = Shop.open(clock, monkeypatch, paused=False, sms=True)
    with PostOffice.of(shop.world) as office:
        yield Texting(shop, office)


@pytest.fixture
def agreed(texting: Texting) -> Texting:
    texting.agree()
    texting.fail_to_pay()
    return texting


def test_it_goes_with_the_merchants_own_number_and_callbacks_settle_it(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    (kept,) = agreed.office.outbox.messages(to=ADA)
    assert kept.sender == ACME
    assert (agreed.message.channel, agreed.message.state) == (Channel.SMS, MessageState.SENT)
    assert agreed.message.recipient == ADA
    assert agreed.call_back() == ["already_known", "delivered"]
    assert agreed.message.state == MessageState.DELIVERED


def test_without_consent_and_after_taking_it_back_nothing_goes(texting: Texting) -> None:
    texting.fail_to_pay()
    assert texting.send()["sent"] is False
    texting.agree()
    texting.shop.clock.advance(timedelta(seconds=1))
    texting.agree("withdrawn")
    assert texting.send()["sent"] is False
    assert texting.office.calls == []


@pytest.mark.parametrize(("kind", "accepted"), [("cut_after", 1), ("error_after", 1), ("error_before", 0), ("cut", 0)])
def test_an_answer_that_is_lost_makes_it_uncertain_at_once_and_it_is_never_sent_again(
    agreed: Texting, kind: str, accepted: int
) -> None:
    agreed.office.twilio.faults.add(Fault(kind, times=1))
    assert agreed.send() == {"sent": False, "reason": send_message.NOT_TWICE}
    assert agreed.message.state == MessageState.UNCERTAIN
    assert agreed.shop.ghosts[0].messages_sent == 1
    assert agreed.send()["sent"] is False
    assert agreed.accepted() == accepted
    if accepted:
        assert agreed.call_back() == ["sent", "delivered"]
        assert agreed.message.state == MessageState.DELIVERED


def test_a_death_after_the_hand_over_sends_no_second_one(agreed: Texting) -> None:
    with dying_at("message.handed_over"):
        agreed.send()
    assert agreed.send()["sent"] is False
    assert (agreed.accepted(), agreed.message.state) == (1, MessageState.UNCERTAIN)
    agreed.shop.clock.advance(timedelta(days=31))
    agreed.call_back()  # a month late, and still true
    assert agreed.message.state == MessageState.DELIVERED
    assert agreed.shop.ghosts[0].messages_sent == 1


def test_a_rate_limit_loses_nothing(agreed: Texting, clock: ManualClock) -> None:
    agreed.office.twilio.faults.add(Fault("rate_limit", times=1))
    with pytest.raises(Retry):
        agreed.send()
    assert agreed.shop.rows(Message) == []
    clock.advance(timedelta(minutes=1))
    assert agreed.send()["sent"]
    assert agreed.accepted() == 1


def test_texts_have_a_line_of_their_own(agreed: Texting, clock: ManualClock) -> None:
    with db.tenant_session(agreed.shop.merchant) as session:
        carrier = service.sender_for(session, agreed.shop.merchant, Channel.SMS)
    assert carrier is not None
    with environment.changed(TWILIO_RATE="1"):
        assert pace.turn(carrier.key_print, "somebody", carrier.rate) == 0
        with pytest.raises(Retry, match="sender_rate"):
            agreed.send()
        assert agreed.shop.rows(Message) == []
        clock.advance(timedelta(seconds=1))
        assert agreed.send()["sent"]


def test_who_stopped_at_twilio_is_suppressed(agreed: Texting) -> None:
    agreed.office.outbox.set("opted_out", [[ADA, ACME]])
    assert agreed.send() == {"sent": False, "reason": "opted_out"}
    assert agreed.message.state == MessageState.FAILED
    assert {(row.channel, row.reason) for row in agreed.shop.rows(Suppression)} == {
        ("email", "bounced"),
        ("sms", "stopped"),
    }
    assert agreed.shop.ghosts[0].next_action != "send_message"


def test_a_number_that_is_refused_is_let_alone_and_mail_goes_where_it_can(
    agreed: Texting, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(_: TwilioSender, text: OutgoingText) -> str:
        asked.append(text.recipient)
        raise TextRefusedError("21614: not a mobile number")

    monkeypatch.setattr(TwilioSender, "send", refuse)
    assert agreed.send() == {"sent": False, "reason": "text_refused"}
    assert (agreed.message.state, agreed.shop.ghosts[0].next_action) == (MessageState.FAILED, "exhaust")
    assert agreed.send(step=2)["sent"] is False
    assert (asked, len(agreed.shop.rows(Message))) == ([ADA], 1)
    with db.tenant_session(agreed.shop.merchant) as session:
        now = agreed.shop.clock.now()
        assert suppression.lift(session, agreed.shop.merchant, Channel.EMAIL, "ada@example.com", "bounced", now)
        pulse.replan(session, agreed.shop.merchant, agreed.shop.clock.now(), "")
    assert agreed.shop.ghosts[0].next_action == "send_message"
    assert agreed.send(step=2, channel=Channel.EMAIL)["sent"]
    assert [(each.step, each.channel) for each in agreed.shop.rows(Message)] == [(1, "sms"), (2, "email")]


def test_a_paused_mail_sender_holds_no_text(agreed: Texting) -> None:
    with db.tenant_session(agreed.shop.merchant) as session:
        mail = OwnMail.read("re_northwind_0123456789", "a@northwind.example")
        service.set_mail(session, agreed.shop.merchant, mail, "usr_1")
        carrier = service.sender_for(session, agreed.shop.merchant, Channel.EMAIL)
        assert carrier is not None
        service.pause(session, agreed.shop.merchant, Channel.EMAIL, carrier, "API key is invalid")
    assert agreed.send()["sent"]
    assert agreed.accepted() == 1


def test_what_was_planned_as_a_mail_and_is_a_text_now_takes_a_turn_as_a_text(agreed: Texting) -> None:
    assert agreed.send(channel=Channel.EMAIL)["sent"]
    assert agreed.accepted() == 1


def test_each_task_names_the_channel_its_message_is_planned_on(agreed: Texting) -> None:
    tasks = [task for task in agreed.shop.rows(ScheduledTask) if task.kind == "send_message"]
    assert [task.payload["channel"] for task in tasks] == ["sms"]


@pytest.mark.parametrize("told", ["when it is sent", "by a callback"])
def test_one_number_of_two_customers_is_stopped_for_both(agreed: Texting, told: str) -> None:
    """Stripe keeps duplicates of a person; whose text is refused is not always who was written to last."""
    if told == "when it is sent":
        agreed.text_a_double()
        agreed.office.outbox.set("opted_out", [[ADA, ACME]])
        assert agreed.send() == {"sent": False, "reason": "opted_out"}
    else:
        assert agreed.send()["sent"]
        data = {"message": agreed.message.id, "status": "undelivered", "sid": "SM1", "error": "21610"}
        agreed.text_a_double()
        assert texts.handle(agreed.shop.merchant, texts.STATUS, data, agreed.shop.clock.now()) == "failed"
    assert ("sms", "stopped") in {(row.channel, row.reason) for row in agreed.shop.rows(Suppression)}
    concerned = {event.ghost_id for event in agreed.shop.rows(GhostEvent) if event.name == "unsubscribed"}
    assert concerned == {ghost.id for ghost in agreed.shop.ghosts}
    assert len(concerned) == 2


def test_after_stop_nothing_goes_and_the_ghost_says_why(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    assert reply(agreed, "STOP") == "stopped"
    assert reply(agreed, "STOP") == "already_known"
    (ghost,) = agreed.shop.ghosts
    assert ghost.next_action != "send_message"


def test_a_revoked_token_pauses_texts_and_leaves_mail_alone(agreed: Texting) -> None:
    agreed.office.outbox.set("twilio_accounts", {ACCOUNT: "another"})
    with pytest.raises(Retry, match=service.PAUSED):
        agreed.send()
    assert agreed.shop.rows(Message) == []
    with db.tenant_session(agreed.shop.merchant) as session:
        (view,) = service.senders_of(session, agreed.shop.merchant)
        assert (view.channel, view.paused_reason) == (Channel.SMS, "Authenticate")
        mail = service.sender_for(session, agreed.shop.merchant, Channel.EMAIL)
        assert mail is not None
        assert mail.paused == ""


@pytest.mark.parametrize("status", ["undelivered", "failed"])
def test_what_twilio_could_not_deliver_has_failed(agreed: Texting, status: str) -> None:
    agreed.send()
    data = {"message": agreed.message.id, "status": status, "sid": "SM1", "error": "30003"}
    assert texts.handle(agreed.shop.merchant, texts.STATUS, data, agreed.shop.clock.now()) == "failed"
    assert agreed.message.reason == "Twilio's error 30003."
    late = {**data, "status": "sent", "error": ""}
    assert texts.handle(agreed.shop.merchant, texts.STATUS, late, agreed.shop.clock.now()) == "already_known"


def test_what_could_not_be_delivered_counts_although_our_process_died_before_it_wrote_the_answer_down(
    agreed: Texting,
) -> None:
    with dying_at("message.handed_over"):
        agreed.send()
    data = {"message": agreed.message.id, "status": "failed", "sid": "SM1", "error": "30003"}
    assert texts.handle(agreed.shop.merchant, texts.STATUS, data, agreed.shop.clock.now()) == "failed"
    assert agreed.shop.ghosts[0].messages_sent == 1
    assert sum(day.messages_count for day in agreed.shop.rows(DailyMetrics)) == 1


@pytest.mark.parametrize(("code", "written_again"), [("30005", False), ("30006", False), ("30003", True)])
def test_a_number_that_nothing_reaches_is_let_alone_and_one_that_was_switched_off_is_not(
    agreed: Texting, code: str, written_again: bool
) -> None:
    agreed.send()
    data = {"message": agreed.message.id, "status": "undelivered", "sid": "SM1", "error": code}
    assert texts.handle(agreed.shop.merchant, texts.STATUS, data, agreed.shop.clock.now()) == "failed"

    assert (("sms", "undelivered") in {(row.channel, row.reason) for row in agreed.shop.rows(Suppression)}) != (
        written_again
    )
    (ghost,) = agreed.shop.ghosts
    assert (ghost.next_action == "send_message") == written_again
    reply(agreed, "STOP")
    assert ("sms", "stopped") in {(row.channel, row.reason) for row in agreed.shop.rows(Suppression)}


def reply(texting: Texting, word: str) -> str:
    return texts.handle(texting.shop.merchant, texts.REPLY, {"from": ADA, "asks": word}, texting.shop.clock.now())


def test_after_start_what_stands_open_is_planned_anew(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    assert reply(agreed, "STOP") == "stopped"
    agreed.shop.clock.advance(timedelta(days=1))
    (silent,) = agreed.shop.ghosts
    assert silent.next_action == "exhaust"  # and no pulse looks at it before its time is over
    assert reply(agreed, "START") == "started"
    (ghost,) = agreed.shop.ghosts
    assert ghost.next_action == "send_message"
    assert ghost.next_action_at < silent.next_action_at
    assert "By SMS" in ghost.next_action_reason
    assert [event.name for event in agreed.shop.rows(GhostEvent)].count("texts_resumed") == 1
    assert reply(agreed, "START") == "already_known"


def test_start_is_no_consent(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    reply(agreed, "STOP")
    agreed.shop.clock.advance(timedelta(seconds=1))
    agreed.agree("withdrawn")
    assert reply(agreed, "START") == "started"
    (ghost,) = agreed.shop.ghosts
    assert ghost.next_action == "exhaust"
    assert "has not agreed to messages by SMS" in ghost.next_action_reason


def test_start_opens_nothing_that_is_closed(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    reply(agreed, "STOP")
    with db.tenant_session(agreed.shop.merchant) as session:
        recovery.mark_lost(session, agreed.shop.merchant, [agreed.shop.ghosts[0].id], "usr_1")
    assert reply(agreed, "START") == "started"
    (ghost,) = agreed.shop.ghosts
    assert (ghost.state, ghost.next_action) == ("lost", "")


def test_a_number_that_was_taken_off_a_customer_gets_no_text(agreed: Texting) -> None:
    """It may be somebody else's by now, and the invoice goes on naming it: it keeps what they had when it was made."""
    shop = agreed.shop
    shop.actions.update_customer(shop.account, shop.ghosts[0].customer_id, phone=None)
    shop.deliver()
    assert [each["customer_phone"] for each in shop.world.space(shop.account).table("invoice").objects.values()][-1]
    assert agreed.send()["sent"] is False
    assert (shop.ghosts[0].customer_phone, agreed.accepted()) == (None, 0)


def test_an_address_that_was_taken_off_a_customer_gets_no_mail_and_the_name_stays(texting: Texting) -> None:
    shop = texting.shop
    texting.fail_to_pay()
    name = shop.ghosts[0].customer_name
    shop.actions.update_customer(shop.account, shop.ghosts[0].customer_id, email=None)
    with db.tenant_session(shop.merchant) as session:
        suppression.lift(session, shop.merchant, Channel.EMAIL, "ada@example.com", "bounced", shop.clock.now())
    assert texting.send(channel=Channel.EMAIL)["sent"] is False
    (ghost,) = shop.ghosts
    assert (ghost.customer_email, ghost.customer_name) == (None, name)
