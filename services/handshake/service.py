"""Reading webhooks: the few facts intake needs, the event its handler gets, and what is swept up later."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from sqlmodel import Session

from core import clock
from core.config import settings
from models.work import ProcessedEvent
from services.handshake import repository
from services.handshake.errors import NotAnEventError
from services.handshake.schemas import IncomingEvent, SenderEvent, StoredEvent

EVENT_PRIORITY = 10
SENDER_PRIORITY = 0  # what becomes of a mail may wait for what becomes of money
RESEND, TWILIO = "resend", "twilio"
SWEEP_AFTER = timedelta(seconds=5)
KEEP_HANDLED = timedelta(days=30)
GIVEN_UP = "given_up"  # the outcome of what nobody could handle
GIVE_UP_AFTER = timedelta(days=90)  # as long as a ghost's personal data is kept

# What can move or explain a ghost. What is not here is stored as seen, and not handled.
HANDLED_TYPES = frozenset(
    {
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.voided",
        "invoice.marked_uncollectible",
        "invoice.finalization_failed",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "invoice.upcoming",
        "payment_method.attached",
        "payment_method.detached",
        "payment_method.updated",
        "payment_method.automatically_updated",
        "customer.source.expiring",
        "customer.updated",
        "customer.deleted",
        "charge.refunded",
        "charge.refund.updated",
        "refund.failed",
        "refund.updated",
        "charge.dispute.created",
        "charge.dispute.closed",
        "account.application.deauthorized",
    }
)

# Identifiers as Stripe makes them: printable ASCII. Anything else could not be stored as text and would take its
# whole commit batch down.
_ID = re.compile(r"[\x21-\x7e]{1,190}", re.ASCII)  # a task's key is `event:` and this
_TYPE = re.compile(r"[\x21-\x7e]{1,120}", re.ASCII)
_ACCOUNT = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What intake must know of an event; the rest is read by its task."""

    id: str
    type: str
    account: str | None
    livemode: bool


def parse_json(raw: bytes) -> Any:
    """Any JSON that can be read at all. Raises `NotAnEventError`.

    The fast reader refuses what a hostile customer name can contain (a lone surrogate); the slow one takes it.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise NotAnEventError("The body is not JSON that can be read.") from None


def read_envelope(raw: bytes) -> Envelope:
    """The facts intake needs. Raises `NotAnEventError` unless the body is an object with a usable id and type."""
    event = parse_json(raw)
    if not isinstance(event, dict):
        raise NotAnEventError("The body is not a JSON object.")
    identifier, kind, account = event.get("id"), event.get("type"), event.get("account")
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
        raise NotAnEventError("The event has no usable id.")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise NotAnEventError("The event has no usable type.")
    if account is not None and (not isinstance(account, str) or not _ACCOUNT.fullmatch(account)):
        raise NotAnEventError("The event's account is not usable.")
    return Envelope(identifier, kind, account, event.get("livemode") is True)


def store_sender_events(session: Session, events: Sequence[SenderEvent]) -> dict[str, bool]:
    """Store what providers tell, each with its task, in one statement: by id, of those nobody has handled yet, whether
    it is new. A repetition of what was handled is missing. System login only; the caller commits before it answers.
    """
    if not events:
        return {}
    ordered = sorted(events, key=lambda event: event.id)  # as all who store, so that nobody deadlocks
    columns = {
        "ids": [event.id for event in ordered],
        "sources": [event.source for event in ordered],
        "types": [event.type for event in ordered],
        "merchants": [event.merchant_id for event in ordered],
        "payloads": [event.body for event in ordered],
    }
    values = {"livemode": settings().livemode, "now": clock.now(), "priority": SENDER_PRIORITY}
    return repository.store_sender_events(session, columns | values)


def get_event(session: Session, event_id: str) -> StoredEvent | None:
    """A stored event, handled or not. System login only."""
    return repository.get_event(session, event_id)


def read_event(stored: StoredEvent | ProcessedEvent) -> IncomingEvent:
    """What a handler gets. Raises `NotAnEventError` for a stored event that cannot be read or has no merchant."""
    if stored.payload is None or stored.merchant_id is None or stored.account is None:
        raise NotAnEventError("The stored event has no payload or no merchant.")
    try:
        event = json.loads(stored.payload)  # exact integers, which the fast reader turns into floats above 64 bits
    except (ValueError, RecursionError):
        event = parse_json(stored.payload)
    clean_texts(event)
    data = event.get("data") if isinstance(event.get("data"), dict) else {}
    created = event.get("created")
    return IncomingEvent(
        id=stored.id,
        type=stored.type,
        account=stored.account,
        merchant_id=stored.merchant_id,
        created=clock.from_timestamp(created) if _is_moment(created) else stored.received_at,
        object=_object(data.get("object")),
        previous_attributes=_object(data.get("previous_attributes")),
        api_version=str(event.get("api_version") or ""),
    )


def read_sender_event(stored: StoredEvent | ProcessedEvent) -> tuple[str, str, dict[str, Any]]:
    """Merchant, type and data of what a mail provider told. Raises `NotAnEventError` for what cannot be read."""
    event = parse_json(stored.payload or b"")
    if not isinstance(event, dict) or stored.merchant_id is None:
        raise NotAnEventError("The stored event has no object or no merchant.")
    clean_texts(event)
    return stored.merchant_id, stored.type, _object(event.get("data"))


def clean_texts(value: Any) -> None:
    """Replace, in place, what PostgreSQL cannot store in texts. Iterative: nesting is the sender's choice."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            for name in [name for name in container if _UNSTORABLE.search(name)]:
                container[_UNSTORABLE.sub("\ufffd", name)] = container.pop(name)
            items: list[tuple[Any, Any]] = list(container.items())
        elif isinstance(container, list):
            items = list(enumerate(container))
        else:
            continue
        for place, item in items:
            if isinstance(item, str):
                if _UNSTORABLE.search(item):
                    container[place] = _UNSTORABLE.sub("\ufffd", item)
            elif isinstance(item, dict | list):
                waiting.append(item)


def mark_handled(session: Session, event_id: str, outcome: str) -> None:
    """The event is dealt with: its outcome is noted and its payload, which holds personal data, emptied."""
    repository.mark_handled(session, event_id, outcome[:48], clock.now())


def sweep_unhandled(session: Session, limit: int = 500) -> int:
    """Give a task to events that wait for more than five seconds without one; how many.

    A dead task counts as one: it waits for a person, not for another five attempts.
    """
    now = clock.now()
    return repository.sweep(session, before=now - SWEEP_AFTER, now=now, priority=EVENT_PRIORITY, limit=limit)


def what_is_old(session: Session) -> frozenset[str]:
    """What is worth doing: `events` to be pruned, events to be `given_up`; one statement, as mostly nothing is."""
    now = clock.now()
    return frozenset(repository.old(session, handled_before=now - KEEP_HANDLED, unhandled_before=now - GIVE_UP_AFTER))


def prune_handled(session: Session, limit: int) -> int:
    """Delete up to `limit` handled events older than 30 days; how many. The rest is kept for ever."""
    return repository.prune(session, before=clock.now() - KEEP_HANDLED, limit=limit)


def give_up(session: Session, limit: int) -> int:
    """Empty up to `limit` events that nobody could handle for 90 days of their payload; how many.

    The row stays for ever and says so in its outcome: what an event told may be lost, that it came may not.
    """
    now = clock.now()
    return repository.give_up(session, before=now - GIVE_UP_AFTER, now=now, limit=limit)


def _is_moment(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 253_402_300_800  # year 10000


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
