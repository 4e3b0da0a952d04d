"""Money that went back without a word: refunds and disputes since the last hunt, joined with what was recovered.

A refund or dispute of a payment that recovered no ghost costs no request and no row, and one that did costs none
either: the lists say all there is to know. A dispute is decided up to months after it was opened, so the next hunts
begin at the oldest one that is still open.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core import clock
from services.hunter import repository
from services.hunter.schemas import LookBack
from services.hunter.sweeps import DISPUTES, REFUNDS
from services.integrations.stripe import returns
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.reading import identifier, mapping, moment
from services.recovery import repository as recoveries
from services.recovery.credit.reversals import Returned, invoices_of, take_back
from services.recovery.work import MerchantContext

REFUNDS_FAIL_WITHIN = timedelta(days=60)
"""A bank gives a refund back within 30 days (Stripe docs, "Failed refunds"); a transfer waits 45 for an account."""
OVERLAP = timedelta(days=1)
"""Longer than two clocks can disagree, and than Stripe's lists may lag behind what they list."""


def look_back(session: Session, merchant_id: str) -> LookBack:
    """Since when refunds and disputes have to be listed.

    From where the last hunt that could look ended, and as far back as the payments go that were recorded since: a
    payment can be heard of long after it was made, and then what gave it back is older than the last look. A refund
    that counted is looked at until it can fail no more, and with it whatever dispute of that payment found too little.
    """
    until, now = repository.looked_until(session, merchant_id), clock.now()

    @functools.cache
    def first_payment(since: datetime | None) -> datetime | None:
        return repository.first_payment(session, merchant_id, recorded_since=since)

    def since(name: str) -> datetime | None:
        if name not in until:
            return first_payment(None)
        overlapping = until[name] - OVERLAP
        return min(overlapping, first_payment(overlapping) or overlapping)

    refunds, disputes = since(REFUNDS), since(DISPUTES)
    counted = repository.first_reversal(session, merchant_id, since=now - REFUNDS_FAIL_WITHIN)
    paid = repository.first_payment_of_reversed(session, merchant_id, since=now - REFUNDS_FAIL_WITHIN)
    return LookBack(_earlier(refunds, counted), _earlier(disputes, paid))


def _earlier(since: datetime | None, also: datetime | None) -> datetime | None:
    return min(since, also) if since and also else since


def store(
    session: Session,
    merchant: MerchantContext,
    name: str,
    items: Sequence[Any],
    now: datetime,
    unreadable: list[UnreadableInvoiceError],
) -> tuple[int, datetime | None]:
    """Take back what a page of refunds or disputes did: of how many recoveries, and the oldest dispute still open.

    What a refund had taken that failed since is given back.

    Adds to `unreadable` what cannot be read. Only disputes over recovered ghosts are waited for.
    """
    backs, open_ones = list(_read(name, items, unreadable)), []
    if name == DISPUTES:
        open_ones = [mapping(item) for item in items if returns.is_open(item)]
    intents = [back.payment_intent_id for back in backs] + [identifier(one.get("payment_intent")) for one in open_ones]
    undone = _undone(session, merchant.id, name, items)
    known = recoveries.paid_by_intents(
        session, merchant.id, sorted({intent for intent in intents if intent}), also_reversed=bool(undone)
    )
    returned = [
        Returned(back, tuple(known[back.payment_intent_id])) for back in backs if back.payment_intent_id in known
    ]
    waiting = [moment(one.get("created")) for one in open_ones if identifier(one.get("payment_intent")) in known]
    done = take_back(session, merchant, returned, now, undone) if returned or undone else 0
    return done, min((each for each in waiting if each), default=None)


def _undone(session: Session, merchant_id: str, name: str, items: Sequence[Any]) -> list[returns.Undone]:
    """What came to nothing after it had counted, which is hardly ever anything."""
    undoes = returns.undone_refund if name == REFUNDS else returns.won_dispute
    found = [one for item in items if (one := undoes(item)) is not None]
    return found if found and invoices_of(session, merchant_id, found) else []


def _read(name: str, items: Sequence[Any], unreadable: list[UnreadableInvoiceError]) -> Iterator[returns.MoneyBack]:
    for item in items:
        try:
            back = returns.refund_of(item) if name == REFUNDS else _of_dispute(item)
        except UnreadableInvoiceError as error:
            unreadable.append(error)
            continue
        if back is not None:
            yield back


def _of_dispute(dispute: Any) -> returns.MoneyBack | None:
    """Stripe does not say when it was lost: it counts on the day it is found out."""
    back = returns.lost_dispute(dispute)
    return back and replace(back, at=None)
