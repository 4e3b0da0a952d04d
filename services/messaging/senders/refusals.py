"""What a provider says of a key that stands in no merchant's row: it refuses the platform's own, and all
merchants' messages wait; or its account has used up what it may send, and those behind it do; or it does not take what
one merchant writes as it is, and theirs alone wait.

Kept where all processes see it, for as long as it is likely to stand: what waits asks again every few minutes. While
Redis is away it is not known, and nothing depends on it but what people are told.
"""

import math
from datetime import timedelta

from sqlmodel import Session

from core import queue
from core.logging import redact
from models.messaging import Channel
from services.audit import service as audit
from services.messaging.brands import one_line
from services.messaging.senders.carriers import Carrier

NO_QUOTA, UNFIT = "sender_quota", "message_unfit"
LASTS = timedelta(minutes=15)
UNFIT_LASTS = timedelta(minutes=75)  # what is not taken as it is, is tried again within an hour
_PREFIX, _QUOTA, _UNFIT = "phantom:refused:", "phantom:quota:", "phantom:unfit:"
_NOTE_QUOTA = """
redis.call('hset', KEYS[1], 'said', ARGV[1])
redis.call('expire', KEYS[1], ARGV[3])
return redis.call('hsetnx', KEYS[1], ARGV[2], '1')
"""
_NOTE_UNFIT = "return redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2], 'get') and 0 or 1"


def note(key_print: str, reason: str) -> None:
    """The provider refused this key just now, in its own words."""
    seconds = str(math.ceil(LASTS.total_seconds()))
    queue.script("return redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])", [_PREFIX + key_print], [reason, seconds])


def reason_of(key_print: str) -> str:
    """Why the provider refuses this key, as it said lately; empty where it does not."""
    found = queue.script("return redis.call('get', KEYS[1]) or ''", [_PREFIX + key_print], [])
    return found.decode() if found else ""


def tell_quota(session: Session, merchant_id: str, channel: Channel, carrier: Carrier, reason: str) -> None:
    """The account's allowance is used up: the health card says so while it lasts, the merchant's live log once."""
    said, seconds = one_line(reason, 200), str(math.ceil(LASTS.total_seconds()))
    if not queue.script(_NOTE_QUOTA, [_QUOTA + carrier.key_print], [said, f"of:{merchant_id}", seconds]):
        return
    whose = "Your account" if carrier.own else "The account"
    kind = "mail" if channel == Channel.EMAIL else "text messages"
    text = f"{whose} for {kind} has used up what its provider lets it send: {said} Messages wait, and none is lost."
    audit.log_event(session, merchant_id, "messaging.sender_quota", text, level="warning")


def quota_of(key_print: str) -> str:
    """What the provider said lately of an allowance that is used up; empty where it takes messages."""
    found = queue.script("return redis.call('hget', KEYS[1], 'said') or ''", [_QUOTA + key_print], [])
    return found.decode() if found else ""


def tell_unfit(session: Session, merchant_id: str, channel: Channel, carrier: Carrier, reason: str) -> None:
    """A message of this merchant's is not taken as it is: their health card says so while it lasts, their log once."""
    said, seconds = one_line(redact(reason), 200), str(math.ceil(UNFIT_LASTS.total_seconds()))
    if not queue.script(_NOTE_UNFIT, [_unfit_of(carrier.key_print, merchant_id)], [said, seconds]):
        return
    kind = "A mail" if channel == Channel.EMAIL else "A text message"
    text = f"{kind} was not taken as it is by the provider: {said} It is tried again for about a day, and then fails."
    audit.log_event(session, merchant_id, "messaging.message_unfit", text, level="error")


def unfit_of(key_print: str, merchant_id: str) -> str:
    """What the provider said lately of a message of this merchant's that it did not take as it is; empty for none."""
    found = queue.script("return redis.call('get', KEYS[1]) or ''", [_unfit_of(key_print, merchant_id)], [])
    return found.decode() if found else ""


def _unfit_of(key_print: str, merchant_id: str) -> str:
    return f"{_UNFIT}{key_print}:{merchant_id}"
