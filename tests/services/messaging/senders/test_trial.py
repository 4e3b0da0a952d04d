"""Tests of senders are few: with PHANTOM's number a handful a day, for each merchant and for all; a STOP is heard."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

import pytest

from core import allowance, db
from core import clock as core_clock
from core.clock import ManualClock
from models.messaging import Channel
from services.identity import people
from services.messaging import suppression
from services.messaging.senders import trial
from services.messaging.senders.schemas import OutgoingMessage
from services.messaging.senders.trial import (
    AskedToStopError,
    NotConfirmedError,
    TooManyTestsError,
    TooManyTestTextsError,
)
from tests.support.factories import make_merchant

NUMBER = "+12025550143"


@dataclass
class Carrier:
    """A sender that only says whose it is."""

    own: bool = False
    name: str = "twilio"
    key_print: str = "print"
    rate: float = 5.0
    paused: str = ""
    repeats_safely: bool = False

    def send(self, message: OutgoingMessage, *, idempotency_key: str) -> str:
        raise AssertionError((message, idempotency_key))


@pytest.fixture
def merchant(database: object, redis_url: str, clock: ManualClock) -> str:
    return make_merchant()


def text(merchant: str, number: str = NUMBER, *, own: bool = False) -> None:
    """Somebody asks for a test text."""
    with db.tenant_session(merchant) as session:
        trial.admit(session, merchant, Channel.SMS, Carrier(own), number)


def texts_in_a_day(merchant: str, clock: ManualClock, *, own: bool = False) -> int:
    """To another stranger every five minutes."""
    sent = 0
    for minute in range(0, 24 * 60, 5):
        try:
            text(merchant, f"+1202555{minute:04}", own=own)
            sent += 1
        except TooManyTestsError:
            pass
        clock.advance(timedelta(minutes=5))
    return sent


def test_with_phantoms_number_a_merchant_has_a_few_a_day(merchant: str, clock: ManualClock) -> None:
    assert texts_in_a_day(merchant, clock) == trial.TEXTS_A_DAY
    assert texts_in_a_day(merchant, clock) == trial.TEXTS_A_DAY
    text(make_merchant())  # nobody else's are used up


def test_the_bound_is_one_for_all_processes(merchant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(trial.TEXTS_A_DAY):
        monkeypatch.setattr(allowance, "_alone", allowance._Alone())
        text(merchant)
    monkeypatch.setattr(allowance, "_alone", allowance._Alone())
    with pytest.raises(TooManyTestTextsError, match="try again tomorrow, or set up a sender of your own"):
        text(merchant)


def test_all_merchants_together_have_a_bound_that_one_alone_does_not_use_up(
    merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TEXTS_OF_ALL_A_DAY", trial.TEXTS_A_DAY + 2)
    for _ in range(5):
        with db.tenant_session(merchant) as session, contextlib.suppress(TooManyTestTextsError):
            for _ in range(trial.TEXTS_A_DAY):
                trial.admit_text(session, merchant, Carrier(), NUMBER)
    for _ in range(2):
        text(make_merchant())
    with pytest.raises(TooManyTestTextsError):
        text(make_merchant())


def test_with_an_own_number_there_is_room_to_try(merchant: str, clock: ManualClock) -> None:
    assert 200 < texts_in_a_day(merchant, clock, own=True) <= 24 * trial.AN_HOUR + trial.AT_ONCE


@pytest.mark.parametrize("verified", [True, False])
def test_a_test_of_phantoms_sender_of_mail_goes_to_a_confirmed_address_only(merchant: str, verified: bool) -> None:
    with db.tenant_session(merchant) as session:
        people.provision_owner(session, merchant, email="ada@example.com", verified=verified)
    with db.tenant_session(merchant) as session:
        trial.admit(session, merchant, Channel.EMAIL, Carrier(own=True), "ada@example.com")
        if verified:
            trial.admit(session, merchant, Channel.EMAIL, Carrier(), "ada@example.com")
        else:
            with pytest.raises(NotConfirmedError, match="not confirmed yet"):
                trial.admit(session, merchant, Channel.EMAIL, Carrier(), "ada@example.com")


def test_mail_to_oneself_takes_no_texts(merchant: str) -> None:
    with db.tenant_session(merchant) as session:
        for _ in range(trial.AT_ONCE):
            trial.admit(session, merchant, Channel.EMAIL, Carrier(own=True), "ada@example.com")
        trial.admit_text(session, merchant, Carrier(), NUMBER)


@pytest.mark.parametrize(("own", "concerned"), [(False, True), (True, False)])
def test_a_stop_to_the_platforms_number_finds_the_merchant_and_ends_tests_too(
    merchant: str, own: bool, concerned: bool
) -> None:
    text(merchant, own=own)
    with db.system_session() as session:
        assert suppression.texted_merchants(session, [NUMBER]) == {NUMBER: [merchant] if concerned else []}
    now = core_clock.now()
    with db.tenant_session(merchant) as session:
        suppression.hear_stops(session, merchant, [NUMBER])
    with pytest.raises(AskedToStopError):
        text(merchant, own=own)
    with db.tenant_session(merchant) as session:
        suppression.stop(session, merchant, NUMBER, suppression.STOPPED, now)
    with pytest.raises(AskedToStopError):
        text(merchant, own=own)
    with db.tenant_session(merchant) as session:
        suppression.lift(session, merchant, Channel.SMS, NUMBER, suppression.STOPPED, now + timedelta(seconds=1))
    text(merchant, own=own)


def test_who_is_refused_is_not_written_down_as_somebody_we_wrote_to(merchant: str) -> None:
    for _ in range(trial.TEXTS_A_DAY):
        text(merchant)
    with pytest.raises(TooManyTestTextsError):
        text(merchant, "+12025550199")
    with db.system_session() as session:
        assert suppression.texted_merchants(session, ["+12025550199"]) == {"+12025550199": []}
