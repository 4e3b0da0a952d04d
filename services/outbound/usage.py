"""What merchants are billed for, told to a Stripe meter of the operator's account: each day once, whatever happens.

A day (UTC) is summed from the activity ledger, recovered less reversed, one meter event a currency: amounts of
different currencies have no sum, so the meter of `USAGE_METER` is one a currency, `<name>_usd`. A row may be committed
after its day was counted. So days are counted again for five weeks, and what is owed is always all that was counted
less all that was sent, never a stretch between two marks; the table `usage_reports` is that account.

Sending is intent, act, settlement, as with every effect outside. A report that a crash left in between is sent again
under its identifier, which Stripe takes once a day; when a day has passed the meter itself is asked.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from sqlmodel import Session

from core import clock, ids
from core.config import settings
from core.errors import BadRequestError, NotFoundError
from core.locks import wait_transaction_lock
from models.usage import ReportState, UsageReport
from services.audit import service as audit
from services.integrations.stripe import meters
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeMeterError, StripeNotFoundError
from services.integrations.stripe.meters import MeterEvent
from services.outbound import usage_repository as repository
from services.outbound.balance import reports_due
from services.tasks.schedules import offset_of

COUNTED_AGAIN = timedelta(days=35)
REPORTED_BACK = timedelta(days=33)  # two days less than Stripe takes, for retries and clocks
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_KEY_IS_GOOD = meters.MEMORY - timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is committed as begun."""

    merchant_id: str
    currency: str
    day: date
    event: MeterEvent
    intended_at: datetime


class Fate(StrEnum):
    SENT = "sent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Told:
    """The latest report, for screens. `day` is None before the first; `error` is a code of the refused one after it."""

    is_billed: bool
    day: date | None = None
    amount: int = 0
    currency: str = ""
    sent_at: datetime | None = None
    refused_at: datetime | None = None
    error: str = ""


def bill(session: Session, merchant_id: str, customer_id: str | None, *, since: date | None = None) -> None:
    """Bill a merchant by `customer_id` of the platform's account from `since` (UTC, default today) on; None: no more.

    What was recovered before that day is never billed. Raises `NotFoundError`, `BadRequestError` for no customer's id
    and for a day that is too long ago to be counted: it would be left out, and nobody told.
    """
    merchant = repository.get_merchant(session, merchant_id)
    if merchant is None:
        raise NotFoundError("There is no such merchant")
    if customer_id is not None and not customer_id.startswith("cus_"):
        raise BadRequestError("A customer's id at Stripe begins with cus_")
    now = clock.now()
    starts = (since or now.date()) if customer_id else None
    if starts is not None and not _is_counted(starts, merchant.usage_since, now.date()):
        earliest = (now.date() - REPORTED_BACK).isoformat()
        raise BadRequestError(f"Days that long ago cannot be reported any more. The first one that can is {earliest}.")
    repository.set_billing(session, merchant, customer_id, starts, now)
    audit.record_audit(session, merchant_id, "usage.billing_changed", target=customer_id or "")


def _is_counted(day: date, billed_since: date | None, today: date) -> bool:
    """Whether a day is still in reach of the meter, or was counted when it was: the merchant is billed since then."""
    return day >= today - REPORTED_BACK or (billed_since is not None and day >= billed_since)


def begin(session: Session, merchant_id: str, now: datetime) -> list[Report]:
    """Count the days anew and commit as begun what is owed for those that are over; with what a crash left begun.

    Nothing where no meter is set up or the merchant is not billed. `now` is aware UTC; the caller commits.
    """
    wait_transaction_lock(session, f"usage:{merchant_id}")
    merchant = repository.get_merchant(session, merchant_id)
    prefix = settings().usage_meter
    if merchant is not None and prefix and merchant.usage_customer_id and merchant.usage_since:
        _count(session, merchant_id, merchant.usage_since, now)
        for row, amount in _due(session, merchant_id, merchant.usage_since, now):
            _intend(row, amount, merchant.usage_customer_id, prefix, now)
        session.flush()
    return [_report(row) for row in repository.list_in_state(session, merchant_id, ReportState.SENDING)]


def _count(session: Session, merchant_id: str, billed_since: date, now: datetime) -> None:
    since = max(_midnight(billed_since), _midnight(now.date() - COUNTED_AGAIN))
    before = _midnight(now.date())
    rows = repository.net_by_day(
        session,
        merchant_id=merchant_id,
        since=since,
        before=before,
        first_id=ids.first_id_of("ul", since - _MINUTE),  # a row's id and its time are two looks at the clock
        before_id=ids.first_id_of("ul", before + _MINUTE),
        billed_since=_midnight(billed_since),
    )
    repository.set_counted(session, merchant_id, rows)


