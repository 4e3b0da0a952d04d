"""Who agreed to be written to on a channel: a history that only grows, whose latest word holds.

An address is kept as a keyed hash, the same as in suppressions, so the history is proof and no list of numbers.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock, ids
from core.errors import BadRequestError, NotFoundError
from models.messaging import Channel
from models.sending import Consent, ConsentState
from services.merchants import service as merchants
from services.messaging import consents_repository as repository
from services.messaging.addresses import BadAddressError, normal
from services.messaging.links import address_hash
from services.tasks import service as tasks
from services.tasks.schedules import Schedule, slot_key
from services.vault.keys import Purpose, derive_key

FUTURE = timedelta(minutes=5)  # clocks differ; nobody agrees tomorrow
CUSTOMER = "^[A-Za-z0-9_]{0,64}$"
_CUSTOMER = re.compile(CUSTOMER[1:-1], re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_CURSOR = re.compile(r"con_[0-9a-z]{20,40}", re.ASCII)
MOST = 100
PLANNED_ANEW = Schedule("pulse", timedelta(hours=1), spread=True)


class BadConsentError(BadRequestError):
    """What cannot be recorded, and why, in words for a person."""

    status, code, title = 422, "bad_consent", "This consent cannot be recorded"


class ConsentNotFoundError(NotFoundError):
    code, title = "consent_not_found", "There is no such consent"


@dataclass(frozen=True, slots=True)
class NewConsent:
    """Something that was agreed to or taken back, read and checked."""

    channel: Channel
    address: str = field(repr=False)
    state: ConsentState
    happened_at: datetime
    customer_id: str = ""
    source: str = ""
    text_version: str = ""

    @property
    def fact(self) -> tuple[Channel, str, datetime, ConsentState]:
        """What makes two of them the same."""
        return self.channel, self.address, self.happened_at, self.state


@dataclass(frozen=True, slots=True)
class ConsentView:
    """One entry of the history. `current` says that nothing later is recorded for the address."""

    id: str
    customer_id: str
    channel: Channel
    state: ConsentState
    happened_at: datetime
    source: str
    text_version: str
    recorded_by: str
    recorded_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """Newest first; `cursor` continues after the last, empty at the end."""

    entries: tuple[ConsentView, ...]
    cursor: str


def read(
    *,
    channel: str,
    address: str,
    happened_at: datetime,
    state: str = ConsentState.GRANTED,
    customer_id: str = "",
    country: str = "",
    source: str = "",
    text_version: str = "",
) -> NewConsent:
    """Check what somebody gives. Raises `BadConsentError`."""
    if channel.strip().lower() not in tuple(Channel):
        raise BadConsentError(f"the channel is {' or '.join(Channel)}")
    if state.strip().lower() not in tuple(ConsentState):
        raise BadConsentError(f"the state is {' or '.join(ConsentState)}")
    if happened_at > clock.now() + FUTURE:
        raise BadConsentError("the date lies in the future")
    if happened_at.year < 1990:
        raise BadConsentError("the date is too long ago")
    if not is_customer_id(customer_id.strip()):
        raise BadConsentError("this is no customer's id")
    known = Channel(channel.strip().lower())
    try:
        spelled = normal(known, address, country)
    except BadAddressError as error:
        raise BadConsentError(str(error)) from None
    return NewConsent(
        known,
        spelled,
        ConsentState(state.strip().lower()),
        happened_at,
        customer_id.strip(),
        _note(source),
        _note(text_version),
    )


def is_customer_id(text: str) -> bool:
    """Whether this may be a customer's id at Stripe; so may nothing, where none has to be named."""
    return _CUSTOMER.fullmatch(text) is not None


def _note(text: str) -> str:
    return " ".join(text.replace("\x00", "").encode(errors="ignore").decode().split())[:64]


def record(session: Session, merchant_id: str, given: Sequence[NewConsent], recorded_by: str) -> list[str | None]:
    """Add these to the history; the id of each, None for a fact that is recorded already. The caller commits."""
    key, now = derive_key(Purpose.SUPPRESSIONS), clock.now()
    rows = [
        {
            "merchant_id": merchant_id,
            "id": ids.new_id("con"),
            "customer_id": each.customer_id,
            "channel": each.channel,
            "address_hash": address_hash(key, merchant_id, each.channel, each.address),
            "state": each.state,
            "happened_at": each.happened_at,
            "source": each.source,
            "text_version": each.text_version,
            "recorded_by": recorded_by,
            "recorded_at": now,
        }
        for each in given
    ]
    new = repository.add(session, rows)
    ways = {each.channel for each, row in zip(given, rows, strict=True) if row["id"] in new}
    if Channel.EMAIL in ways or (ways and merchants.get_policy(session, merchant_id).sms):
        _have_planned(session, merchant_id)
    return [str(row["id"]) if row["id"] in new else None for row in rows]


