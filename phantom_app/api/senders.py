"""`/api/webhooks/resend`: what the mail provider tells of our messages. Stored with its task, then acknowledged."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from core import clock, db, queue
from core.config import settings
from core.errors import TooLargeError
from services.handshake import service, svix
from services.handshake.errors import EndpointDisabledError, NotAnEventError
from services.recovery import delivery

LONGEST = 256 * 1024
RESEND_PATH = "/api/webhooks/resend"

_MERCHANT = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)

router = APIRouter()


@router.post(RESEND_PATH)
async def resend(request: Request) -> PlainTextResponse:
    """200 once it is stored or is nothing of ours; 400 unless it is genuine; 404 where no secret is configured."""
    secrets = settings().resend_webhook_secrets()
    if not secrets:
        raise EndpointDisabledError
    raw = await _body(request)
    delivery_id = svix.verify(raw, request.headers, secrets, clock.now())
    stored = await run_in_threadpool(_store, delivery_id, raw)
    return PlainTextResponse("stored" if stored else "ignored")


async def _body(request: Request) -> bytes:
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > LONGEST:
            raise TooLargeError
    return bytes(parts)


def _store(delivery_id: str, raw: bytes) -> bool:
    event: Any = service.parse_json(raw)
    if not isinstance(event, dict):
        raise NotAnEventError("The body is not a JSON object.")
    kind, merchant_id = event.get("type"), delivery.tag(event.get("data"), delivery.MERCHANT_TAG)
    if kind not in delivery.HANDLED or not _MERCHANT.fullmatch(merchant_id):
        return False  # a type we do not act on, or a mail of the same team that is not ours
    with db.system_session() as session:
        new = service.store_sender_event(session, delivery_id, kind, merchant_id, raw)
    if new:
        queue.announce_work()
    return new
