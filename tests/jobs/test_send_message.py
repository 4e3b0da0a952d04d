"""Handing a message to the provider, over its own SDK and the outbox, when the worker dies at the dearest moment."""

from typing import Any

import pytest
import resend

from core import crash_points, db
from core.clock import ManualClock
from jobs import send_message
from models.merchant import Merchant
from models.messaging import Message, MessageState
from sandbox.outbox.routes import resend_of
from sandbox.outbox.store import outbox_of
from services.tasks.schemas import ClaimedTask
from tests.sandbox.visiting import InProcess
from tests.support.shop import Shop


class Death(BaseException):
    """The process is gone."""


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A merchant with one customer who is to be written to."""
    shop = Shop.open(clock, monkeypatch, paused=False)
    monkeypatch.setattr(resend, "api_key", "re_acme")
    monkeypatch.setattr(resend, "default_http_client", InProcess(resend_of(shop.world)))
    shop.subscriber(decline_code="expired_card")
    shop.pass_time(days=31, hours=2)
    return shop


def send(shop: Shop) -> dict[str, Any]:
    payload = {"ghost_id": shop.ghosts[0].id, "step": 1}
    return send_message.run(ClaimedTask(1, "send_message", shop.merchant, payload, 1, 5, 0, "", "t", shop.clock.now()))


def die_while_sending(shop: Shop, point: str) -> None:
    def die(name: str) -> None:
        if name == point:
            raise Death

    with crash_points.reached(die), pytest.raises(Death):
        send(shop)


def message(shop: Shop) -> Message:
    (found,) = shop.rows(Message)
    return found


def accepted(shop: Shop) -> int:
    return outbox_of(shop.world).count()


@pytest.mark.parametrize("point", ["message.intended", "message.handed_over"])
def test_a_repeat_after_a_death_sends_one_message(shop: Shop, point: str) -> None:
    die_while_sending(shop, point)
    assert send(shop)["sent"]
    assert (accepted(shop), message(shop).state) == (1, MessageState.SENT)


def test_another_reply_address_since_the_death_does_not_make_it_a_failure(shop: Shop) -> None:
    """The provider refuses to take the key for another message; the first one it has accepted, and that counts."""
    die_while_sending(shop, "message.handed_over")
    with db.tenant_session(shop.merchant) as session:
        merchant = session.get(Merchant, shop.merchant)
        assert merchant is not None
        merchant.reply_to = "help@northwind.example"
    assert send(shop)["sent"] is False
    assert (accepted(shop), message(shop).state) == (1, MessageState.UNCERTAIN)
    assert shop.ghosts[0].messages_sent == 1
    assert send(shop)["sent"] is False
    assert accepted(shop) == 1
