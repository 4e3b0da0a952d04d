"""A button that was pressed can be pressed again, whatever it met: also what nobody foresaw."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import PhantomError
from models.messaging import Channel
from phantom_app import runtime
from phantom_app.state import messages, senders, sending
from phantom_app.state.messages import Messages
from phantom_app.state.senders import Senders
from phantom_app.state.sending import Sending
from services.messaging.senders.trial import AskedToStopError, NotConfirmedError, TooManyTestTextsError
from services.messaging.trials import TooManyTrialsError


class UnforeseenError(Exception):
    """What no handler expects."""


class Tab(SimpleNamespace):
    """A tab's state in the background: locked while it is written."""

    async def __aenter__(self) -> "Tab":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


async def fail(*_: object) -> None:
    raise UnforeseenError


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sending, senders):
        monkeypatch.setattr(module, "principal", lambda: SimpleNamespace(user_id="usr_1", email="a@b.example"))


@pytest.mark.parametrize("name", ["start", "stop"])
async def test_the_switch(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sending, "change_as_tenant", fail)
    tab: Any = Tab(busy=False)
    tab._rest = lambda: Sending._rest(tab)
    handler = runtime.declared_handlers()[runtime.handler_name(getattr(Sending, name))]
    with pytest.raises(UnforeseenError):
        await handler.fn(tab)
    assert not tab.busy


@pytest.fixture
def tab() -> Any:
    made: Any = Tab(busy="", _say=lambda *_: None)
    made._rest = lambda: Senders._rest(made)
    return made


async def test_a_sender_that_is_set(tab: Any) -> None:
    def read() -> None:
        assert tab.busy == "email"
        raise UnforeseenError

    with pytest.raises(UnforeseenError):
        await Senders._save(tab, Channel.EMAIL, read, None)
    assert tab.busy == ""


async def test_a_sender_that_is_tried(monkeypatch: pytest.MonkeyPatch, tab: Any) -> None:
    monkeypatch.setattr(senders, "as_tenant", fail)
    with pytest.raises(UnforeseenError):
        await asyncio.wait_for(Senders._test(tab, Channel.EMAIL, "a@b.example"), timeout=10)
    assert tab.busy == ""


@pytest.mark.parametrize("refused", [TooManyTrialsError, TooManyTestTextsError, AskedToStopError, NotConfirmedError])
async def test_a_test_message_that_may_not_be_sent_says_why(
    monkeypatch: pytest.MonkeyPatch, refused: type[PhantomError]
) -> None:
    async def refuse(*_: object) -> str:
        raise refused

    async def look() -> bool:
        return True

    monkeypatch.setattr(messages, "tried", refuse)
    tab: Any = Tab(busy=False, note="", _look=look, _target=lambda: None, _source=lambda: None)
    await Messages._send_test(tab, "+12025550143")
    assert (tab.busy, tab.note) == (False, f"{refused.title}.")


async def test_nor_may_a_test_of_a_sender(monkeypatch: pytest.MonkeyPatch, tab: Any) -> None:
    async def refuse(*_: object) -> None:
        raise TooManyTestTextsError

    async def settle(_channel: Channel, *, wrong: str) -> None:
        tab.wrong = wrong

    monkeypatch.setattr(senders, "as_tenant", refuse)
    tab._settle = settle
    await Senders._test(tab, Channel.SMS, "+12025550143")
    assert tab.busy == ""
    assert tab.wrong == f"The test was not sent. {TooManyTestTextsError.title}"
