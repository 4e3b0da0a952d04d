"""Handing a message to the provider, over its own SDK and the outbox, when the worker dies at the dearest moment."""

import pytest

from core import db
from core.clock import ManualClock
from models.merchant import Merchant
from models.messaging import Message, MessageState
from tests.support.mailing import die_while_sending, mailing_shop, mails, send
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A merchant with one customer who is to be written to."""
    shop = mailing_shop(clock, monkeypatch)
    shop.subscriber(decline_code="expired_card")
    shop.pass_time(days=31, hours=2)
    return shop


def message(shop: Shop) -> Message:
    (found,) = shop.rows(Message)
    return found


@pytest.mark.parametrize("point", ["message.intended", "message.handed_over"])
def test_a_repeat_after_a_death_sends_one_message(shop: Shop, point: str) -> None:
    die_while_sending(shop, point)
    assert send(shop)["sent"]
    assert (mails(shop), message(shop).state) == (1, MessageState.SENT)


def test_another_reply_address_since_the_death_does_not_make_it_a_failure(shop: Shop) -> None:
    """The provider refuses to take the key for another message; the first one it has accepted, and that counts."""
    die_while_sending(shop, "message.handed_over")
    with db.tenant_session(shop.merchant) as session:
        merchant = session.get(Merchant, shop.merchant)
        assert merchant is not None
        merchant.reply_to = "help@northwind.example"
    assert send(shop)["sent"] is False
    assert (mails(shop), message(shop).state) == (1, MessageState.UNCERTAIN)
    assert shop.ghosts[0].messages_sent == 1
    assert send(shop)["sent"] is False
    assert mails(shop) == 1
