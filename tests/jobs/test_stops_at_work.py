"""A STOP that was stored and not yet acted on: no text goes out any more, and what follows from it still does."""

from datetime import timedelta

import orjson

from core import db
from jobs import handle_event
from models.ghost import GhostEvent
from models.messaging import Message, Suppression
from services.handshake import service
from services.handshake.schemas import SenderEvent
from services.messaging import suppression
from services.recovery.messages import replies, texts
from services.tasks.schemas import ClaimedTask
from tests.jobs.test_texts_at_work import ADA, Texting, agreed, texting

__all__ = ["agreed", "texting"]  # fixtures


def hear(texting: Texting) -> None:
    with db.tenant_session(texting.shop.merchant) as session:
        suppression.hear_stops(session, texting.shop.merchant, {ADA})


def reasons(texting: Texting) -> set[str]:
    return {row.reason for row in texting.shop.rows(Suppression) if row.channel == "sms"}


def handle(texting: Texting, word: str) -> str:
    return texts.handle(texting.shop.merchant, texts.REPLY, {"from": ADA, "asks": word}, texting.shop.clock.now())


def store(texting: Texting, name: str, word: str) -> None:
    """Keep a reply as intake does, and let a minute pass."""
    merchant, body = texting.shop.merchant, orjson.dumps({"data": {"from": ADA, "asks": word}})
    with db.system_session() as session:
        service.store_sender_events(session, [SenderEvent(service.TWILIO, name, texts.REPLY, merchant, body)])
    if word == replies.STOP:
        hear(texting)
    texting.shop.clock.advance(timedelta(minutes=1))


def work_on(texting: Texting, name: str) -> str:
    """Do a stored reply's task."""
    now = texting.shop.clock.now()
    payload = {"event_id": f"{service.TWILIO}:{name}"}
    done = handle_event.run(ClaimedTask(1, "handle_event", texting.shop.merchant, payload, 1, 5, 0, "", "t", now))
    return str(done["outcome"])


def test_a_text_that_is_due_before_the_stop_was_handled_does_not_go(agreed: Texting) -> None:
    hear(agreed)
    assert agreed.send()["sent"] is False
    assert agreed.accepted() == 0
    assert agreed.shop.rows(Message) == []


def test_handling_it_is_no_repetition_and_tells_every_ghost(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    hear(agreed)
    assert reasons(agreed) == {"stop_heard"}
    assert handle(agreed, "STOP") == "stopped"
    assert reasons(agreed) == {"stopped"}
    assert [event.name for event in agreed.shop.rows(GhostEvent)].count("unsubscribed") == 1
    hear(agreed)
    assert reasons(agreed) == {"stopped"}
    assert handle(agreed, "STOP") == "already_known"


def test_start_lifts_one_that_was_only_heard_too(agreed: Texting) -> None:
    hear(agreed)
    assert handle(agreed, "START") == "started"
    assert reasons(agreed) == set()


def test_a_start_from_before_a_stop_lifts_nothing_however_late_it_is_handled(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    store(agreed, "one", "START")
    store(agreed, "two", "STOP")
    assert work_on(agreed, "two") == "stopped"
    assert work_on(agreed, "one") == "already_known"
    assert reasons(agreed) == {"stopped"}
    assert agreed.shop.ghosts[0].next_action != "send_message"


def test_nor_does_it_lift_a_stop_that_was_said_once_more(agreed: Texting) -> None:
    assert handle(agreed, "STOP") == "stopped"
    agreed.shop.clock.advance(timedelta(days=1))
    store(agreed, "one", "START")
    store(agreed, "two", "STOP")
    assert work_on(agreed, "two") == "already_known"
    assert work_on(agreed, "one") == "already_known"
    assert reasons(agreed) == {"stopped"}


def test_nor_one_of_which_twilio_alone_tells_by_refusing_a_text(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    assert handle(agreed, "STOP") == "stopped"
    agreed.shop.clock.advance(timedelta(days=1))
    store(agreed, "one", "START")
    refused = {"message": agreed.message.id, "status": "undelivered", "sid": "SM1", "error": "21610"}
    texts.handle(agreed.shop.merchant, texts.STATUS, refused, agreed.shop.clock.now())
    assert work_on(agreed, "one") == "already_known"
    assert reasons(agreed) == {"stopped"}


def test_a_start_from_after_a_stop_lifts_it_however_late_that_was_handled(agreed: Texting) -> None:
    assert agreed.send()["sent"]
    store(agreed, "one", "STOP")
    store(agreed, "two", "START")
    assert work_on(agreed, "one") == "stopped"
    assert work_on(agreed, "two") == "started"
    assert reasons(agreed) == set()
