"""A mail to oneself: through the sender or into the outbox, never counted, never many."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from sqlmodel import col, select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.messaging import Channel, Message, MessageState
from services.identity import people
from services.integrations.carriers import MessageLaterError, MessageRefusedError, MessageUnknownError
from services.messaging import suppression, trials
from services.messaging.brands import Brand
from services.messaging.lint import Source, Target
from services.messaging.preview import in_scheme, preview
from services.messaging.senders import service as senders
from services.messaging.senders import trial
from services.messaging.senders.schemas import OutgoingMessage
from services.messaging.trials import Outcome, TooManyTrialsError, Trial
from services.messaging.wording import Moment
from services.recovery.messages import delivery, texts
from tests.support import environment
from tests.support.factories import make_merchant

NUMBER = "+12025550143"
TARGET = Target("funds", Moment.FIRST, "email", "de")
MAIL = preview(
    TARGET,
    None,
    brand=Brand("Acme"),
    currency="jpy",
    today=date(2026, 3, 1),
    public_url="https://p.example",
    is_test=True,
)


@dataclass
class Carrier:
    """A sender that answers as it is told."""

    answer: str | Exception = "re_1"
    name: str = "resend"
    key_print: str = "print"
    rate: float = 5.0
    own: bool = True
    paused: str = ""
    repeats_safely: bool = True
    handed: list[tuple[OutgoingMessage, str]] = field(default_factory=list)

    def send(self, message: OutgoingMessage, *, idempotency_key: str) -> str:
        self.handed.append((message, idempotency_key))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    merchant_id = make_merchant()
    member(merchant_id, "ada@example.com", verified=True)
    return merchant_id


def member(merchant: str, email: str, *, verified: bool) -> None:
    with db.tenant_session(merchant) as session:
        people.provision_owner(session, merchant, email=email, verified=verified)


def begin_text(merchant: str) -> Trial:
    shown = preview(
        Target("funds", Moment.FIRST, "sms", "en"), None, brand=Brand("Acme"), currency="usd", today=date(2026, 3, 1),
        public_url="https://p.example", is_test=True,
    )  # fmt: skip
    with db.tenant_session(merchant) as session:
        return trials.begin(
            session, merchant, shown, recipient=NUMBER, merchant_name="Acme", reply_to="", channel=Channel.SMS
        )


def begin(merchant: str, to: str = "ada@example.com") -> Trial:
    with db.tenant_session(merchant) as session:
        return trials.begin(session, merchant, MAIL, recipient=to, merchant_name="Acme", reply_to="help@acme.example")


def messages(merchant: str) -> list[Message]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(Message).order_by(col(Message.id))))


def settle(merchant: str, trial: Trial, outcome: Outcome) -> Message:
    with db.tenant_session(merchant) as session:
        trials.settle(session, merchant, trial, outcome)
    return messages(merchant)[-1]


class TestText:
    def test_goes_with_the_sender_of_texts_and_says_that_it_is_a_test(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch
    ):
        carrier, asked = Carrier(name="twilio"), []
        monkeypatch.setattr(senders, "sender_for", lambda *given: asked.append(given[2]) or carrier)
        trial = begin_text(merchant)
        kept = settle(merchant, trial, trials.carry(trial))
        ((sent, _),) = carrier.handed
        assert asked == [Channel.SMS]
        assert (sent.channel, sent.recipient, sent.html, kept.channel) == (Channel.SMS, NUMBER, "", Channel.SMS)
        assert sent.plain.startswith("This is a test message")
        assert (kept.state, kept.provider) == (MessageState.SENT, "twilio")

    @pytest.mark.parametrize(("own", "concerned"), [(False, True), (True, False)])
    def test_a_stop_to_the_platforms_number_finds_the_merchant(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch, own: bool, concerned: bool
    ):
        monkeypatch.setattr(senders, "sender_for", lambda *_: Carrier(own=own))
        begin_text(merchant)
        with db.system_session() as session:
            assert suppression.texted_merchants(session, [NUMBER]) == {NUMBER: [merchant] if concerned else []}

    def test_with_phantoms_number_it_counts_among_the_test_texts_of_the_day(
        self, merchant: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(senders, "sender_for", lambda *_: Carrier(own=False))
        with db.tenant_session(merchant) as session:
            trial.admit(session, merchant, Channel.SMS, Carrier(own=False), NUMBER)
        for _ in range(trial.TEXTS_A_DAY - 1):
            begin_text(merchant)
        with pytest.raises(trial.TooManyTestTextsError):
            begin_text(merchant)
        assert len(messages(merchant)) == trial.TEXTS_A_DAY - 1
        begin(merchant)  # mail is another matter


class TestTrial:
    def test_it_is_kept_before_it_is_handed_over(self, merchant: str):
        trial, carrier = begin(merchant), Carrier()
        assert [row.state for row in messages(merchant)] == [MessageState.SENDING]
        outcome = trials.carry(Trial(trial.outgoing, carrier))
        [(message, key)] = carrier.handed
        assert (message.recipient, message.reply_to) == ("ada@example.com", "help@acme.example")
        assert "Testnachricht" in message.plain
        assert key == f"phantom-{message.message_id}"
        assert message.tags == {}  # what the provider tells of it moves nothing
        assert settle(merchant, trial, outcome).state == MessageState.SENT

    def test_without_a_sender_it_lies_in_the_outbox(self, merchant: str):
        with environment.changed(RESEND_API_KEY=""):
            trial = begin(merchant)
        assert trial.carrier is None
        assert settle(merchant, trial, trials.carry(trial)).state == MessageState.OUTBOX

    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (MessageRefusedError("no"), MessageState.FAILED),
            (MessageLaterError("busy"), MessageState.FAILED),
            (MessageUnknownError("gone"), MessageState.UNCERTAIN),
        ],
    )
    def test_what_the_sender_says_is_shown(self, merchant: str, answer: Exception, state: MessageState):
        trial = begin(merchant)
        outcome = trials.carry(Trial(trial.outgoing, Carrier(answer)))
        assert outcome.reason
        assert settle(merchant, trial, outcome).state == state

    def test_a_paused_sender_is_not_asked(self, merchant: str):
        carrier = Carrier(paused="The key was refused.")
        outcome = trials.carry(Trial(begin(merchant).outgoing, carrier))
        assert carrier.handed == []
        assert outcome == Outcome(MessageState.FAILED, reason="Your sender is paused: The key was refused.")

    def test_twenty_an_hour_and_no_more_are_kept(self, merchant: str, clock: ManualClock):
        for _ in range(trials.MOST_AN_HOUR):
            begin(merchant)
        with pytest.raises(TooManyTrialsError):
            begin(merchant)
        clock.advance(timedelta(hours=1, seconds=1))
        newest = begin(merchant).outgoing.message_id
        kept = messages(merchant)
        assert len(kept) == trials.KEPT
        assert kept[-1].id == newest


class TestMailFromPhantomsDomain:
    """Who connects an account of Stripe's has the address that it names, which may be anybody's."""

    @pytest.fixture(autouse=True)
    def _phantoms_sender(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(senders, "sender_for", lambda *_: Carrier(own=False))

    def test_nobody_is_written_to_who_never_confirmed_the_address(self, merchant: str):
        member(merchant, "bob@example.com", verified=False)
        with pytest.raises(trial.NotConfirmedError):
            begin(merchant, "bob@example.com")
        assert messages(merchant) == []

    def test_nor_who_confirmed_it_and_is_no_member(self, merchant: str):
        member(make_merchant(), "bob@example.com", verified=True)
        with pytest.raises(trial.NotConfirmedError):
            begin(merchant, "bob@example.com")

    def test_who_confirmed_it_is(self, merchant: str):
        assert begin(merchant).carrier is not None

    def test_with_a_sender_of_their_own_they_answer_for_it(self, merchant: str, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(senders, "sender_for", lambda *_: Carrier(own=True))
        assert begin(merchant, "bob@example.com").carrier is not None


class TestPreview:
    def test_values_are_made_up_and_in_the_merchants_currency(self):
        assert "49\u00a0¥" in MAIL.plain
        assert "Ada Example" in MAIL.plain
        assert MAIL.subject == "[Probe] Ihre Zahlung an Acme kam nicht zustande"

    def test_what_is_typed_is_drawn_before_it_is_saved(self):
        source = Source("S {{ merchant }}", "H", "B {{ card | default('x') }}", "Go")
        drawn = preview(
            Target("*", Moment.LAST, "email", "en"), source, brand=Brand("Acme"), currency="usd",
            today=date(2026, 3, 1), public_url="https://p.example",
        )  # fmt: skip
        assert drawn.subject == "S Acme"
        assert "B 4242" in drawn.html
        assert "Test" not in drawn.plain

    def test_light_and_dark_do_not_ask_the_browser(self):
        assert "prefers-color-scheme" in MAIL.html
        for dark in (True, False):
            assert "@media (prefers-color-scheme" not in in_scheme(MAIL.html, dark=dark)
        assert in_scheme(MAIL.html, dark=True) != in_scheme(MAIL.html, dark=False)


@pytest.mark.parametrize("status", ["sent", "delivered", "failed", "undelivered"])
@pytest.mark.parametrize("settled", [True, False])
def test_what_twilio_tells_of_a_trial_moves_nothing(merchant: str, status: str, settled: bool) -> None:
    """Its address is called for each text, a trial's too, and may be called before the trial is settled."""
    trial = begin_text(merchant)
    if settled:
        settle(merchant, trial, Outcome(MessageState.SENT, "twilio", "SM1"))
    before = messages(merchant)[-1].state
    data = {"message": trial.outgoing.message_id, "status": status, "sid": "SM1", "error": ""}
    assert texts.handle(merchant, texts.STATUS, data, core_clock.now()) in (delivery.OF_NO_GHOST, "already_known")
    assert messages(merchant)[-1].state == before


def test_nor_what_resend_tells_of_one(merchant: str) -> None:
    """Trials have no tag; whoever has a merchant's own secret may name one all the same."""
    trial = begin(merchant)
    tags = {delivery.MESSAGE_TAG: trial.outgoing.message_id, delivery.MERCHANT_TAG: merchant}
    assert delivery.handle(merchant, "email.delivered", {"tags": tags}) == delivery.OF_NO_GHOST
    assert messages(merchant)[-1].state == MessageState.SENDING
