"""Twilio through its own SDK, on a stand-in held to the same SDK: every answer becomes one of a closed list."""

from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest.api.v2010.account.message import MessageList
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from core.clock import ManualClock
from sandbox.stripe.faults import Fault
from sandbox.stripe.world import Settings, World
from services.integrations import twilio
from services.integrations.carriers import OutOfQuotaError
from services.integrations.twilio import (
    OutgoingText,
    TextKeyRefusedError,
    TextLaterError,
    TextOptedOutError,
    TextRefusedError,
    TextUnknownError,
    TwilioSender,
    is_genuine,
)
from tests.support.post_office import PostOffice

ACCOUNT, TOKEN = "AC" + "a" * 32, "f" * 32
ACME, ADA = "+15005550006", "+15005550010"
SENDER = TwilioSender(ACCOUNT, TOKEN)
TEXT = OutgoingText(ACME, ADA, "Hello – please pay", "http://127.0.0.1:9/api/webhooks/twilio?message=msg_1")


@pytest.fixture
def office(clock: ManualClock) -> Iterator[PostOffice]:
    world = World(Settings(deliver=False))
    with PostOffice.of(world) as office:
        yield office
    world.close()


class TestSending:
    def test_a_text_goes_out_with_its_callback(self, office: PostOffice) -> None:
        sid = SENDER.send(TEXT)
        (kept,) = office.outbox.messages(to=ADA, channel="sms")
        assert (kept.id, kept.body["text"], kept.sender) == (sid, "Hello – please pay", ACME)
        assert kept.body["form"]["StatusCallback"] == TEXT.callback

    def test_a_messaging_service_sends_in_place_of_a_number(self, office: PostOffice) -> None:
        SENDER.send(OutgoingText("MG" + "b" * 32, ADA, "x"))
        (kept,) = office.outbox.messages(to=ADA)
        assert kept.body["form"]["MessagingServiceSid"] == "MG" + "b" * 32
        assert "From" not in kept.body["form"]

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            (OutgoingText(ACME, "0151 1234", "x"), TextRefusedError),
            (OutgoingText(ACME, ADA, "x" * 1601), TextRefusedError),
        ],
    )
    def test_what_twilio_refuses_says_why(self, office: PostOffice, text: OutgoingText, error: type[Exception]) -> None:
        with pytest.raises(error, match=r"^21\d\d\d: "):
            SENDER.send(text)
        assert office.outbox.count() == 0

    def test_a_wrong_token_is_the_senders_fault_and_in_twilios_words(self, office: PostOffice) -> None:
        office.outbox.set("twilio_accounts", {ACCOUNT: "another"})
        for act in (lambda: SENDER.send(TEXT), SENDER.check):
            with pytest.raises(TextKeyRefusedError) as refused:
                act()
            assert refused.value.detail == "Authenticate"

    def test_who_answered_stop_has_opted_out(self, office: PostOffice) -> None:
        SENDER.send(TEXT)
        office.twilio.reply(ADA, ACME, "STOP", account=ACCOUNT)
        with pytest.raises(TextOptedOutError):
            SENDER.send(TEXT)

    @pytest.mark.parametrize(
        "kind", ["error_before", "error_after", "unavailable", "unavailable_after", "cut", "cut_after"]
    )
    def test_what_was_not_answered_is_not_known_and_asked_once(self, office: PostOffice, kind: str) -> None:
        office.twilio.faults.add(Fault(kind, times=5))
        with pytest.raises(TextUnknownError):
            SENDER.send(TEXT)
        assert len(office.calls) == 1

    @pytest.mark.parametrize(
        ("code", "error"),
        [(21611, TextLaterError), (21603, TextKeyRefusedError), (21212, TextKeyRefusedError)],
    )
    def test_a_full_queue_waits_and_a_number_that_is_none_is_the_senders_fault(
        self, code: int, error: type[Exception]
    ) -> None:
        """Neither is a refusal of the customer's: it would take a step of every ghost and close texts to them."""
        assert type(twilio._translated(TwilioRestException(400, "/", "", code), None)) is error

    def test_a_rate_limit_is_no_failure(self, office: PostOffice) -> None:
        office.twilio.faults.add(Fault("rate_limit", times=1))
        with pytest.raises(TextLaterError):
            SENDER.send(TEXT)
        assert SENDER.send(TEXT)

    def test_a_days_texts_that_are_used_up_are_more_than_a_rate_limit(self) -> None:
        said = twilio._translated(TwilioRestException(429, "/", "exceeded the daily messages limit", 63038), None)
        assert isinstance(said, OutOfQuotaError)
        assert not isinstance(twilio._translated(TwilioRestException(429, "/", "", 20429), None), OutOfQuotaError)

    @pytest.mark.parametrize("code", [21606, 21659])
    @pytest.mark.parametrize(
        ("sender", "error"),
        [("72345", TextRefusedError), (ACME, TextKeyRefusedError), ("MG" + "b" * 32, TextKeyRefusedError)],
    )
    def test_a_short_code_that_does_not_reach_a_country_says_nothing_of_the_sender(
        self, monkeypatch: pytest.MonkeyPatch, code: int, sender: str, error: type[Exception]
    ) -> None:
        """Else one number abroad would pause everybody's texts."""

        def refuse(*_: object, **__: object) -> None:
            raise TwilioRestException(400, "/", "not a valid sender for this number", code)

        monkeypatch.setattr(MessageList, "create", refuse)
        with pytest.raises(error):
            SENDER.send(OutgoingText(sender, ADA, "x"))

    def test_no_connection_sent_nothing_and_a_broken_one_may_have(self) -> None:
        never = requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(HTTPConnection("x"), "refused")))  # type: ignore[arg-type]
        broken = requests.ConnectionError(ProtocolError("Connection aborted."))
        assert isinstance(twilio._unreached(never), TextLaterError)
        assert isinstance(twilio._unreached(requests.ConnectTimeout()), TextLaterError)
        assert isinstance(twilio._unreached(broken), TextUnknownError)
        assert isinstance(twilio._unreached(requests.ReadTimeout()), TextUnknownError)

    def test_nobody_there_is_later(self) -> None:
        with pytest.raises(TextLaterError):
            SENDER.send(TEXT)

    def test_a_check_sends_nothing(self, office: PostOffice) -> None:
        SENDER.check()
        assert office.calls == [f"GET /2010-04-01/Accounts/{ACCOUNT}.json"]
        assert office.outbox.count() == 0

    def test_the_token_is_in_no_repr(self) -> None:
        assert TOKEN not in repr(SENDER)


class TestCallbacks:
    def test_the_stand_in_signs_as_twilios_own_library(self, office: PostOffice) -> None:
        SENDER.send(TEXT)
        for posted in office.postman.take_deliveries():
            form = parse_qs(posted.body.decode(), keep_blank_values=True)
            signature = posted.headers["X-Twilio-Signature"]
            assert is_genuine(TOKEN, posted.url, form, signature)
            assert not is_genuine("other" + TOKEN, posted.url, form, signature)
            assert not is_genuine(TOKEN, posted.url + "&message=msg_2", form, signature)
            assert not is_genuine(TOKEN, posted.url, {**form, "To": ["+15005550011"]}, signature)

    @pytest.mark.parametrize("signature", ["", "ä", "x" * 4000])
    def test_an_odd_signature_is_no_signature(self, signature: str) -> None:
        assert not is_genuine(TOKEN, "https://a.example/", {}, signature)

    def test_an_empty_token_signs_nothing(self) -> None:
        signature = RequestValidator("").compute_signature("https://a.example/", {})
        assert not is_genuine("", "https://a.example/", {}, signature)
