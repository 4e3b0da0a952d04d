"""A handler's turn: now, after a moment on the spot, or later by its task; a worker never waits for long."""

from datetime import timedelta

import pytest

from core.clock import ManualClock
from jobs import turns
from services.integrations.resend import ResendSender
from services.messaging.senders import pace
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import MailCarrier
from services.tasks.errors import Retry
from tests.support import environment


class Nap:
    """Waiting that takes no time but the clock's; a standing clock takes none either."""

    def __init__(self, clock: ManualClock, *, stands: bool = False) -> None:
        self.clock, self.stands, self.waits = clock, stands, list[float]()

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 4))
        if not self.stands:
            self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def nap(clock: ManualClock, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Nap:
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    nap = Nap(clock)
    monkeypatch.setattr(turns, "_nap", nap)
    return nap


def carrier(paused: str = "") -> MailCarrier:
    return MailCarrier(ResendSender("re_0123456789"), "key", own=True, paused=paused)


def test_who_is_nearly_next_waits_on_the_spot(nap: Nap) -> None:
    with environment.changed(RESEND_RATE="10"):
        for who in "ab":
            turns.await_turn(carrier(), "mer_1", who)
    assert nap.waits == [0.1]


def test_who_is_not_comes_back_at_that_moment(nap: Nap, clock: ManualClock) -> None:
    with environment.changed(RESEND_RATE="5"):
        turns.await_turn(carrier(), "mer_1", "a")
        with pytest.raises(Retry, match=turns.RATE) as asked:
            turns.await_turn(carrier(), "mer_1", "b")
    assert asked.value.at == clock.now() + timedelta(seconds=0.2)
    assert nap.waits == []


def test_a_clock_that_stands_keeps_no_worker(nap: Nap) -> None:
    nap.stands = True
    with environment.changed(RESEND_RATE="10"):
        turns.await_turn(carrier(), "mer_1", "a")
        with pytest.raises(Retry, match=turns.RATE):
            turns.await_turn(carrier(), "mer_1", "b")
    assert sum(nap.waits) <= 0.25


def test_a_paused_sender_and_none_at_all(nap: Nap) -> None:
    waits = []
    for put_off in (0, 1, 3, 4, 99):
        with pytest.raises(Retry, match=senders.PAUSED) as asked:
            turns.await_turn(carrier(paused="API key is invalid."), "mer_1", "a", put_off)
        assert asked.value.after is not None
        waits.append(asked.value.after.total_seconds() / 60)
    assert waits == [5, 10, 40, 60, 60]  # thousands of messages may wait for days until a person brings a key
    turns.await_turn(None, "mer_1", "a")
