"""What senders hear of their mail: events, Svix's signature, retries, and a restart in between."""

import http.server
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import resend
from resend.exceptions import ResendError

from sandbox.outbox.routes import resend_of
from sandbox.outbox.signing import svix_headers
from sandbox.outbox.store import Outbox, outbox_of
from sandbox.outbox.webhooks import EVENTS, RETRY_SECONDS, Postman, postman_of
from sandbox.stripe.api import Request
from tests.sandbox.conftest import Play
from tests.sandbox.process import SandboxProcess

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://127.0.0.1:9/api/webhooks/resend"


@pytest.fixture
def outbox(play: Play) -> Outbox:
    found = outbox_of(play.world)
    found.set("webhook", {"url": URL, "secret": SECRET})
    return found


@pytest.fixture
def postman(play: Play, outbox: Outbox) -> Postman:
    return postman_of(play.world)


def send(play: Play, to: str = "ada@example.com", **changes: Any) -> str:
    mail = {"from": "billing@acme.test", "to": to, "subject": "Hello", "text": "Hello"} | changes
    headers = {"authorization": "Bearer re_acme"}
    answer = resend_of(play.world).handle(Request("POST", "/emails", "", headers, orjson.dumps(mail)))
    assert answer.status == 200, answer.body
    return str(orjson.loads(answer.body)["id"])


def types_of(postman: Postman) -> list[str]:
    return [posting.type for posting in postman.take_deliveries()]


