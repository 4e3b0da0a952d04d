"""A STOP that was stored and not yet acted on: no text goes out any more, and what follows from it still does."""

from core import db
from models.ghost import GhostEvent
from models.messaging import Message, Suppression
from services.messaging import suppression
from services.recovery.messages import texts
from tests.jobs.test_texts_at_work import ADA, Texting, agreed, texting

__all__ = ["agreed", "texting"]  # fixtures


def hear(texting: Texting) -> None:
    with db.tenant_session(texting.shop.merchant) as session:
        suppression.hear_stops(session, texting.shop.merchant, {ADA})


def reasons(texting: Texting) -> set[str]:
    return {row.reason for row in texting.shop.rows(Suppression) if row.channel == "sms"}


def handle(texting: Texting, word: str) -> str:
    return texts.handle(texting.shop.merchant, texts.REPLY, {"from": ADA, "asks": word})


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
