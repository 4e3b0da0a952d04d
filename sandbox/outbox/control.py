"""`/_sandbox/outbox...`: what tests, drivers and the product's demo ask of the outbox. JSON in, JSON out."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.outbox.resend import ResendApi
from sandbox.outbox.twilio import TwilioApi
from sandbox.stripe.faults import Fault

SETTINGS = ("keys", "domains", "outcomes", "webhook", "twilio_accounts", "sms_url", "quota")
Handler = Callable[[Request], Awaitable[Response]]


def answer(body: Any, status: int = 200) -> Response:
    """One JSON answer."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def moment(text: str) -> float:
    """Unix seconds, or an ISO 8601 time (UTC when it names no zone). Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Control:
    """The handlers."""

    def __init__(self, resend: ResendApi, twilio: TwilioApi) -> None:
        self.resend, self.twilio = resend, twilio
        self.outbox, self.postman = resend.outbox, resend.postman

    def routes(self) -> list[Route]:
        """All of them; see each handler's docstring for what goes in and out."""
        return [
            Route("/_sandbox/outbox", self._safe(self.listing)),
            Route("/_sandbox/outbox", self._safe(self.clear), methods=["DELETE"]),
            Route("/_sandbox/outbox/faults", self._safe(self.add_faults), methods=["POST"]),
            Route("/_sandbox/outbox/faults", self._safe(self.clear_faults), methods=["DELETE"]),
            Route("/_sandbox/outbox/limits", self._safe(self.limits), methods=["GET", "POST"]),
            Route("/_sandbox/outbox/settings", self._safe(self.settings), methods=["GET", "POST"]),
            Route("/_sandbox/outbox/replies", self._safe(self.reply), methods=["POST"]),
            Route("/_sandbox/outbox/deliveries", self._safe(self.deliveries)),
            Route("/_sandbox/outbox/deliveries/take", self._safe(self.take), methods=["POST"]),
            Route("/_sandbox/outbox/{id}", self._safe(self.one)),
            Route("/_sandbox/outbox/{id}/events", self._safe(self.report), methods=["POST"]),
        ]

    @staticmethod
    def _safe(handler: Handler) -> Handler:
        """A caller's mistake is a 400 that says what it was."""

        async def wrapped(request: Request) -> Response:
            try:
                return await handler(request)
            except (KeyError, ValueError, TypeError) as error:
                return answer({"error": f"{type(error).__name__}: {error}"}, 400)

        return wrapped

    def _vendor(self, name: str) -> ResendApi | TwilioApi:
        if name not in ("resend", "twilio"):
            raise ValueError(f"no vendor {name}")
        return self.resend if name == "resend" else self.twilio

    async def listing(self, request: Request) -> Response:
        """GET [?to=&since=&channel=&before=&limit=&contents=1]: newest first, `{"data": [...], "count"}`.

        `since` is Unix seconds or ISO 8601, inclusive; `count` is of all messages. With `contents` bodies too.
        """
        given = request.query_params
        found = self.outbox.messages(
            to=given.get("to"),
            since=moment(given["since"]) if "since" in given else None,
            channel=given.get("channel"),
            before=given.get("before"),
            limit=int(given.get("limit", "100")),
        )
        whole = given.get("contents") == "1"
        return answer({"data": [message.as_json(whole=whole) for message in found], "count": self.outbox.count()})

    async def clear(self, request: Request) -> Response:
        """DELETE: an empty outbox; settings stay."""
        self.outbox.clear()
        return answer({})

    async def one(self, request: Request) -> Response:
        """GET: the message with its `body` (html, text, headers, tags ...) and `events`."""
        found = self.outbox.get(request.path_params["id"])
        if found is None:
            return answer({"error": "no such message"}, 404)
        return answer(found.as_json() | {"events": self.outbox.events(found.id)})

    async def report(self, request: Request) -> Response:
        """POST `{"type": "bounced" | "complained" | ..., "details": {}}`: it happens to that mail; `{"event"}`."""
        given = await _given(request)
        identifier = request.path_params["id"]
        return answer({"event": self.postman.report(identifier, given["type"], details=given.get("details"))})

    async def reply(self, request: Request) -> Response:
        """POST `{"account", "from", "to", "body"}`: a customer answers a text, with STOP for instance."""
        given = await _given(request)
        self.twilio.reply(given["from"], given["to"], given["body"], account=given["account"])
        return answer({})

    async def settings(self, request: Request) -> Response:
        """GET, or POST any of SETTINGS; null takes one back. All persist.

        `keys`: the Resend keys that work (null: every `re_...`); `domains`: the verified ones (null: all);
        `outcomes`: address -> webhooks.OUTCOMES; `webhook`: `{"url", "secret": "whsec_..."}`; `twilio_accounts`:
        sid -> token (null: all); `sms_url`: where replies are posted; `quota`: "daily" or "monthly", the
        allowance of mails that is used up.
        """
        if request.method == "POST":
            given = await _given(request)
            unknown = given.keys() - set(SETTINGS)
            if unknown:
                raise ValueError(f"unknown settings {', '.join(sorted(unknown))}")
            webhook = given.get("webhook")
            if webhook:
                base64.b64decode(webhook["secret"].removeprefix("whsec_"), validate=True)
                given["webhook"] = {"url": webhook["url"], "secret": webhook["secret"]}
            for name, value in given.items():
                self.outbox.set(name, {} if name == "outcomes" and value is None else value)
        return answer({name: self.outbox.setting(name) for name in SETTINGS})

    async def add_faults(self, request: Request) -> Response:
        """POST `{"faults": [stripe.faults.Fault...], "seed", "vendor": "resend" | "twilio"}` or one Fault."""
        given = await _given(request)
        vendor = self._vendor(given.pop("vendor", "resend"))
        if "seed" in given:
            vendor.faults.seed(str(given.pop("seed")))
        for fault in given.get("faults", [given]):
            vendor.faults.add(Fault(**fault))
        return answer([asdict(rule) for rule in vendor.faults.rules])

    async def clear_faults(self, request: Request) -> Response:
        """DELETE: peace."""
        self.resend.faults.clear()
        self.twilio.faults.clear()
        return answer([])

    async def limits(self, request: Request) -> Response:
        """POST `{"rate": 5}` requests per second and key (null: none); `"vendor": "twilio"` for the other one.

        GET [?vendor=twilio]: `{"rate", "refused"}`, how many requests were above it so far.
        """
        if request.method == "GET":
            limits = self._vendor(request.query_params.get("vendor", "resend")).limits
            return answer({"rate": limits.rate, "refused": limits.refused})
        given = await _given(request)
        vendor = self._vendor(given.get("vendor", "resend"))
        vendor.limits.configure(given.get("rate"), None)
        return answer(given)

    async def deliveries(self, request: Request) -> Response:
        """GET [?wait=1&timeout=30]: `{"idle", "waiting", "next_due"}` once what is due was posted."""
        given, idle = request.query_params, None
        if given.get("wait"):
            idle = await self.postman.wait_idle(float(given.get("timeout", "30")))
        rows = self.outbox.deliveries()
        return answer({"idle": idle, "waiting": len(rows), "next_due": rows[0]["due"] if rows else None})

    async def take(self, request: Request) -> Response:
        """POST `{"limit": n}` (pull mode): `[{"id", "url", "headers", "body" (base64), "type", "attempt"}]`."""
        taken = self.postman.take_deliveries((await _given(request)).get("limit"))
        return answer([asdict(one) | {"body": base64.b64encode(one.body).decode()} for one in taken])


async def _given(request: Request) -> dict[str, Any]:
    raw = await request.body()
    found = orjson.loads(raw) if raw else {}
    if not isinstance(found, dict):
        raise ValueError("the body must be a JSON object")
    return found
