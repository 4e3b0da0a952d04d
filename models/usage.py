"""What the operator was told to bill a merchant for: reports to a Stripe meter of the platform's own account."""

from datetime import date, datetime
from enum import StrEnum

from sqlmodel import Field

from models.base import Scope, Table, cents, enum_text, long_text, optional_utc


class ReportState(StrEnum):
    """`sending` is a committed intent: who finds one sends it again under the same identifier."""

    COUNTED = "counted"  # the day is counted and there is nothing to send (yet)
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"  # Stripe did not take it: a later day carries it


class UsageReport(Table, table=True):
    """One day (UTC) of a merchant in one currency: what its activity sums up to, and what of that was sent. Kept:

    one row a day on which something happened. What is owed is all that was counted less all that was sent, so a
    negative day is made up for by later ones, and a row of the ledger that was committed late is counted later.
    """

    __tablename__ = "usage_reports"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    currency: str = Field(primary_key=True, max_length=3)
    day: date = Field(primary_key=True)
    counted_cents: int = cents()  # recovered less reversed, as far as it is known by now
    sent_cents: int = cents()  # the meter event's value; nothing was sent where this is 0
    state: ReportState = enum_text(ReportState.COUNTED)
    identifier: str = Field(default="", max_length=100)
    event_name: str = Field(default="", max_length=100)
    customer_id: str = Field(default="", max_length=64)  # of the platform's account, as it was when this was sent
    stamped_at: datetime | None = optional_utc()  # the meter event's timestamp
    intended_at: datetime | None = optional_utc()
    settled_at: datetime | None = optional_utc()
    error: str = long_text()
