"""Twilio's message resource as its SDK calls it: basic auth, form in, JSON out, signed callbacks."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
import pytest

from sandbox.outbox.routes import twilio_of
from sandbox.outbox.signing import twilio_signature
from sandbox.outbox.store import outbox_of
from sandbox.outbox.twilio import TwilioApi
from sandbox.outbox.webhooks import Postman, postman_of
from sandbox.stripe.api import Request
from sandbox.stripe.faults import Fault
from tests.sandbox.conftest import Play

ACCOUNT, TOKEN = "AC" + "a" * 32, "secret"
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
ADA, ACME = "+15005550010", "+15005550006"


@pytest.fixture
def api(play: Play) -> TwilioApi:
    return twilio_of(play.world)


@pytest.fixture
def postman(play: Play) -> Postman:
    return postman_of(play.world)


def authorization(user: str = ACCOUNT, token: str = TOKEN) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def call(
    api: TwilioApi, method: str = "POST", path: str = PATH, auth: str | None = None, **form: str
) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": authorization() if auth is None else auth}
    answer = api.handle(Request(method, path, "", headers, urlencode(form).encode()))
    return answer.status, orjson.loads(answer.body)


class TestSending:
    def test_a_text_is_kept_and_answered_as_twilio_does(self, play: Play, api: TwilioApi) -> None:
        status, body = call(api, To=ADA, From=ACME, Body="Hello – please pay")
        assert status == 201
        assert body["sid"].startswith("SM")
        assert (body["status"], body["to"], body["from"], body["error_code"]) == ("queued", ADA, ACME, None)
        kept = outbox_of(play.world).messages(to=ADA, channel="sms")[0]
        assert (kept.id, kept.body["text"], kept.status) == (body["sid"], "Hello – please pay", "delivered")
        status, found = call(api, "GET", PATH.replace(".json", f"/{body['sid']}.json"))
        assert (status, found["status"]) == (200, "delivered")

    @pytest.mark.parametrize(
        ("form", "code"),
        [
            ({"From": ACME, "Body": "x"}, 21604),
            ({"To": ADA, "Body": "x"}, 21603),
            ({"To": ADA, "From": ACME}, 21602),
            ({"To": "0151 1234", "From": ACME, "Body": "x"}, 21211),
            ({"To": ADA, "From": "+1", "Body": "x"}, 21212),
            ({"To": ADA, "From": ACME, "Body": "x" * 1601}, 21617),
        ],
    )
    def test_what_twilio_refuses(self, play: Play, api: TwilioApi, form: dict[str, str], code: int) -> None:
        status, body = call(api, **form)
        assert (status, body["code"], body["status"]) == (400, code, 400)
        assert outbox_of(play.world).count() == 0

    @pytest.mark.parametrize(
        "auth", ["", "Bearer x", "Basic %%%", authorization(user="AC" + "b" * 32), authorization(token="")]
    )
    def test_a_bad_login_is_401(self, api: TwilioApi, auth: str) -> None:
        assert call(api, auth=auth, To=ADA, From=ACME, Body="x")[1]["code"] == 20003

    def test_only_the_accounts_that_were_named(self, play: Play, api: TwilioApi) -> None:
        outbox_of(play.world).set("twilio_accounts", {ACCOUNT: "another"})
        assert call(api, To=ADA, From=ACME, Body="x")[0] == 401

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", PATH), ("GET", PATH.replace(".json", "/SM1.json")), ("GET", "/2010-04-01/x")]
    )
    def test_what_is_not_there(self, api: TwilioApi, method: str, path: str) -> None:
        assert call(api, method, path)[0] in (404, 405)

    @pytest.mark.parametrize(
        ("kind", "status", "kept"),
        [("error_before", 500, 0), ("error_after", 500, 1), ("unavailable", 503, 0), ("rate_limit", 429, 0)],
    )
    def test_trouble(self, play: Play, api: TwilioApi, kind: str, status: int, kept: int) -> None:
        api.faults.add(Fault(kind, times=1))
        assert call(api, To=ADA, From=ACME, Body="x")[0] == status
        assert outbox_of(play.world).count() == kept

    @pytest.mark.parametrize(("kind", "kept"), [("cut", 0), ("cut_after", 1)])
    def test_a_cut_line(self, play: Play, api: TwilioApi, kind: str, kept: int) -> None:
        api.faults.add(Fault(kind, times=1))
        form = urlencode({"To": ADA, "From": ACME, "Body": "x"}).encode()
        assert api.handle(Request("POST", PATH, "", {"authorization": authorization()}, form)).cut
        assert outbox_of(play.world).count() == kept


class TestCallbacks:
    @pytest.mark.parametrize(
        ("caller", "signature"),
        [("+14158675310", "GvWf1cFY/Q7PnoempGyD5oXAezc="), ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")],
    )
    def test_the_examples_of_twilios_documentation(self, caller: str, signature: str) -> None:
        form = {
            "CallSid": "CA1234567890ABCDE",
            "Caller": caller,
            "Digits": "1234",
            "From": caller,
            "To": "+18005551212",
        }
        assert twilio_signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form) == signature

    def test_each_status_is_posted_to_the_url_of_the_text(self, api: TwilioApi, postman: Postman) -> None:
        url = "http://127.0.0.1:9/api/webhooks/twilio?m=1"
        _, body = call(api, To=ADA, From=ACME, Body="x", StatusCallback=url)
        postings = postman.take_deliveries()
        forms = [{name: values[0] for name, values in parse_qs(one.body.decode()).items()} for one in postings]
        assert [form["MessageStatus"] for form in forms] == ["sent", "delivered"]
        assert {form["MessageSid"] for form in forms} == {body["sid"]}
        assert postings[0].headers["X-Twilio-Signature"] == twilio_signature(TOKEN, url, forms[0])

    def test_stop_is_heard_and_obeyed_until_start(self, play: Play, api: TwilioApi, postman: Postman) -> None:
        outbox_of(play.world).set("sms_url", "http://127.0.0.1:9/api/webhooks/twilio")
        call(api, To=ADA, From=ACME, Body="x")
        api.reply(ADA, ACME, " stop ", account=ACCOUNT)
        posted = parse_qs(postman.take_deliveries()[0].body.decode())
        assert (posted["Body"], posted["From"], posted["OptOutType"]) == ([" stop "], [ADA], ["STOP"])
        assert call(api, To=ADA, From=ACME, Body="x")[1]["code"] == 21610
        assert call(api, To=ADA, From="+15005550007", Body="x")[0] == 201  # another number of the sender
        api.reply(ADA, ACME, "START", account=ACCOUNT)
        assert call(api, To=ADA, From=ACME, Body="x")[0] == 201

    def test_nobody_answers_an_account_that_never_wrote(self, api: TwilioApi) -> None:
        with pytest.raises(KeyError):
            api.reply(ADA, ACME, "STOP", account="AC" + "b" * 32)
