"""The outbox as drivers read it, and as a person does in a browser."""

from typing import Any

import pytest

from sandbox.outbox.letters import framed, linked
from sandbox.outbox.routes import resend_of, twilio_of
from sandbox.outbox.store import outbox_of
from tests.sandbox.conftest import Play
from tests.sandbox.visiting import Visitor, text_of

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def visitor(play: Play) -> Visitor:
    return Visitor(play.world)


def mail(visitor: Visitor, **changes: Any) -> str:
    given = {"from": "billing@acme.test", "to": ["ada@example.com"], "subject": "Hello", "text": "Hello"} | changes
    answer = visitor.request("POST", "/emails", json=given, headers={"Authorization": "Bearer re_acme"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


class TestControl:
    def test_messages_are_listed_by_recipient_and_time(self, play: Play, visitor: Visitor) -> None:
        first = mail(visitor)
        play.pass_time(days=1)
        second = mail(visitor, html="<p>x</p>")
        mail(visitor, to="bob@example.com")
        found = visitor.control("outbox?to=ada@example.com")
        assert [row["id"] for row in found["data"]] == [second, first]
        assert found["count"] == 3
        assert "body" not in found["data"][0]
        for since in (str(play.world.now()), "2026-01-16T12:00:00Z", "2026-01-16T12:00:00"):
            rows = visitor.control(f"outbox?to=ada@example.com&since={since}&contents=1")["data"]
            assert [row["id"] for row in rows] == [second]
            assert rows[0]["body"]["html"] == "<p>x</p>"

    def test_one_message_with_its_events(self, visitor: Visitor) -> None:
        identifier = mail(visitor)
        found = visitor.control(f"outbox/{identifier}")
        assert [event["type"] for event in found["events"]] == ["email.sent", "email.delivered"]
        assert visitor.control(f"outbox/{identifier}/events", {"type": "complained"})["event"].startswith("msg_")
        assert visitor.control(f"outbox/{identifier}")["status"] == "complained"

    def test_pull_mode_hands_deliveries_over_once(self, visitor: Visitor) -> None:
        visitor.control("outbox/settings", {"webhook": {"url": "http://127.0.0.1:9/", "secret": "whsec_MTIz"}})
        mail(visitor)
        assert visitor.control("outbox/deliveries")["waiting"] == 2
        assert [row["type"] for row in visitor.control("outbox/deliveries/take", {})] == [
            "email.sent",
            "email.delivered",
        ]
        assert visitor.control("outbox/deliveries") == {"idle": None, "waiting": 0, "next_due": None}
        assert visitor.control("outbox/deliveries?wait=1")["idle"] is True

    def test_faults_and_limits(self, play: Play, visitor: Visitor) -> None:
        visitor.control("outbox/faults", {"faults": [{"kind": "error_after", "times": 1}], "seed": "s"})
        visitor.control("outbox/faults", {"kind": "cut", "vendor": "twilio"})
        visitor.control("outbox/limits", {"rate": 5})
        assert [rule.kind for rule in resend_of(play.world).faults.rules] == ["error_after"]
        assert [rule.kind for rule in twilio_of(play.world).faults.rules] == ["cut"]
        assert resend_of(play.world).limits.rate == 5
        visitor.control("outbox/faults", method="DELETE")
        assert resend_of(play.world).faults.rules == twilio_of(play.world).faults.rules == []

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("outbox?since=yesterday", None),
            ("outbox?limit=many", None),
            ("outbox/settings", {"unknown": 1}),
            ("outbox/settings", {"webhook": {"url": "http://127.0.0.1:9/", "secret": "whsec_%"}}),
            ("outbox/settings", {"webhook": {"secret": "whsec_MTIz"}}),
            ("outbox/settings", [1]),
            ("outbox/faults", {"kind": "earthquake"}),
            ("outbox/faults", {"kind": "cut", "vendor": "pigeon"}),
            ("outbox/nobody/events", {"type": "sent"}),
            ("outbox/replies", {"account": "AC1", "from": "+1", "to": "+2", "body": "STOP"}),
        ],
    )
    def test_a_callers_mistake_is_a_400_that_says_so(self, visitor: Visitor, path: str, body: Any) -> None:
        answer = visitor.request("GET" if body is None else "POST", f"/_sandbox/{path}", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]

    def test_an_unknown_message_is_404(self, visitor: Visitor) -> None:
        assert visitor.get("/_sandbox/outbox/nobody").status_code == 404

    def test_the_outbox_can_be_emptied(self, visitor: Visitor) -> None:
        mail(visitor)
        visitor.control("outbox", method="DELETE")
        assert visitor.control("outbox") == {"data": [], "count": 0}


