"""Webhooks of the senders' providers, the platform's and each merchant's own: stored with a task, then acknowledged.

`/api/webhooks/resend` and `/api/webhooks/twilio` are the platform's; behind a further part stands one merchant's
sender, and what comes there is signed with that merchant's secret and can speak of that merchant alone.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from core import clock, db, queue
from core.config import settings
from core.errors import NotFoundError, TooManyRequestsError
from models.messaging import Channel
from phantom_app.api import guessing
from phantom_app.api.gathering import Gathering
from phantom_app.api.requests import client_address, read_body
from phantom_app.api.sender_keys import SenderKeys
from services.handshake import service, svix
from services.handshake.errors import EndpointDisabledError, NotAnEventError, SignatureError
from services.handshake.schemas import SenderEvent
from services.integrations.twilio import is_genuine
from services.messaging import suppression
from services.messaging.addresses import BadAddressError, number
from services.messaging.senders.carriers import RESEND_PATH, TWILIO_PATH
from services.messaging.senders.schemas import WebhookSecrets
from services.recovery.messages import delivery, replies, texts

LONGEST = 256 * 1024
LONGEST_FORM = 64 * 1024
_MERCHANT = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_SID = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_MESSAGE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TWIML = Response('<?xml version="1.0" encoding="UTF-8"?><Response/>', media_type="text/xml")


class TooManyGuessesError(TooManyRequestsError):
    retry_after = guessing.RETRY_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class _Told:
    """One thing to store. A reply to the platform's number has no `merchant_id`: it concerns whom that wrote for."""

    source: str
    delivery_id: str
    kind: str
    merchant_id: str
    body: bytes
    number: str = ""
    stops: bool = False


async def resend(request: Request) -> PlainTextResponse:
    """200 once it is stored or is nothing of ours; 400 unless it is genuine; 404 where no secret is configured."""
    secrets = settings().resend_webhook_secrets()
    if not secrets:
        raise EndpointDisabledError
    raw = await read_body(request, LONGEST)
    return await _resend(raw, svix.verify(raw, request.headers, secrets, clock.now()), "")


async def own_resend(request: Request) -> PlainTextResponse:
    """The same for a merchant's own key; 404 for an address that is nobody's."""
    known = await _known(request, Channel.EMAIL)
    raw = await read_body(request, LONGEST)
    return await _resend(raw, svix.verify(raw, request.headers, known.secrets, clock.now()), known.merchant_id)


async def twilio(request: Request) -> Response:
    """200 once it is stored or asks for nothing; 400 unless Twilio signed it; 404 where there is no auth token."""
    token = settings().twilio_auth_token
    if token is None:
        raise EndpointDisabledError
    form = await _signed_form(request, token.get_secret_value())
    merchant_id = request.query_params.get("merchant", "")
    return await _twilio(form, request.query_params, merchant_id if _MERCHANT.fullmatch(merchant_id) else "")


async def own_twilio(request: Request) -> Response:
    """The same for a merchant's own account; 404 for an address that is nobody's."""
    known = await _known(request, Channel.SMS)
    form = await _signed_form(request, known.secrets[0])
    return await _twilio(form, request.query_params, known.merchant_id)


async def _known(request: Request, channel: Channel) -> WebhookSecrets:
    """Who asks for many addresses that are nobody's is told to wait; a genuine one is never counted.

    Raises `NotFoundError`, `TooManyGuessesError`.
    """
    try:
        return await keys.of(request.path_params["token"], channel)
    except NotFoundError:
        if not guessing.misses.allow(client_address(request)):
            raise TooManyGuessesError from None
        raise


async def _resend(raw: bytes, delivery_id: str, owner: str) -> PlainTextResponse:
    event: Any = service.parse_json(raw)
    if not isinstance(event, dict):
        raise NotAnEventError("The body is not a JSON object.")
    kind, merchant_id = event.get("type"), delivery.tag(event.get("data"), delivery.MERCHANT_TAG)
    if kind not in delivery.HANDLED or not _MERCHANT.fullmatch(merchant_id) or owner not in ("", merchant_id):
        return PlainTextResponse("ignored")  # a type we do not act on, or a mail of the same team that is not ours
    # A merchant's ids are its own: whoever knows its secret can choose them, and must not use up another's.
    name = f"{owner}:{delivery_id}" if owner else delivery_id
    new = await gathering.store(_Told(service.RESEND, name, kind, merchant_id, raw))
    return PlainTextResponse("stored" if new else "ignored")


