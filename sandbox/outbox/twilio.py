"""Twilio's message resource on an outbox: sending, looking up, and the customer's replies. Thin."""

import base64
import binascii
import re
import uuid
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from sandbox.outbox.store import Json, Message, Outbox
from sandbox.outbox.webhooks import Postman
from sandbox.stripe.api import Request, Response, json_response
from sandbox.stripe.faults import Faults, Limits

_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>AC\w+)(?P<messages>/Messages(?:/(?P<message>SM\w+))?)?\.json")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{5,6}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
LONGEST = 1600
STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})


class TwilioError(Exception):
    """An answer in Twilio's shape; codes are of twilio.com/docs/api/errors."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def body(self) -> Json:
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}


class TwilioApi:
    """`GET` of an account, `POST` and `GET` of its messages. Safe from any thread."""

    def __init__(self, outbox: Outbox, postman: Postman) -> None:
        self.outbox, self.postman = outbox, postman
        self.faults = Faults()
        self.limits = Limits(None, None)

    def handle(self, request: Request) -> Response:
        """Answer one request; never raises for what a client did."""
        with self.outbox.lock:
            try:
                return self._answer(request)
            except TwilioError as error:
                return json_response(error.status, error.body())

    def _answer(self, request: Request) -> Response:
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise TwilioError(404, 20404, f"The requested resource {request.path} was not found")
        account, token = match["account"], self._authenticate(request, match["account"])
        fault = self.faults.strike(request.method, request.path, account)
        if fault and fault.kind == "cut":
            return Response(201, b"{", {"content-type": "application/json"}, cut=True)
        if fault and fault.kind in ("error_before", "unavailable"):
            raise TwilioError(500 if fault.kind == "error_before" else 503, 20500, "An internal error has occurred")
        if (fault and fault.kind == "rate_limit") or self.limits.refuse(account, ""):
            raise TwilioError(429, 20429, "Too Many Requests")
        if not match["messages"]:
            response = json_response(200, _account(account))
        elif match["message"]:
            response = json_response(200, self._lookup(account, match["message"]))
        elif request.method == "POST":
            response = json_response(201, self._send(request, account, token))
        else:
            raise TwilioError(405, 20004, "Method not allowed")
        if fault and fault.kind in ("error_after", "unavailable_after"):
            raise TwilioError(500 if fault.kind == "error_after" else 503, 20500, "An internal error has occurred")
        response.cut = bool(fault and fault.kind == "cut_after")
        response.hang = fault.seconds if fault and fault.kind == "hang" else 0.0
        return response

    def _authenticate(self, request: Request, account: str) -> str:
        """The auth token. Any account is good unless `twilio_accounts` names them."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, token = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, token = "", ""
        known = self.outbox.setting("twilio_accounts")
        wrong = known is not None and known.get(user) != token
        if scheme.lower() != "basic" or user != account or not token or wrong:
            raise TwilioError(401, 20003, "Authenticate")
        if self.outbox.setting(f"twilio_token:{account}") != token:
            self.outbox.set(f"twilio_token:{account}", token)  # signs what is posted back
        return token

    def _send(self, request: Request, account: str, token: str) -> Json:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        to, text = form.get("To", ""), form.get("Body", "")
        sender = form.get("From") or form.get("MessagingServiceSid") or ""
        if not to:
            raise TwilioError(400, 21604, "A 'To' phone number is required.")
        if not sender:
            raise TwilioError(400, 21603, "A 'From' phone number is required.")
        if not text:
            raise TwilioError(400, 21602, "Message body is required.")
        if not _NUMBER.fullmatch(to):
            raise TwilioError(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if not _SENDER.fullmatch(sender) and not sender.startswith("MG"):
            raise TwilioError(400, 21212, f"Invalid From Number (caller ID): {sender}")
        if len(text) > LONGEST:
            raise TwilioError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        if [to, sender] in self.outbox.setting("opted_out", []):
            raise TwilioError(400, 21610, "Attempt to send to unsubscribed recipient")
        with self.outbox.transaction():
            message = self.outbox.add("sms", account, {"text": text, "form": form}, sender=sender, to=[to])
            for status in ("sent", "delivered"):
                self.report(message.id, status, account=account, token=token)
        return _resource(account, message)

    def report(self, message_id: str, status: str, *, account: str, token: str) -> None:
        """A text's status changed: sent, delivered, undelivered, failed."""
        message = self.outbox.get(message_id)
        if message is None:
            raise KeyError(message_id)
        form = {
            "AccountSid": account,
            "ApiVersion": "2010-04-01",
            "From": message.sender,
            "MessageSid": message.id,
            "MessageStatus": status,
            "SmsSid": message.id,
            "SmsStatus": status,
            "To": message.to[0],
        }
        self.outbox.add_event(message_id, f"sms.{status}", form, status=status)
        url = message.body["form"].get("StatusCallback")
        if url:
            self.postman.call_back(url, token, form)

    def reply(self, sender: str, to: str, text: str, *, account: str) -> None:
        """The customer at `sender` answers `to`. STOP and START count for that pair, as at Twilio.

        Posted to the configured `sms_url`; raises KeyError for an account that never sent.
        """
        token = self.outbox.setting(f"twilio_token:{account}")
        if token is None:
            raise KeyError(account)
        word = text.strip().upper()
        pairs: list[list[str]] = self.outbox.setting("opted_out", [])
        if word in STOP_WORDS and [sender, to] not in pairs:
            self.outbox.set("opted_out", [*pairs, [sender, to]])
        elif word in START_WORDS:
            self.outbox.set("opted_out", [pair for pair in pairs if pair != [sender, to]])
        url = self.outbox.setting("sms_url")
        if url:
            identifier = f"SM{uuid.uuid4().hex}"
            form = {"AccountSid": account, "From": sender, "To": to, "Body": text, "NumMedia": "0", "NumSegments": "1"}
            form |= dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), identifier) | {"SmsStatus": "received"}
            if word in STOP_WORDS | START_WORDS:
                form["OptOutType"] = "STOP" if word in STOP_WORDS else "START"
            self.postman.call_back(url, token, form)

    def _lookup(self, account: str, identifier: str) -> Json:
        found = self.outbox.get(identifier, team=account)
        if found is None:
            raise TwilioError(404, 20404, f"The requested resource {identifier} was not found")
        return _resource(account, found, status=found.status)


def _account(account: str) -> Json:
    moment, uri = formatdate(0), f"/2010-04-01/Accounts/{account}"
    return {
        "auth_token": None,
        "date_created": moment,
        "date_updated": moment,
        "friendly_name": "Sandbox",
        "owner_account_sid": account,
        "sid": account,
        "status": "active",
        "subresource_uris": {"messages": f"{uri}/Messages.json"},
        "type": "Full",
        "uri": f"{uri}.json",
    }


def _resource(account: str, message: Message, status: str = "queued") -> Json:
    moment = formatdate(message.created)
    service = message.sender if message.sender.startswith("MG") else None
    uri = f"/2010-04-01/Accounts/{account}/Messages/{message.id}"
    made: dict[str, Any] = {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": message.body["text"],
        "date_created": moment,
        "date_sent": None if status == "queued" else moment,
        "date_updated": moment,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": None if service else message.sender,
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": str(1 + (len(message.body["text"]) - 1) // 160),
        "price": None,
        "price_unit": "USD",
        "sid": message.id,
        "status": status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to[0],
        "uri": f"{uri}.json",
    }
    return made