def _due(session: Session, merchant_id: str, billed_since: date, now: datetime) -> list[tuple[UsageReport, int]]:
    """The rows to send and how much each; a day on which nothing happened gets a row when it makes up for others."""
    known = [row for row in repository.list_reports(session, merchant_id) if row.day >= billed_since]
    yesterday = now.date() - _DAY
    first = max(billed_since, now.date() - REPORTED_BACK)
    found = []
    for currency in sorted({row.currency for row in known}):
        mine = {row.day: row for row in known if row.currency == currency}
        due = reports_due(
            {day: row.counted_cents for day, row in mine.items()},
            sum(row.sent_cents for row in mine.values() if row.state != ReportState.REFUSED),
            {day for day, row in mine.items() if row.state != ReportState.COUNTED},
            [day for day in {*mine, yesterday} if first <= day <= yesterday],
        )
        for day, amount in due.items():
            if day not in mine:
                repository.set_counted(session, merchant_id, [(currency, day, 0)])
            row = repository.get_report(session, merchant_id, currency, day)
            assert row is not None  # noqa: S101  # made above if it was not there
            found.append((row, amount))
    return found


def _intend(row: UsageReport, amount: int, customer_id: str, prefix: str, now: datetime) -> None:
    row.state, row.sent_cents, row.customer_id = ReportState.SENDING, amount, customer_id
    row.event_name = f"{prefix}_{row.currency}"
    row.identifier = f"phantom:{row.merchant_id}:{row.currency}:{row.day.isoformat()}"
    # A minute of the merchant's own, so that the meter can be asked for this one event even where merchants share a
    # customer; within the day, so that it falls into the right billing period.
    minute = int(offset_of(row.merchant_id, _DAY) / _MINUTE)
    row.stamped_at = _midnight(row.day) + minute * _MINUTE
    row.intended_at, row.error = now, ""


def _report(row: UsageReport) -> Report:
    assert row.stamped_at is not None  # noqa: S101  # set with the intent, as is the next
    assert row.intended_at is not None  # noqa: S101
    event = MeterEvent(row.event_name, row.identifier, row.customer_id, row.sent_cents, row.stamped_at)
    return Report(row.merchant_id, row.currency, row.day, event, row.intended_at)


def send(client: ScopedStripe, report: Report, now: datetime) -> tuple[Fate, str]:
    """Tell the meter, with no transaction open; the fate and why. Safe to repeat, however late.

    Raises the client's errors where it is not known whether Stripe has it: the same report again later.
    """
    try:
        if now - report.intended_at >= _KEY_IS_GOOD and meters.has(client, report.event):
            return Fate.SENT, ""
        if now - report.event.stamped_at >= meters.OLDEST:
            return Fate.REFUSED, StripeMeterError.TOO_OLD
        meters.send(client, report.event)
    except StripeMeterError as error:
        return Fate.REFUSED, error.reason
    except StripeNotFoundError as error:  # the customer was deleted
        return Fate.REFUSED, error.code
    return Fate.SENT, ""


def settle(session: Session, report: Report, fate: Fate, why: str, now: datetime) -> bool:
    """Write down what came of a report; False when that was done already. What was refused is owed again."""
    row = repository.get_report(session, report.merchant_id, report.currency, report.day)
    if row is None or row.state != ReportState.SENDING:
        return False
    row.state = ReportState.SENT if fate is Fate.SENT else ReportState.REFUSED
    row.settled_at, row.error = now, why
    facts = {"day": report.day.isoformat(), "amount": report.event.value, "currency": report.currency, "code": why}
    if fate is Fate.SENT:
        audit.log_event(session, report.merchant_id, "usage.reported", "A day's usage was reported.", facts=facts)
    else:
        said = "Stripe did not take a day's usage; a later day carries it."
        audit.log_event(session, report.merchant_id, "usage.refused", said, level="error", facts=facts)
    return True


def told(session: Session, merchant_id: str) -> Told:
    """What was reported last, and whether the merchant is billed at all."""
    merchant = repository.get_merchant(session, merchant_id)
    is_billed = bool(settings().usage_meter and merchant is not None and merchant.usage_customer_id)
    sent = repository.last_settled(session, merchant_id, ReportState.SENT)
    refused = repository.last_settled(session, merchant_id, ReportState.REFUSED)
    refused_at = refused.settled_at if refused else None
    error = refused.error if refused else ""
    if sent is None:
        return Told(is_billed, refused_at=refused_at, error=error)
    return Told(is_billed, sent.day, sent.sent_cents, sent.currency, sent.settled_at, refused_at, error)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
