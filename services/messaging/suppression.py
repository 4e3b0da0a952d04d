"""Taking a suppression back, and whom a number of the platform's own wrote to; suppressing itself is in `links`."""

import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session

from core import clock
from models.messaging import Channel
from services.messaging import links, repository
from services.messaging.senders import repository as senders
from services.vault.hash_keys import lasting_keys
from services.vault.keys import Purpose, derive_key

_PLATFORM = "platform"
STOPPED = "stopped"


def lift(session: Session, merchant_id: str, channel: Channel, address: str, reason: str, at: datetime) -> bool:
    """Write to an address again that was suppressed for this reason alone, as was said `at`.

    False where it was not, or only after that: of two words the later one holds, whichever is handled first.
    """
    keys = lasting_keys(session, Purpose.SUPPRESSIONS)
    hashes = links.address_hashes(keys, merchant_id, channel, address)
    reasons = (reason, repository.STOP_HEARD) if channel is Channel.SMS else (reason,)  # whichever came first
    return repository.delete_suppression(session, merchant_id, channel, hashes, reasons, at)


def remember_texted(session: Session, merchant_id: str, number: str) -> None:
    """The platform's own number wrote to `number` for this merchant: a STOP will concern it. Tenant session."""
    senders.add_texted(session, _number_hash(derive_key(Purpose.SUPPRESSIONS), number), merchant_id, clock.now())


def texted_merchants(session: Session, numbers: Collection[str]) -> dict[str, list[str]]:
    """Whom replies to the platform's number concern: by number, the merchants in whose name it wrote there.

    System session.
    """
    keys = lasting_keys(session, Purpose.SUPPRESSIONS) if numbers else ()
    whose = {_number_hash(key, number): number for number in numbers for key in keys}
    found: dict[str, set[str]] = {number: set() for number in numbers}
    for number_hash, merchant_id in senders.list_texted(session, list(whose)):
        found[whose[number_hash]].add(merchant_id)
    return {number: sorted(merchants) for number, merchants in found.items()}


def hear_stops(session: Session, merchant_id: str, numbers: Collection[str], at: datetime | None = None) -> None:
    """Nobody at these numbers, who say STOP now (or said it `at`), gets a text from this commit on.

    What else follows from it is its event's task.
    """
    key = derive_key(Purpose.SUPPRESSIONS)
    hashes = [links.address_hash(key, merchant_id, Channel.SMS, number) for number in numbers]
    repository.add_heard_stops(session, merchant_id, hashes, at or clock.now())


def is_stopped(session: Session, merchant_id: str, number: str) -> bool:
    """Whether somebody at this number said STOP to the merchant, and no START after it."""
    hashes = links.address_hashes(lasting_keys(session, Purpose.SUPPRESSIONS), merchant_id, Channel.SMS, number)
    reasons = repository.list_suppressed(session, merchant_id, Channel.SMS, hashes).values()
    return not {STOPPED, repository.STOP_HEARD}.isdisjoint(reasons)


def stop(session: Session, merchant_id: str, number: str, reason: str, at: datetime) -> bool:
    """Nobody at this number, who said STOP `at`, gets a text any more. False when that was so already.

    Also then the moment is kept: a START from before it lifts nothing.
    """
    is_new = links.suppress(session, merchant_id, Channel.SMS, number, reason, at)
    if not is_new:
        hear_stops(session, merchant_id, [number], at)
    return is_new


def _number_hash(key: bytes, number: str) -> str:
    """Not a merchant's own, unlike the hashes of suppressions: the reply does not say whom it is for."""
    return hmac.digest(key, f"{_PLATFORM}:{Channel.SMS}:{number}".encode(), hashlib.sha256).hex()
