"""Whether everything a merchant's recovery leans on is alive: the platform's parts, and the merchant's vendors."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import redis
from sqlalchemy import text
from sqlmodel import Session

from core import clock, queue
from core.config import settings
from models.messaging import Channel
from models.sending import SenderState
from services.hunter import service as hunter
from services.merchants import service as merchants
from services.messaging.senders import service as senders
from services.operations import mail_repository, repository
from services.outbound import usage

SILENT = timedelta(seconds=45)
"""Workers tell Redis of themselves every ten seconds."""


class Health(StrEnum):
    WORKING = "working"
    TROUBLE = "trouble"
    AWAY = "away"
    NOT_SET_UP = "not_set_up"


@dataclass(frozen=True, slots=True)
class Sign:
    """One part. `good_at` and `bad_at`: when it last did and last failed what it is for; `reason`: why it failed.

    `number` is milliseconds of an answer, or how many there are.
    """

    part: str
    health: Health
    good_at: datetime | None = None
    bad_at: datetime | None = None
    reason: str = ""
    number: int = 0


def platform_signs(session: Session) -> tuple[Sign, ...]:
    """PostgreSQL, Redis, workers and Sentinel, asked now. System login."""
    leaders = repository.leaders(session)
    return (
        Sign("postgresql", Health.WORKING, number=_milliseconds(lambda: session.execute(text("select 1")))),
        *_of_redis(),
        Sign("sentinel", Health.WORKING if leaders else Health.AWAY, number=leaders),
    )


def _of_redis() -> tuple[Sign, Sign]:
    try:
        answered = _milliseconds(lambda: queue.connection().ping())
        beats = queue.worker_heartbeats()
    except redis.RedisError:
        # workers go on without it, and nobody can be asked how many
        return Sign("redis", Health.AWAY), Sign("workers", Health.TROUBLE)
    now = clock.SystemClock().now()  # a heartbeat is a moment of the machine's time, whatever a demo's clock says
    alive = [beat for beat in beats if now - beat < SILENT]
    workers = Sign(
        "workers", Health.WORKING if alive else Health.AWAY, good_at=max(beats, default=None), number=len(alive)
    )
    return Sign("redis", Health.WORKING, number=answered), workers


def merchant_signs(session: Session, merchant_id: str) -> tuple[Sign, ...]:
    """The merchant's Stripe account and mail sender, told by their last hunt and messages. Tenant session.

    And what was reported to the operator's meter, where the merchant is billed.
    """
    return _of_stripe(session, merchant_id), _of_mail(session, merchant_id), *_of_usage(session, merchant_id)


def _of_usage(session: Session, merchant_id: str) -> tuple[Sign, ...]:
    told = usage.told(session, merchant_id)
    if not told.is_billed:
        return ()
    return (_by_the_last("usage", told.sent_at, told.refused_at),)


def _by_the_last(name: str, good: datetime | None, bad: datetime | None, why: str = "") -> Sign:
    """Trouble while what failed last is newer than what went well last; then also why."""
    failed_last = bad is not None and (good is None or bad > good)
    return Sign(name, Health.TROUBLE if failed_last else Health.WORKING, good, bad, why if failed_last else "")


def _of_stripe(session: Session, merchant_id: str) -> Sign:
    merchant = merchants.get_merchant(session, merchant_id)
    hunts = hunter.recent_hunts(session, merchant_id, 10)
    good = next((hunt.finished_at for hunt in hunts if hunt.state == "done"), None)
    bad = next((hunt for hunt in hunts if hunt.state == "failed"), None)
    bad_at = (bad.finished_at or bad.started_at) if bad else None
    if not merchant.is_connected:
        return Sign("stripe", Health.NOT_SET_UP, good, bad_at)
    return _by_the_last("stripe", good, bad_at, bad.error if bad else "")


def _of_mail(session: Session, merchant_id: str) -> Sign:
    good = mail_repository.mail_went_out_at(session, merchant_id)
    refused = mail_repository.refused_mail(session, merchant_id)
    own = next((each for each in senders.senders_of(session, merchant_id) if each.channel is Channel.EMAIL), None)
    if own is None and settings().resend_api_key is None:
        return Sign("mail", Health.NOT_SET_UP, good)
    if own is not None and own.state is SenderState.PAUSED:
        return Sign("mail", Health.TROUBLE, good, own.paused_at, own.paused_reason)
    return _by_the_last("mail", good, refused.due_at if refused else None, refused.reason if refused else "")


def _milliseconds(ask: Callable[[], object]) -> int:
    started = time.perf_counter()
    ask()
    return math.ceil((time.perf_counter() - started) * 1000)
