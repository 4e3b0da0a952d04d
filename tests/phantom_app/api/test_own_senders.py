"""Webhooks of merchants' own senders, and Twilio's: each signed by its own secret, stored once, and about its own."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from core import db
from core.clock import ManualClock
from core.config import settings
from jobs import runner
from models.messaging import Channel, Suppression
from models.work import ProcessedEvent
from phantom_app.api import gathering, senders
from phantom_app.api.app import create_api
from sandbox.outbox.signing import svix_headers, twilio_signature
from services.messaging import links, suppression
from services.messaging.senders import service
from services.messaging.senders.given import OwnMail, OwnText
from tests.support import environment
from tests.support.factories import make_merchant

ACCOUNT, TOKEN = "AC" + "a" * 32, "0123456789abcdef" * 2
PLATFORM = {
    "TWILIO_ACCOUNT_SID": "AC" + "c" * 32,
    "TWILIO_AUTH_TOKEN": "fedcba9876543210" * 2,
    "TWILIO_FROM": "+15005550006",
}
SECRET, OTHER_SECRET = "whsec_bm9ydGh3aW5kLXdlYmhvb2stc2VjcmV0", "whsec_c29tZWJvZHktZWxzZXMtd2ViaG9vay1rZXk="
ADA = "+15005550010"


class Post:
    """Two merchants with senders of their own, and a client that posts as the providers do."""

    def __init__(self, client: TestClient, clock: ManualClock) -> None:
        self.client, self.clock = client, clock
        self.ours, self.other = make_merchant(), make_merchant()
        self.mail = {
            each: self._set(each, secret) for each, secret in ((self.ours, SECRET), (self.other, OTHER_SECRET))
        }
        with db.tenant_session(self.ours) as session:
            own = OwnText.read(ACCOUNT, TOKEN, "+12025550143")
            self.text = service.set_text(session, self.ours, own, "usr_1").webhook_url

    def _set(self, merchant: str, secret: str) -> str:
        with db.tenant_session(merchant) as session:
            own = OwnMail.read(f"re_{merchant.replace('_', '')}", "billing@northwind.example", secret)
            return service.set_mail(session, merchant, own, "usr_1").webhook_url

    def resend(self, url: str, secret: str, merchant: str, *, at: float = 0, identifier: str = "msg_a") -> Any:
        tags = {"phantom_message": "msg_1", "phantom_merchant": merchant}
        body = json.dumps({"type": "email.delivered", "data": {"email_id": "re_1", "tags": tags}}).encode()
        moment = int(self.clock.now().timestamp() + at)
        return self.client.post(_path(url), content=body, headers=svix_headers(secret, identifier, moment, body))

    def twilio(self, url: str, token: str = TOKEN, **form: str) -> Any:
        return self.client.post(
            _path(url),
            content=urlencode(form),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "x-twilio-signature": twilio_signature(token, url, form),
            },
        )


def _path(url: str) -> str:
    return url.removeprefix(settings().public_url)


@pytest.fixture
def post(database: object, redis_url: str, clock: ManualClock) -> Iterator[Post]:
    senders.keys.forget()
    with TestClient(create_api()) as client:
        yield Post(client, clock)
    senders.keys.forget()


def stored() -> list[ProcessedEvent]:
    with db.system_session() as session:
        return list(session.exec(select(ProcessedEvent).order_by(ProcessedEvent.id)).all())


def suppressed(merchant: str) -> list[str]:
    with db.tenant_session(merchant) as session:
        return [row.reason for row in session.exec(select(Suppression)).all()]


class TestOwnResend:
    def test_signed_with_the_merchants_own_secret_it_is_stored_once(self, post: Post) -> None:
        answers = [post.resend(post.mail[post.ours], SECRET, post.ours).text for _ in range(3)]
        assert answers == ["stored", "ignored", "ignored"]
        (row,) = stored()
        assert (row.id, row.merchant_id) == (f"resend:{post.ours}:msg_a", post.ours)
        assert runner.run_due() == 1
        assert stored()[0].outcome == "unknown_message"

    def test_a_wrong_secret_is_400_and_so_is_the_platforms(self, post: Post) -> None:
        for secret in (OTHER_SECRET, settings().resend_webhook_secrets()[0]):
            assert post.resend(post.mail[post.ours], secret, post.ours).status_code == 400
        assert post.resend("/api/webhooks/resend", SECRET, post.ours).status_code == 400
        assert stored() == []

    def test_stale_and_future_timestamps_are_refused(self, post: Post) -> None:
        for seconds in (-301, 301, -86_400 * 30):
            assert post.resend(post.mail[post.ours], SECRET, post.ours, at=seconds).status_code == 400
        assert stored() == []

    def test_it_speaks_of_its_own_merchant_alone(self, post: Post) -> None:
        assert post.resend(post.mail[post.ours], SECRET, post.other).text == "ignored"
        assert stored() == []

    def test_ids_chosen_by_one_merchant_use_up_nobody_elses(self, post: Post) -> None:
        assert post.resend(post.mail[post.other], OTHER_SECRET, post.other, identifier="msg_z").text == "stored"
        assert post.resend(post.mail[post.ours], SECRET, post.ours, identifier="msg_z").text == "stored"

    @pytest.mark.parametrize("token", ["x", "A" * 24, "%00", "x" * 2000])
    def test_an_unknown_address_is_404_in_the_same_words_as_one_without_a_secret(self, post: Post, token: str) -> None:
        bare = make_merchant()
        with db.tenant_session(bare) as session:
            own = OwnMail.read("re_bare_0123456789", "billing@bare.example")
            silent = service.set_mail(session, bare, own, "usr_1").webhook_url
        answers = [post.resend(f"/api/webhooks/resend/{token}", SECRET, post.ours), post.resend(silent, SECRET, bare)]
        assert [answer.status_code for answer in answers] == [404, 404]
        said = [{**answer.json(), "request_id": ""} for answer in answers]
        assert said[0] == said[1]

    def test_a_removed_sender_takes_nothing_any_more(self, post: Post) -> None:
        with db.tenant_session(post.ours) as session:
            service.remove(session, post.ours, Channel.EMAIL, "usr_1")
        senders.keys.forget()
        assert post.resend(post.mail[post.ours], SECRET, post.ours).status_code == 404


class TestTwilio:
    def test_a_status_names_its_message_in_the_signed_address(self, post: Post) -> None:
        url = f"{post.text}?message=msg_1"
        answers = [post.twilio(url, MessageSid="SM1", MessageStatus="delivered") for _ in range(2)]
        assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [
            (200, "text/xml; charset=utf-8")
        ] * 2
        (row,) = stored()
        assert (row.id, row.source, row.type) == (f"twilio:{post.ours}:SM1:delivered", "twilio", "sms.status")
        assert runner.run_due() == 1
        assert stored()[0].outcome == "unknown_message"

    def test_forged_altered_and_foreign_are_refused(self, post: Post) -> None:
        url = f"{post.text}?message=msg_1"
        assert post.twilio(url, "wrong" * 8, MessageSid="SM1", MessageStatus="sent").status_code == 400
        form = {"MessageSid": "SM1", "MessageStatus": "sent"}
        signature = {"x-twilio-signature": twilio_signature(TOKEN, url, form)}
        altered = post.client.post(_path(post.text) + "?message=msg_2", data=form, headers=signature)
        assert altered.status_code == 400
        assert post.client.post(_path(url), data=form).status_code == 400
        assert stored() == []

    def test_the_platforms_number_names_the_merchant_too(self, post: Post) -> None:
        with environment.changed(**PLATFORM):
            url = f"{settings().public_url}/api/webhooks/twilio?merchant={post.other}&message=msg_1"
            answer = post.twilio(url, PLATFORM["TWILIO_AUTH_TOKEN"], MessageSid="SM1", MessageStatus="failed")
            assert answer.status_code == 200
        assert [(row.merchant_id, row.type) for row in stored()] == [(post.other, "sms.status")]

    def test_without_a_token_the_platform_has_no_endpoint(self, post: Post) -> None:
        assert post.client.post("/api/webhooks/twilio", data={"MessageSid": "SM1"}).status_code == 404

    @pytest.mark.parametrize("status", ["queued", "accepted", "sending", "odd"])
    def test_what_says_nothing_new_is_acknowledged(self, post: Post, status: str) -> None:
        assert post.twilio(f"{post.text}?message=msg_1", MessageSid="SM1", MessageStatus=status).status_code == 200
        assert stored() == []

    @pytest.mark.parametrize("word", ["STOP", "stop", " Stop. ", "STOPALL", "unsubscribe", "Cancel", "END", "quit!"])
    def test_stop_suppresses_for_this_merchant_and_start_lifts_it(self, post: Post, word: str) -> None:
        assert post.twilio(post.text, MessageSid="SM1", From=ADA, To="+12025550143", Body=word).status_code == 200
        assert runner.run_due() == 1
        assert (suppressed(post.ours), suppressed(post.other)) == (["stopped"], [])
        post.twilio(post.text, MessageSid="SM2", From=ADA, To="+12025550143", Body="Start")
        assert runner.run_due() == 1
        assert suppressed(post.ours) == []

    def test_start_lifts_nothing_but_a_stop(self, post: Post) -> None:
        with db.tenant_session(post.ours) as session:
            links.suppress(session, post.ours, Channel.SMS, ADA, "unsubscribed")
        post.twilio(post.text, MessageSid="SM2", From=ADA, To="+12025550143", Body="START")
        runner.run_due()
        assert suppressed(post.ours) == ["unsubscribed"]

    @pytest.mark.parametrize("body", ["", "please stop calling me", "STOPPED", "yes I paid", "endless", "\x00"])
    def test_any_other_reply_is_acknowledged_and_nothing(self, post: Post, body: str) -> None:
        assert post.twilio(post.text, MessageSid="SM1", From=ADA, Body=body).status_code == 200
        assert stored() == []

    def test_a_word_of_the_merchants_own_is_named_by_twilio(self, post: Post) -> None:
        post.twilio(post.text, MessageSid="SM1", From=ADA, Body="basta", OptOutType="STOP")
        runner.run_due()
        assert suppressed(post.ours) == ["stopped"]

    def test_a_stop_to_the_platforms_number_concerns_all_it_wrote_for(self, post: Post) -> None:
        third = make_merchant()
        for merchant in (post.ours, post.other):
            with db.tenant_session(merchant) as session:
                suppression.remember_texted(session, merchant, ADA)
        with environment.changed(**PLATFORM):
            url = f"{settings().public_url}/api/webhooks/twilio"
            form = {"MessageSid": "SM1", "From": ADA, "To": "+15005550006", "Body": "STOP"}
            assert post.twilio(url, PLATFORM["TWILIO_AUTH_TOKEN"], **form).status_code == 200
        assert runner.run_due() == 2
        assert [suppressed(each) for each in (post.ours, post.other, third)] == [["stopped"], ["stopped"], []]

    @pytest.mark.parametrize("form", [{}, {"MessageSid": "SM 1"}, {"MessageSid": "S" * 65}])
    def test_rubbish_is_400_even_when_signed(self, post: Post, form: dict[str, str]) -> None:
        assert post.twilio(post.text, **form).status_code == 400

    def test_too_large_is_413(self, post: Post) -> None:
        assert post.client.post(_path(post.text), content=b"a=" + b"x" * senders.LONGEST_FORM).status_code == 413


class TestManyAtOnce:
    async def _all(self, post: Post, numbers: list[str]) -> list[int]:
        app = create_api()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:

            async def stop(number: str) -> int:
                form = {"MessageSid": f"SM{number[1:]}", "From": number, "Body": "STOP"}
                headers = {
                    "content-type": "application/x-www-form-urlencoded",
                    "x-twilio-signature": twilio_signature(TOKEN, post.text, form),
                }
                answer = await client.post(_path(post.text), content=urlencode(form), headers=headers)
                return answer.status_code

            return await asyncio.gather(*(stop(number) for number in numbers))

    def test_a_thousand_replies_of_stop_are_all_stored_in_a_few_commits(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commits = []
        genuine = senders.gathering._commit
        monkeypatch.setattr(senders.gathering, "_commit", lambda items: commits.append(len(items)) or genuine(items))
        areas = (202, 212, 213, 214, 215, 216, 217, 218, 219, 224)
        numbers = [f"+1{area}55501{number:02}" for area in areas for number in range(100)]
        assert asyncio.run(self._all(post, numbers)) == [200] * 1000
        assert len(stored()) == 1000
        assert len(commits) < 60

    def test_a_database_away_for_a_moment_loses_none(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "PAUSES", (0.0, 0.0))
        genuine, tries = senders.gathering._commit, []

        def away(items: Any) -> list[bool]:
            tries.append(len(items))
            if len(tries) < 3:
                raise OperationalError("", {}, psycopg.OperationalError("gone"))
            return genuine(items)

        monkeypatch.setattr(senders.gathering, "_commit", away)
        assert asyncio.run(self._all(post, [ADA])) == [200]
        assert len(stored()) == 1

    def test_away_for_good_is_said_with_503(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "PAUSES", (0.0,))

        def away(_items: Any) -> list[bool]:
            raise OperationalError("", {}, psycopg.OperationalError("gone"))

        monkeypatch.setattr(senders.gathering, "_commit", away)
        assert asyncio.run(self._all(post, [ADA, "+15005550011"])) == [503, 503]


def test_a_merchants_paused_sender_still_hears(post: Post, clock: ManualClock) -> None:
    with db.tenant_session(post.ours) as session:
        carrier = service.sender_for(session, post.ours, Channel.EMAIL)
        assert carrier is not None
        service.pause(session, post.ours, Channel.EMAIL, carrier, "API key is invalid.")
    clock.advance(timedelta(minutes=1))
    assert post.resend(post.mail[post.ours], SECRET, post.ours).text == "stored"
