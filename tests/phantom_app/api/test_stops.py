"""Replies of STOP through the webhook: in effect with the answer, once, whatever dies or comes twice."""

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from core import db
from core.config import settings
from jobs import runner
from phantom_app.api import gathering, senders
from services.messaging import reach, suppression
from tests.phantom_app.api.test_own_senders import ADA, PLATFORM, Post, post, stored, suppressed
from tests.support import environment
from tests.support.factories import make_merchant

__all__ = ["post"]  # a fixture


def reply(post: Post, word: str, sid: str = "SM1") -> Any:
    return post.twilio(post.text, MessageSid=sid, From=ADA, Body=word)


@dataclass(frozen=True)
class Texted:
    """A customer of whom a number is known and nothing else."""

    customer_phone: str | None
    customer_id: str | None = None
    customer_email: str | None = None
    customer_country: str = ""


def shut(merchant: str, number: str = ADA) -> bool:
    with db.tenant_session(merchant) as session:
        (found,) = reach.closed(session, merchant, [Texted(number)], sms=True)
    return found.no_sms == reach.WHY_SILENT["stopped"]


def test_it_is_in_effect_when_it_is_answered_and_its_task_does_the_rest(post: Post) -> None:
    assert reply(post, "Stop").status_code == 200
    assert (shut(post.ours), shut(post.other), suppressed(post.ours)) == (True, False, ["stop_heard"])
    assert runner.run_due() == 1
    assert (suppressed(post.ours), [row.outcome for row in stored()]) == (["stopped"], ["stopped"])


def test_one_to_the_platforms_number_is_in_effect_for_all_it_wrote_for(post: Post) -> None:
    third = make_merchant()
    for merchant in (post.ours, post.other):
        with db.tenant_session(merchant) as session:
            suppression.remember_texted(session, merchant, ADA)
    with environment.changed(**PLATFORM):
        url = f"{settings().public_url}/api/webhooks/twilio"
        form = {"MessageSid": "SM1", "From": ADA, "To": "+15005550006", "Body": "STOP"}
        assert post.twilio(url, PLATFORM["TWILIO_AUTH_TOKEN"], **form).status_code == 200
    assert [shut(each) for each in (post.ours, post.other, third)] == [True, True, False]
    assert len(stored()) == 2


def test_a_repetition_after_start_shuts_nothing_again(post: Post) -> None:
    reply(post, "STOP")
    runner.run_due()
    reply(post, "START", "SM2")
    runner.run_due()
    assert suppressed(post.ours) == []
    assert reply(post, "STOP").status_code == 200  # the same one, delivered late
    assert suppressed(post.ours) == []


def test_a_death_between_storing_and_shutting_is_made_up_for_by_the_repetition(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, tries = suppression.hear_stops, []

    def cut(*given: Any) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise OperationalError("", {}, psycopg.OperationalError("gone"))
        genuine(*given)

    monkeypatch.setattr(gathering, "PAUSES", (0.0,))
    monkeypatch.setattr(suppression, "hear_stops", cut)
    assert reply(post, "STOP").status_code == 200
    assert (len(tries), suppressed(post.ours), len(stored())) == (2, ["stop_heard"], 1)


def test_the_same_twice_in_one_batch_is_new_once(post: Post) -> None:
    told = senders._reply_told("SM1", {"From": [ADA], "Body": ["STOP"]}, post.ours)
    assert told is not None
    assert senders._store([told, told]) == [True, False]
    assert senders._store([told]) == [False]
    assert len(stored()) == 1


def test_any_other_word_shuts_nothing(post: Post) -> None:
    reply(post, "START")
    reply(post, "thanks", "SM2")
    assert suppressed(post.ours) == []
