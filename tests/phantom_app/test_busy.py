"""A button that was pressed can be pressed again, whatever it met: also what nobody foresaw."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from models.messaging import Channel
from phantom_app import runtime
from phantom_app.state import senders, sending
from phantom_app.state.senders import Senders
from phantom_app.state.sending import Sending


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