class TestMailbox:
    def test_an_empty_one(self, visitor: Visitor) -> None:
        assert "Nothing was sent yet." in text_of(visitor.get("/outbox"))
        assert "No message to this recipient." in text_of(visitor.get("/outbox", to="ada@example.com"))

    def test_mail_and_text_are_listed_and_read(self, play: Play, visitor: Visitor) -> None:
        identifier = mail(visitor, subject="Your card", html="<p>Hi</p>", text="Hi http://127.0.0.1:3000/r/x.")
        sms = outbox_of(play.world).add("sms", "AC", {"text": "Pay at http://x.test/r"}, sender="+1500", to=["+1501"])
        listed = text_of(visitor.get("/outbox"))
        assert "Your card" in listed
        assert "Pay at http://x.test/r" in listed
        read = visitor.get(f"/outbox/{identifier}")
        assert f'src="/outbox/{identifier}/body"' in read.text
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in read.text
        plain = visitor.get(f"/outbox/{identifier}", view="text").text
        assert '<a href="http://127.0.0.1:3000/r/x" target="_blank" rel="noopener">' in plain
        assert 'href="http://x.test/r" target="_blank"' in visitor.get(f"/outbox/{sms.id}").text

    def test_the_newest_fifty_and_then_the_older(self, visitor: Visitor) -> None:
        for number in range(51):
            mail(visitor, subject=f"Mail {number:02d}")
        page = visitor.get("/outbox", to="ada@example.com")
        assert "Mail 50" in page.text
        assert "Mail 00" not in page.text
        older = page.text.rpartition('<a href="')[2].partition('"')[0].replace("&amp;", "&")
        assert "Mail 00" in visitor.get(older).text

    def test_unknown_messages(self, visitor: Visitor) -> None:
        assert visitor.get("/outbox/nobody").status_code == 404
        assert visitor.get("/outbox/nobody/body").status_code == 404

    def test_nothing_of_a_mail_runs_or_escapes(self, visitor: Visitor) -> None:
        identifier = mail(visitor, subject=NASTY, text=NASTY, html=None, **{"from": '"<script>" <a@acme.test>'})
        for page in (visitor.get("/outbox"), visitor.get(f"/outbox/{identifier}"), visitor.get("/outbox", to=NASTY)):
            assert "<script" not in page.text
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
        body = visitor.get(f"/outbox/{mail(visitor, html=NASTY)}/body")
        assert "<script" not in body.text
        assert "sandbox allow-popups allow-popups-to-escape-sandbox" in body.headers["content-security-policy"]


class TestLetters:
    @pytest.mark.parametrize(
        ("html", "expected"),
        [
            (
                '<a class="b" href="https://x.test/?a=1&amp;b=2">Pay</a>',
                '<a class="b" href="https://x.test/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">Pay</a>',
            ),
            ('<a href="/r/x" target="_self" rel="opener">x</a>', "<a>x</a>"),
            ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
            ('<a href=" JAVASCRIPT:alert(1)">x</a>', "<a>x</a>"),
            ('<a href="data:text/html,x">x</a>', "<a>x</a>"),
            ('<base href="http://evil.test/"><p style="a">&amp;&#39;</p>', '<p style="a">&amp;&#39;</p>'),
            ('<meta http-equiv="refresh" content="0;url=http://evil.test">', ""),
            ("<!doctype html><img src='x'/>", "<!doctype html><img src='x'/>"),
        ],
    )
    def test_links_open_elsewhere_and_know_nothing_of_us(self, html: str, expected: str) -> None:
        assert framed(html) == expected

    def test_plain_text_is_escaped_and_linked(self) -> None:
        assert linked("<b> http://x.test/a?b=1&c=2, (https://y.test).") == (
            '&lt;b&gt; <a href="http://x.test/a?b=1&amp;c=2" target="_blank" rel="noopener">http://x.test/a?b=1&amp;c=2'
            '</a>, (<a href="https://y.test" target="_blank" rel="noopener">https://y.test</a>).'
        )
