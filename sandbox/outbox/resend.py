"""Resend's HTTP interface on an outbox. Plain values in and out, no HTTP framework."""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import orjson

from sandbox.outbox.store import Json, Message, Outbox, bare, iso
from sandbox.outbox.validation import MOST_IN_A_BATCH, ResendError, check_email, invalid
from sandbox.outbox.webhooks import Postman
from sandbox.stripe.api import Request, Response, json_response
from sandbox.stripe.faults import Fault, Faults, Limits

_TROUBLE: dict[str, tuple[int, str, str]] = {
    "error": (500, "application_error", "An unexpected error occurred."),
    "unavailable": (503, "service_unavailable", "The service is temporarily unavailable."),
    "rate_limit": (429, "rate_limit_exceeded", "Too many requests. You can only make 5 requests per second."),
}


class ResendApi:
    """Everything below /emails. Safe from any thread."""

    def __init__(self, outbox: Outbox, postman: Postman) -> None:
        self.outbox, self.postman = outbox, postman
        self.faults = Faults()
        self.limits = Limits(None, None)
        self.requests = 0
        self._busy: set[tuple[str, str]] = set()

    def handle(self, request: Request) -> Response:
        """Answer one request; never raises for what a client did."""
        with self.outbox.lock:
            self.requests += 1
            try:
                return self._answer(request)
            except ResendError as error:
                return json_response(error.status, error.body(), error.headers)

    def _answer(self, request: Request) -> Response:
        team = self._team(request)
        self._limit(team)
        path = request.path.rstrip("/")
        fault = self.faults.strike(request.method, path, team)
        if fault and fault.kind in ("error_before", "unavailable", "rate_limit", "cut"):
            return _struck(fault)
        if (request.method, path) == ("POST", "/emails"):
            return self._once(request, team, fault, self._send)
        if (request.method, path) == ("POST", "/emails/batch"):
            return self._once(request, team, fault, self._send_batch)
        if request.method == "GET" and path == "/emails":
            return json_response(200, self._list(request, team))
        if request.method == "GET" and path.startswith("/emails/") and path.count("/") == 2:
            found = self.outbox.get(path.rpartition("/")[2], team=team)
            if found is None or found.channel != "email":
                raise ResendError(404, "not_found", "Email not found")
            return json_response(200, _shown(found))
        raise ResendError(404, "not_found", "The requested endpoint does not exist.")

    def _team(self, request: Request) -> str:
        """Whose key this is; a key is known by a print of it and never stored."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ResendError(401, "missing_api_key", "Missing API key in the authorization header.")
        known = self.outbox.setting("keys")
        if not key.startswith("re_") or (known is not None and key not in known):
            raise ResendError(403, "invalid_api_key", "API key is invalid.")
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def _limit(self, team: str) -> None:
        if self.limits.rate and self.limits.refuse(team, ""):
            rate = f"{self.limits.rate:g}"
            headers = {"ratelimit-limit": rate, "ratelimit-remaining": "0", "ratelimit-reset": "1", "retry-after": "1"}
            text = f"Too many requests. You can only make {rate} requests per second."
            raise ResendError(429, "rate_limit_exceeded", text, headers)

    # -- idempotency --------------------------------------------------------------------------------------------

    def _once(
        self, request: Request, team: str, fault: Fault | None, act: Callable[[Request, Any, str], Json]
    ) -> Response:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._finish(fault, act(request, _json(request), team), None)
        if not 1 <= len(key) <= 256:
            raise ResendError(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
        if (team, key) in self._busy:
            raise ResendError(
                409,
                "concurrent_idempotent_requests",
                "Same idempotency key used while original request is still in progress.",
            )
        print_ = hashlib.sha256(request.path.encode() + b"\n" + request.body).hexdigest()
        kept = self.outbox.kept_answer(team, key)
        if kept and kept[0] != print_:
            raise ResendError(
                409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."
            )
        if kept:
            return self._finish(fault, kept[1], (team, key))
        with self.outbox.transaction():
            answer = act(request, _json(request), team)
            self.outbox.keep_answer(team, key, print_, answer)
        return self._finish(fault, answer, (team, key))

    def _finish(self, fault: Fault | None, answer: Json, name: tuple[str, str] | None) -> Response:
        """The answer as the fault lets it through: what was accepted stays accepted."""
        if fault and fault.kind in ("error_after", "unavailable_after"):
            return _struck(fault)
        response = json_response(200, answer)
        if fault and fault.kind == "cut_after":
            response.cut = True
        elif fault and fault.kind == "hang":
            response.hang = fault.seconds
            if name:
                self._busy.add(name)
                response.release = lambda: self._busy.discard(name)
        return response

    # -- sending ------------------------------------------------------------------------------------------------

    def _send(self, request: Request, given: Any, team: str) -> Json:
        return {"id": self._accept(check_email(given), team).id}

    def _send_batch(self, request: Request, given: Any, team: str) -> Json:
        if not isinstance(given, list) or not given:
            raise invalid("The request body must be a non-empty array of emails.")
        if len(given) > MOST_IN_A_BATCH:
            raise invalid(f"You can only send up to {MOST_IN_A_BATCH} emails in a batch.")
        permissive = request.headers.get("x-batch-validation") == "permissive"
        checked: list[Json] = []
        errors: list[Json] = []
        for index, one in enumerate(given):
            try:
                if isinstance(one, dict) and (one.get("attachments") or one.get("scheduled_at")):
                    raise invalid("The batch endpoint supports neither `attachments` nor `scheduled_at`.")
                checked.append(check_email(one))
            except ResendError as error:
                if not permissive:
                    raise
                errors.append({"index": index, "message": error.message})
        answer: Json = {"data": [{"id": self._accept(one, team).id} for one in checked]}
        return answer | {"errors": errors} if permissive else answer

    def _accept(self, email: Json, team: str) -> Message:
        if quota := self.outbox.setting("quota"):
            raise ResendError(429, f"{quota}_quota_exceeded", f"You have reached your {quota} email quota.")
        domains = self.outbox.setting("domains")
        domain = bare(email["from"]).rpartition("@")[2]
        if domains is not None and domain not in domains:
            raise ResendError(
                403,
                "validation_error",
                f"The {domain} domain is not verified. Please, add and verify your domain on https://resend.com/domains",
            )
        with self.outbox.transaction():
            message = self.outbox.add(
                "email", team, email, sender=email["from"], to=email["to"], subject=email["subject"]
            )
            self.postman.accepted(message, team)
        return message

    def _list(self, request: Request, team: str) -> Json:
        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        limit = query.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise invalid("The `limit` parameter must be a number between 1 and 100.")
        found = self.outbox.messages(team=team, channel="email", before=query.get("after"), limit=int(limit) + 1)
        page = found[: int(limit)]
        rows = [{name: value for name, value in _shown(one).items() if name not in _CONTENTS} for one in page]
        return {"object": "list", "has_more": len(found) > len(page), "data": rows}


_CONTENTS = ("object", "html", "text", "tags")


def _json(request: Request) -> Any:
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise ResendError(400, "validation_error", "The request body is not valid JSON.") from None


def _struck(fault: Fault) -> Response:
    if fault.kind == "cut":
        return Response(200, b"{", {"content-type": "application/json"}, cut=True)
    status, name, message = _TROUBLE[fault.kind.removesuffix("_before").removesuffix("_after")]
    headers = {"retry-after": "1"} if status == 429 else {}
    return json_response(status, {"statusCode": status, "name": name, "message": message}, headers)


def _shown(message: Message) -> Json:
    body = message.body
    return {
        "object": "email",
        "id": message.id,
        "to": message.to,
        "from": message.sender,
        "created_at": iso(message.created),
        "subject": message.subject,
        "html": body.get("html"),
        "text": body.get("text"),
        "bcc": body.get("bcc") or None,
        "cc": body.get("cc") or None,
        "reply_to": body.get("reply_to") or None,
        "last_event": message.status,
        "scheduled_at": body.get("scheduled_at"),
        "tags": body.get("tags") or [],
    }