def _have_planned(session: Session, merchant_id: str) -> None:
    """Have the ghosts planned anew that may be written to now, or no more: once for all that is recorded in an hour.

    What is planned already asks again before it is sent, so nothing depends on this being quick; and a merchant who
    records a consent for each new customer would have all their ghosts planned anew all the time.
    """
    share = PLANNED_ANEW.slot(merchant_id, clock.now())
    tasks.schedule(
        session,
        kind="pulse",
        merchant_id=merchant_id,
        key=slot_key("pulse:consents", merchant_id, share),
        payload={"replan": True},
        run_at=PLANNED_ANEW.begins(merchant_id, share + 1) + timedelta(seconds=5),
    )


def page(
    session: Session,
    merchant_id: str,
    *,
    limit: int = 50,
    cursor: str = "",
    customer_id: str = "",
    hashes: Sequence[str] = (),
) -> ConsentPage:
    """A page of the history, newest first, of one customer's or of these addresses where named.

    Raises `BadRequestError` for a bad cursor.
    """
    limit = max(1, min(limit, MOST))
    before = _opened(cursor) if cursor else None
    rows = repository.list_entries(session, merchant_id, limit + 1, before, customer_id or None, hashes)
    more = len(rows) > limit
    entries = tuple(_view(row, current) for row, current in rows[:limit])
    return ConsentPage(entries, _sealed(entries[-1].id) if more else "")


def get(session: Session, merchant_id: str, consent_id: str) -> ConsentView:
    """One entry. Raises `ConsentNotFoundError`, also for another merchant's."""
    found = repository.get_entry(session, merchant_id, _checked(consent_id))
    if found is None:
        raise ConsentNotFoundError
    return _view(*found)


def withdraw(session: Session, merchant_id: str, consent_id: str, recorded_by: str) -> ConsentView:
    """Take back what an entry granted: a new entry, for history is not rewritten. Idempotent.

    Raises `ConsentNotFoundError`.
    """
    found = repository.get_row(session, merchant_id, _checked(consent_id))
    if found is None:
        raise ConsentNotFoundError
    latest = repository.latest_of(session, merchant_id, found.channel, found.address_hash)
    if latest is None or latest.state == ConsentState.GRANTED:
        added = repository.add(session, [_withdrawal(found, latest or found, recorded_by)])
        _have_planned(session, merchant_id)
        (consent_id,) = added or {latest.id if latest else consent_id}
    else:
        consent_id = latest.id
    return get(session, merchant_id, consent_id)


def _checked(consent_id: str) -> str:
    if not _ID.fullmatch(consent_id):
        raise ConsentNotFoundError
    return consent_id


def _withdrawal(of: Consent, latest: Consent, recorded_by: str) -> dict[str, object]:
    now = clock.now()
    return {
        "merchant_id": of.merchant_id,
        "id": ids.new_id("con"),
        "customer_id": of.customer_id,
        "channel": of.channel,
        "address_hash": of.address_hash,
        "state": ConsentState.WITHDRAWN,
        "happened_at": max(now, latest.happened_at),  # a clock that ran ahead must not outrank the no
        "source": "withdrawn",
        "text_version": "",
        "recorded_by": recorded_by,
        "recorded_at": now,
    }


def _view(row: Consent, current: bool) -> ConsentView:
    return ConsentView(
        id=row.id,
        customer_id=row.customer_id,
        channel=Channel(row.channel),
        state=ConsentState(row.state),
        happened_at=row.happened_at,
        source=row.source,
        text_version=row.text_version,
        recorded_by=row.recorded_by,
        recorded_at=row.recorded_at,
        current=current,
    )


def _sealed(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def _opened(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor[:80] + "=" * (-len(cursor[:80]) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadRequestError("The cursor cannot be read.") from None
    if not _CURSOR.fullmatch(text):
        raise BadRequestError("The cursor cannot be read.")
    return text


def count_new(ids_of: Iterable[str | None]) -> int:
    """How many of what `record` answered are new."""
    return sum(each is not None for each in ids_of)