class TestSignature:
    def test_the_reference_vector_of_standard_webhooks(self) -> None:
        headers = svix_headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        assert headers["svix-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_a_posting_carries_it_over_its_very_bytes(self, play: Play, postman: Postman) -> None:
        send(play)
        posting = postman.take_deliveries(1)[0]
        again = svix_headers(SECRET, posting.id, play.world.now(), posting.body)
        assert posting.headers.items() >= again.items()
        assert posting.url == URL


class TestEvents:
    @pytest.mark.parametrize(
        ("recipient", "expected"),
        [
            ("ada@example.com", ["email.sent", "email.delivered"]),
            ("delivered@resend.dev", ["email.sent", "email.delivered"]),
            ("bounced+1@resend.dev", ["email.sent", "email.bounced"]),
            ("complained@resend.dev", ["email.sent", "email.delivered", "email.complained"]),
            ("suppressed@resend.dev", ["email.suppressed"]),
            ("gone@example.com", ["email.sent", "email.bounced"]),
        ],
    )
    def test_a_recipient_decides(self, play: Play, postman: Postman, recipient: str, expected: list[str]) -> None:
        postman.outbox.set("outcomes", {"gone@example.com": "bounced"})
        identifier = send(play, recipient)
        assert types_of(postman) == expected
        message = postman.outbox.get(identifier)
        assert message is not None
        assert f"email.{message.status}" == expected[-1]

    def test_the_payload_names_the_mail_and_its_tags(self, play: Play, postman: Postman) -> None:
        identifier = send(play, "bounced@resend.dev", tags=[{"name": "message_id", "value": "m1"}])
        body = orjson.loads(postman.take_deliveries()[-1].body)
        assert body["type"] == "email.bounced"
        assert body["data"]["email_id"] == identifier
        assert body["data"]["to"] == ["bounced@resend.dev"]
        assert body["data"]["tags"] == {"message_id": "m1"}
        assert body["data"]["bounce"]["type"] == "Permanent"
        assert body["created_at"] == "2026-01-15T12:00:00.000Z"

    def test_after_a_hard_bounce_the_team_is_suppressed_for_that_address(self, play: Play, postman: Postman) -> None:
        send(play, "bounced@resend.dev")
        postman.outbox.set("outcomes", {"x@example.com": "complained"})
        send(play, "x@example.com")
        postman.outbox.set("outcomes", {})
        postman.take_deliveries()
        send(play, "X@example.com")
        assert types_of(postman) == ["email.suppressed"]

    @pytest.mark.parametrize("kind", EVENTS)
    def test_any_event_can_be_made_to_happen(self, play: Play, postman: Postman, kind: str) -> None:
        identifier = send(play)
        postman.take_deliveries()
        postman.report(identifier, kind, details={"note": 1})
        body = orjson.loads(postman.take_deliveries()[0].body)
        assert (body["type"], body["data"]["note"]) == (f"email.{kind}", 1)

    @pytest.mark.parametrize(("identifier", "kind"), [("nobody", "sent"), (None, "exploded")])
    def test_what_cannot_be(self, play: Play, postman: Postman, identifier: str | None, kind: str) -> None:
        with pytest.raises(KeyError):
            postman.report(identifier or send(play), kind)

    def test_without_a_webhook_nothing_waits(self, play: Play, postman: Postman) -> None:
        postman.outbox.set("webhook", None)
        identifier = send(play)
        assert postman.outbox.deliveries() == []
        assert [event["type"] for event in postman.outbox.events(identifier)] == ["email.sent", "email.delivered"]


class TestRetries:
    def test_a_refused_delivery_comes_again_later_with_a_fresh_signature(self, play: Play, postman: Postman) -> None:
        send(play, "suppressed@resend.dev")
        first = postman.due()[0]
        assert postman.due() == []  # it is in flight
        postman.failed(first)
        assert postman.due() == []
        play.pass_time(seconds=RETRY_SECONDS[0])
        second = postman.due()[0]
        assert (second.id, second.attempt) == (first.id, 2)
        assert second.headers["svix-timestamp"] != first.headers["svix-timestamp"]
        postman.done(second)
        assert postman.outbox.deliveries() == []

    def test_it_is_given_up_in_the_end(self, play: Play, postman: Postman) -> None:
        send(play, "suppressed@resend.dev")
        for pause in (*RETRY_SECONDS, 0):
            postman.failed(postman.due()[0])
            play.pass_time(seconds=pause)
        assert postman.outbox.deliveries() == []


class Receiver(http.server.BaseHTTPRequestHandler):
    """Refuses the first request, takes every other."""

    received: "queue.Queue[tuple[dict[str, str], bytes]]"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        first = not getattr(self.server, "seen", False)
        self.server.seen = True
        self.send_response(500 if first else 204)
        self.end_headers()
        self.received.put(({name.lower(): value for name, value in self.headers.items()}, body))

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[http.server.ThreadingHTTPServer]:
    Receiver.received = queue.Queue()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestProcess:
    def test_pushed_refused_killed_and_pushed_again(
        self, tmp_path: Path, receiver: http.server.ThreadingHTTPServer
    ) -> None:
        sandbox = SandboxProcess(data=tmp_path / "data", clock_file=tmp_path / "clock.json")
        with sandbox:
            url = f"http://127.0.0.1:{receiver.server_port}/hook"
            sandbox.control("outbox/settings", {"webhook": {"url": url, "secret": SECRET}})
            mail = {"from": "a@acme.test", "to": "suppressed@resend.dev", "subject": "S", "text": "T"}
            headers = {"Authorization": "Bearer re_acme"}
            identifier = httpx.post(f"{sandbox.base}/emails", json=mail, headers=headers, trust_env=False).json()["id"]
            refused, _ = Receiver.received.get(timeout=10)
            sandbox.kill()
            sandbox.start()
            assert sandbox.control(f"outbox/{identifier}")["subject"] == "S"
            sandbox.control("advance", {"seconds": 3600})
            headers, body = Receiver.received.get(timeout=10)
            assert headers["svix-id"] == refused["svix-id"]
            assert sandbox.control("outbox/deliveries?wait=1") == {"idle": True, "waiting": 0, "next_due": None}
            assert orjson.loads(body)["data"]["email_id"] == identifier
            signed = svix_headers(SECRET, headers["svix-id"], int(headers["svix-timestamp"]), body)
            assert headers["svix-signature"] == signed["svix-signature"]

    @pytest.mark.parametrize("kind", ["cut", "cut_after", "error_after"])
    def test_trouble_on_a_real_connection_doubles_nothing(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resend, "api_key", "re_acme")
        monkeypatch.setattr(resend, "default_http_client", resend.RequestsClient())
        mail: Any = {"from": "a@acme.test", "to": "ada@example.com", "subject": "S", "text": "T"}
        with SandboxProcess() as sandbox:
            monkeypatch.setattr(resend, "api_url", sandbox.base)
            sandbox.control("outbox/faults", {"kind": kind, "times": 1})
            with pytest.raises(ResendError) as caught:
                resend.Emails.send(mail, {"idempotency_key": "k"})
            assert caught.value.code == 500
            made = resend.Emails.send(mail, {"idempotency_key": "k"})["id"]
            assert [row["id"] for row in sandbox.control("outbox")["data"]] == [made]

    def test_a_hanging_answer_times_out_and_does_not_hold_up_the_stop(self) -> None:
        with SandboxProcess() as sandbox:
            sandbox.control("outbox/faults", {"kind": "hang", "seconds": 60})
            mail = {"from": "a@acme.test", "to": "ada@example.com", "subject": "S", "text": "T"}
            headers = {"Authorization": "Bearer re_acme"}
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{sandbox.base}/emails", json=mail, headers=headers, timeout=0.5, trust_env=False)
            assert sandbox.control("outbox")["count"] == 1
            assert sandbox.stop() == 0