async def _twilio(form: Mapping[str, Sequence[str]], query: Mapping[str, str], merchant_id: str) -> Response:
    sid, status = _one(form, "MessageSid") or _one(form, "SmsSid"), _one(form, "MessageStatus")
    if not _SID.fullmatch(sid):
        raise NotAnEventError("The form names no message.")
    if status:
        told = _status_told(sid, status, form, query.get("message", ""), merchant_id)
    else:
        told = _reply_told(sid, form, merchant_id)
    if told is not None:
        await gathering.store(told)
    return _TWIML


def _status_told(
    sid: str, status: str, form: Mapping[str, Sequence[str]], message_id: str, merchant_id: str
) -> _Told | None:
    if status not in texts.HANDLED_STATUS or not merchant_id or not _MESSAGE.fullmatch(message_id):
        return None
    data = {"message": message_id, "status": status, "sid": sid, "error": _one(form, "ErrorCode")[:10]}
    return _Told(service.TWILIO, f"{merchant_id}:{sid}:{status}", texts.STATUS, merchant_id, _json(data))


def _reply_told(sid: str, form: Mapping[str, Sequence[str]], merchant_id: str) -> _Told | None:
    asked = replies.asks(_one(form, "Body")[:200], _one(form, "OptOutType"))
    try:
        sender = number(_one(form, "From"))
    except BadAddressError:
        return None  # a short code or a name: nobody whom we write to
    if not asked:
        return None
    body = _json({"from": sender, "asks": asked})
    name = f"{merchant_id or '-'}:{sid}:reply"
    return _Told(service.TWILIO, name, texts.REPLY, merchant_id, body, sender, stops=asked == replies.STOP)


def _one(form: Mapping[str, Sequence[str]], name: str) -> str:
    return form[name][-1] if name in form else ""


def _json(data: dict[str, str]) -> bytes:
    return json.dumps({"data": data}).encode()


async def _signed_form(request: Request, auth_token: str) -> Mapping[str, Sequence[str]]:
    """The form, if Twilio signed it for this address as the world knows it. Raises `SignatureError`."""
    raw = await read_body(request, LONGEST_FORM)
    try:
        form = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise NotAnEventError("The body is not a form that can be read.") from None
    query = f"?{request.url.query}" if request.url.query else ""
    # Not the address that reached this process: a proxy in front may have changed scheme, host and port.
    address = f"{settings().public_url}{request.url.path}{query}"
    if not is_genuine(auth_token, address, form, request.headers.get("x-twilio-signature", "")):
        raise SignatureError("no signature matches")
    return form


def _store(items: Sequence[_Told]) -> list[bool]:
    """In one transaction for all, and one for each merchant somebody said STOP to: which takes effect here and now."""
    with db.system_session() as session:
        concerned = suppression.texted_merchants(session, {told.number for told in items if not told.merchant_id})
        events = [_events(told, concerned.get(told.number, [])) for told in items]
        is_new = service.store_sender_events(session, [each for of_one in events for each in of_one])
    _hear_stops(
        (told, each) for told, of_one in zip(items, events, strict=True) for each in of_one if each.id in is_new
    )
    new = {name for name, fresh in is_new.items() if fresh}
    if is_new:
        queue.announce_work()
    return [_take(new, of_one) for of_one in events]


def _events(told: _Told, concerned: Sequence[str]) -> list[SenderEvent]:
    if told.merchant_id:
        return [SenderEvent(told.source, told.delivery_id, told.kind, told.merchant_id, told.body)]
    return [SenderEvent(told.source, f"{told.delivery_id}:{each}", told.kind, each, told.body) for each in concerned]


def _hear_stops(waiting: Iterable[tuple[_Told, SenderEvent]]) -> None:
    """Of events that nobody has handled yet: their tasks may wait behind thousands, and a text before them."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for told, event in waiting:
        if told.stops:
            numbers[event.merchant_id].add(told.number)
    for merchant_id, stopped in numbers.items():
        with db.tenant_session(merchant_id) as session:
            suppression.hear_stops(session, merchant_id, stopped)


def _take(new: set[str], events: Sequence[SenderEvent]) -> bool:
    """Whether one of these is new; of the same event twice in a batch the first alone."""
    mine = {event.id for event in events} & new
    new -= mine
    return bool(mine)


gathering: Gathering[_Told] = Gathering(_store)
keys = SenderKeys()
router = APIRouter()
# Plain routes: what FastAPI does to find out what a handler wants costs as much as verifying and parsing a reply.
for path, endpoint in (
    (RESEND_PATH, resend),
    (RESEND_PATH + "/{token}", own_resend),
    (TWILIO_PATH, twilio),
    (TWILIO_PATH + "/{token}", own_twilio),
):
    router.add_route(path, endpoint, methods=["POST"])
