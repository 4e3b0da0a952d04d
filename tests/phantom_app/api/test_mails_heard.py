"""A mail's whole way: sent with a merchant's own key, and what the provider tells of it heard at the webhook."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from core import db
from core.clock import ManualClock
from core.config import settings
from jobs.runner import run_due
from models.messaging import Message, MessageState, Suppression
from phantom_app.api import senders
from phantom_app.api.app import create_api
from services.messaging.senders import pace, service
from services.messaging.senders.given import OwnMail
from tests.phantom_app.api.test_own_senders import SECRET
from tests.support.mailing import die_while_sending, send
from tests.support.post_office import PostOffice
from tests.support.shop import Shop

Hear = Callable[[], list[str]]


@pytest.fixture
def shop(database: object, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A merchant who has said go, with a customer who owes."""
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    shop = Shop.open(clock, monkeypatch, paused=False)
    shop.subscriber(decline_code="expired_card", email="ada@example.com")
    shop.pass_time(days=31, hours=2)
    return shop


@pytest.fixture
def office(shop: Shop) -> Iterator[PostOffice]:
    with PostOffice.of(shop.world) as office:
        own = OwnMail.read("re_northwind_0123456789", "billing@northwind.example", SECRET)
        with db.tenant_session(shop.merchant) as session:
            url = service.set_mail(session, shop.merchant, own, "usr_1").webhook_url
        office.outbox.set("webhook", {"url": url, "secret": SECRET})
        yield office


@pytest.fixture
def hear(office: PostOffice) -> Iterator[Hear]:
    """Post what the provider has to tell, and do the tasks that follow; what was answered."""
    senders.keys.forget()
    with TestClient(create_api()) as client:

        def post() -> list[str]:
            told = office.postman.take_deliveries()
            paths = [each.url.removeprefix(settings().public_url) for each in told]
            answers = [
                client.post(path, content=each.body, headers=each.headers).text
                for path, each in zip(paths, told, strict=True)
            ]
            run_due(kinds=["handle_event"])
            return answers

        yield post
    senders.keys.forget()


@pytest.mark.parametrize(
    ("outcome", "state", "heard", "closed"),
    [
        ("delivered", MessageState.DELIVERED, 2, []),
        ("bounced", MessageState.BOUNCED, 2, ["bounced"]),
        ("complained", MessageState.COMPLAINED, 3, ["complained", "complained"]),  # the address, and the person
    ],
)
def test_what_becomes_of_a_mail_is_heard_of_that_very_mail(
    shop: Shop, office: PostOffice, hear: Hear, outcome: str, state: MessageState, heard: int, closed: list[str]
) -> None:
    office.outbox.set("outcomes", {"ada@example.com": outcome})
    assert send(shop)["sent"] is True
    assert hear() == ["stored"] * heard
    assert [message.state for message in shop.rows(Message)] == [state]
    assert [row.reason for row in shop.rows(Suppression)] == closed


def test_a_mail_nobody_knows_the_fate_of_is_settled_by_it(shop: Shop, hear: Hear) -> None:
    die_while_sending(shop, "message.handed_over")
    assert [message.state for message in shop.rows(Message)] == [MessageState.SENDING]
    assert hear() == ["stored", "stored"]
    assert [message.state for message in shop.rows(Message)] == [MessageState.DELIVERED]
    assert shop.ghosts[0].messages_sent == 1
