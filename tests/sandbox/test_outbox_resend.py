"""Resend's protocol, spoken by the real SDK."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import resend
from resend.exceptions import ResendError

from core import clock
from sandbox.outbox.resend import ResendApi
from sandbox.outbox.routes import resend_of
from sandbox.outbox.store import Outbox, outbox_of
from sandbox.stripe.api import Request, Response
from sandbox.stripe.faults import Fault
from tests.sandbox.conftest import Play
from tests.support.mailing import InProcess

MAIL: dict[str, Any] = {
    "from": "Acme <billing@acme.test>",
    "to": ["ada@example.com"],
    "subject": "Your payment failed",
    "html": "<p>Hello</p>",
    "text": "Hello",
    "reply_to": "help@acme.test",
    "headers": {"X-Entity-Ref-ID": "1"},
    "tags": [{"name": "message_id", "value": "m_1-a"}],
}
LONG = "x" * 257


@pytest.fixture
def api(play: Play) -> ResendApi:
    return resend_of(play.world)


@pytest.fixture
def outbox(play: Play) -> Outbox:
    return outbox_of(play.world)


@pytest.fixture(autouse=True)
def sdk(api: ResendApi, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.setattr(resend, "api_url", "http://sandbox")
    return InProcess.instead(api, monkeypatch)


def send(key: str | None = None, **changes: Any) -> str:
    options: Any = {"idempotency_key": key} if key else {}
    mail = {name: value for name, value in (MAIL | changes).items() if value is not None}
    return str(resend.Emails.send(mail, options)["id"])


def raw(api: ResendApi, body: bytes, **headers: str) -> Response:
    names = {"authorization": "Bearer re_acme"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.handle(Request("POST", "/emails", "", names, body))


class TestSending:
    def test_a_mail_is_kept_as_it_was_sent(self, outbox: Outbox) -> None:
        identifier = send()
        kept = outbox.get(identifier)
        assert kept is not None
        assert (kept.sender, kept.to, kept.subject) == (MAIL["from"], MAIL["to"], MAIL["subject"])
        assert kept.tags == {"message_id": "m_1-a"}
        assert kept.body["headers"] == {"X-Entity-Ref-ID": "1"}
        assert kept.body["reply_to"] == ["help@acme.test"]
        assert kept.status == "delivered"

    def test_the_sender_can_read_it_and_nobody_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        identifier = send(cc="carl@example.com")
        found = resend.Emails.get(identifier)
        assert found["subject"] == MAIL["subject"]
        assert found["last_event"] == "delivered"
        assert found["cc"] == ["carl@example.com"]
        monkeypatch.setattr(resend, "api_key", "re_other")
        with pytest.raises(ResendError, match="Email not found"):
            resend.Emails.get(identifier)

    def test_lists_go_from_the_newest_in_pages(self) -> None:
        made = [send(subject=str(number)) for number in range(3)]
        first = resend.Emails.list({"limit": 2})
        assert [row["id"] for row in first["data"]] == [made[2], made[1]]
        assert first["has_more"] is True
        rest = resend.Emails.list({"limit": 2, "after": made[1]})
        assert [row["id"] for row in rest["data"]] == [made[0]]
        assert rest["has_more"] is False

    @pytest.mark.parametrize(
        "address",
        [
            "o'neil+tag@example.com",
            '"a b"@example.com',
            "ada@localhost.test",
            "Ada, of London <ada@example.com>",
            "ünal@example.com",
            "ada@sub.bücher.example",
        ],
    )
    def test_odd_but_legal_addresses_are_fine(self, outbox: Outbox, address: str) -> None:
        identifier = send(to=address)
        assert [message.id for message in outbox.messages(to=address)] == [identifier]

    def test_messages_are_found_by_recipient_and_time(self, play: Play, outbox: Outbox) -> None:
        first = send(to="Ada <ADA@Example.com>")
        play.pass_time(days=1)
        moment = play.world.now()
        second = send(bcc="ada@example.com", to="bob@example.com")
        assert [one.id for one in outbox.messages(to="ada@example.com")] == [second, first]
        assert [one.id for one in outbox.messages(to="ada@example.com", since=moment)] == [second]
        assert outbox.messages(to="nobody@example.com") == []
        assert [one.id for one in outbox.messages(before=second)] == [first]

    def test_five_hundred_a_second(self, api: ResendApi) -> None:
        body = orjson.dumps(MAIL)
        started = time.process_time()  # others may use the machine meanwhile
        for number in range(250):
            assert raw(api, body, idempotency_key=str(number)).status == 200
        assert time.process_time() - started < 0.5


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "name", "words"),
        [
            ({"from": None}, "missing_required_field", "`from`"),
            ({"to": None}, "missing_required_field", "`to`"),
            ({"to": []}, "missing_required_field", "`to`"),
            ({"subject": None}, "missing_required_field", "`subject`"),
            ({"subject": ""}, "missing_required_field", "`subject`"),
            ({"html": None, "text": None}, "missing_required_field", "`html` or `text`"),
            ({"from": "acme"}, "validation_error", "Invalid `from` field"),
            ({"from": "Acme <billing@acme.test"}, "validation_error", "Invalid `from` field"),
            ({"from": 7}, "validation_error", "Invalid `from` field"),
            ({"to": "ada@"}, "validation_error", "Invalid `to` field"),
            ({"to": ["ada@example.com", "bob"]}, "validation_error", "Invalid `to` field"),
            ({"to": "ada@example.com\r\nBcc: eve@example.com"}, "validation_error", "Invalid `to` field"),
            ({"to": {"ada": 1}}, "validation_error", "Invalid `to` field"),
            ({"to": [f"a{n}@example.com" for n in range(51)]}, "validation_error", "at most 50"),
            ({"cc": "nobody"}, "validation_error", "Invalid `cc` field"),
            ({"reply_to": "nobody"}, "validation_error", "Invalid `reply_to` field"),
            ({"html": 7}, "validation_error", "`html` field must be a string"),
            ({"tags": [{"name": "a b", "value": "c"}]}, "validation_error", "Tags should only contain"),
            ({"tags": [{"name": "a", "value": "ä"}]}, "validation_error", "Tags should only contain"),
            ({"tags": [{"name": "a", "value": "in_1:x"}]}, "validation_error", "Tags should only contain"),
            ({"tags": [{"name": "a", "value": LONG}]}, "validation_error", "Tags should only contain"),
            ({"tags": [{"name": "a"}]}, "validation_error", "Tags should only contain"),
            ({"tags": {"a": "b"}}, "validation_error", "`tags` field must be an array"),
            ({"headers": {"X-A": "b\r\nX-C: d"}}, "validation_error", "`headers` field"),
        ],
    )
    def test_a_bad_mail_is_422(self, outbox: Outbox, changes: dict[str, Any], name: str, words: str) -> None:
        with pytest.raises(ResendError) as caught:
            send("k", **changes)
        assert (caught.value.code, caught.value.error_type) == (422, name)
        assert words in caught.value.message
        assert outbox.count() == 0

    @pytest.mark.parametrize(
        ("authorization", "status", "name"),
        [
            ("", 401, "missing_api_key"),
            ("Basic re_acme", 401, "missing_api_key"),
            ("Bearer ", 401, "missing_api_key"),
            ("Bearer sk_test_1", 403, "invalid_api_key"),
            ("Bearer re_unknown", 403, "invalid_api_key"),
        ],
    )
    def test_a_bad_key(self, api: ResendApi, outbox: Outbox, authorization: str, status: int, name: str) -> None:
        outbox.set("keys", ["re_acme"])
        answer = raw(api, orjson.dumps(MAIL), authorization=authorization)
        body = orjson.loads(answer.body)
        assert (answer.status, body["statusCode"], body["name"]) == (status, status, name)
        assert body["message"]

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"null"])
    def test_what_is_no_mail_at_all(self, api: ResendApi, body: bytes) -> None:
        assert raw(api, body).status in (400, 422)

    def test_an_unverified_domain_is_403(self, outbox: Outbox) -> None:
        outbox.set("domains", ["acme.test"])
        send()
        with pytest.raises(ResendError, match="not verified") as caught:
            send(**{"from": "a@elsewhere.test"})
        assert caught.value.code == 403

    def test_the_rate_limit_is_429_and_says_when_to_come_back(self, api: ResendApi) -> None:
        api.limits.monotonic = lambda: 100.0
        api.limits.configure(2, None)
        send()
        send()
        with pytest.raises(resend.exceptions.RateLimitError) as caught:
            send()
        assert caught.value.headers["retry-after"] == "1"
        assert caught.value.headers["ratelimit-limit"] == "2"


class TestIdempotency:
    def test_the_same_again_is_the_same_mail(self, outbox: Outbox) -> None:
        assert send("k") == send("k")
        assert outbox.count() == 1

    def test_the_same_key_with_another_mail_is_409(self, outbox: Outbox) -> None:
        send("k")
        with pytest.raises(ResendError) as caught:
            send("k", subject="Another")
        assert (caught.value.code, caught.value.error_type) == (409, "invalid_idempotent_request")
        assert outbox.count() == 1

    def test_a_key_is_good_for_24_hours_of_the_sandbox_clock(self, manual_clock: clock.ManualClock) -> None:
        first = send("k")
        manual_clock.advance(timedelta(hours=23, minutes=59))
        assert send("k") == first
        manual_clock.advance(timedelta(minutes=2))
        assert send("k") != first

    def test_keys_belong_to_their_team(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = send("k")
        monkeypatch.setattr(resend, "api_key", "re_other")
        assert send("k") != first

    def test_a_refused_mail_leaves_its_key_free(self) -> None:
        with pytest.raises(ResendError):
            send("k", subject="")
        assert send("k")

    @pytest.mark.parametrize("key", ["", LONG])
    def test_a_key_has_1_to_256_characters(self, api: ResendApi, key: str) -> None:
        answer = raw(api, orjson.dumps(MAIL), idempotency_key=key)
        assert (answer.status, orjson.loads(answer.body)["name"]) == (400, "invalid_idempotency_key")

    def test_while_the_first_is_under_way_the_second_is_409(self, api: ResendApi, outbox: Outbox) -> None:
        api.faults.add(Fault("hang", times=1, seconds=30))
        body = orjson.dumps(MAIL)
        hanging = raw(api, body, idempotency_key="k")
        assert hanging.hang == 30
        second = raw(api, body, idempotency_key="k")
        assert (second.status, orjson.loads(second.body)["name"]) == (409, "concurrent_idempotent_requests")
        assert hanging.release is not None
        hanging.release()
        assert raw(api, body, idempotency_key="k").body == hanging.body
        assert outbox.count() == 1


class TestBatch:
    def test_all_or_nothing(self, outbox: Outbox) -> None:
        sent = resend.Batch.send([dict(MAIL, to=f"a{n}@example.com") for n in range(3)])
        assert len(sent["data"]) == 3
        with pytest.raises(ResendError):
            resend.Batch.send([MAIL, dict(MAIL, to="nobody")])
        assert outbox.count() == 3

    def test_permissive_takes_what_is_good(self, outbox: Outbox) -> None:
        sent = resend.Batch.send([MAIL, dict(MAIL, to="nobody")], {"batch_validation": "permissive"})
        assert len(sent["data"]) == 1
        assert sent["errors"][0]["index"] == 1
        assert outbox.count() == 1

    def test_at_most_a_hundred(self, outbox: Outbox) -> None:
        with pytest.raises(ResendError, match="up to 100"):
            resend.Batch.send([MAIL] * 101)
        assert outbox.count() == 0

    def test_a_batch_is_idempotent_as_a_whole(self, outbox: Outbox) -> None:
        options: Any = {"idempotency_key": "k"}
        assert resend.Batch.send([MAIL], options)["data"] == resend.Batch.send([MAIL], options)["data"]
        assert outbox.count() == 1


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "code", "accepted"),
        [
            ("error_before", 500, 0),
            ("error_after", 500, 1),
            ("unavailable", 503, 0),
            ("unavailable_after", 503, 1),
            ("rate_limit", 429, 0),
            ("cut", 500, 0),
            ("cut_after", 500, 1),
        ],
    )
    def test_trouble_and_then_the_same_again_is_one_mail(
        self, api: ResendApi, outbox: Outbox, kind: str, code: int, accepted: int
    ) -> None:
        api.faults.add(Fault(kind, times=1))
        with pytest.raises(ResendError) as caught:
            send("k")
        assert caught.value.code == code
        assert outbox.count() == accepted
        send("k")
        assert outbox.count() == 1


class TestKeeping:
    def test_everything_survives_a_restart(self, tmp_path: Path, manual_clock: clock.ManualClock) -> None:
        first = Outbox(tmp_path / "outbox.sqlite3")
        made = first.add("email", "team", MAIL, sender=MAIL["from"], to=MAIL["to"], subject=MAIL["subject"])
        first.keep_answer("team", "k", "print", {"id": made.id})
        first.set("keys", ["re_1"])
        first.put_delivery("d", 1.0, {"vendor": "resend"})
        first.close()
        second = Outbox(tmp_path / "outbox.sqlite3")
        assert second.get(made.id) == made
        assert second.kept_answer("team", "k") == ("print", {"id": made.id})
        assert second.setting("keys") == ["re_1"]
        assert [row["id"] for row in second.deliveries()] == ["d"]
        second.close()

    def test_clearing_keeps_the_settings(self, outbox: Outbox) -> None:
        outbox.set("domains", ["acme.test"])
        send("k")
        outbox.clear()
        assert outbox.count() == 0
        assert outbox.setting("domains") == ["acme.test"]
        assert send("k")
