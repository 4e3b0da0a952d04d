"""All SQL of usage reports."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.merchant import Merchant
from models.usage import ReportState, UsageReport

# A payment taken back counts only if it was counted: one recovered before billing began was never billed, whatever was
# recovered after it went back.
_NET = text("""
select currency, (occurred_at at time zone 'UTC')::date as day, cast(sum(quantity) as bigint)
from usage_logs
where merchant_id = :merchant_id and id >= :first_id and id < :before_id
    and occurred_at >= :since and occurred_at < :before
    and (kind = 'recovery.recovered' or kind = 'recovery.reversed' and exists (
        select from recoveries r where r.merchant_id = usage_logs.merchant_id and r.ghost_id = usage_logs.reference
            and r.kind = 'recovered' and r.recorded_at >= :billed_since and r.recorded_at <= usage_logs.occurred_at))
group by currency, day
""")


def get_merchant(session: Session, merchant_id: str) -> Merchant | None:
    return session.get(Merchant, merchant_id)


def net_by_day(session: Session, **between: Any) -> list[tuple[str, date, int]]:
    """(currency, day, recovered less reversed) of the activity ledger, minor units."""
    return [(currency, day, net) for currency, day, net in session.execute(_NET, between)]


def set_counted(session: Session, merchant_id: str, rows: Sequence[tuple[str, date, int]]) -> None:
    """Keep what these days sum up to by now; what was sent for them stays."""
    if not rows:
        return
    statement = insert(UsageReport).values(
        [
            {
                "merchant_id": merchant_id,
                "currency": currency,
                "day": day,
                "counted_cents": net,
                "sent_cents": 0,
                "state": ReportState.COUNTED,
                "identifier": "",
                "event_name": "",
                "customer_id": "",
                "error": "",
            }
            for currency, day, net in rows
        ]
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["merchant_id", "currency", "day"],
            set_={"counted_cents": statement.excluded.counted_cents},
        )
    )


def list_reports(session: Session, merchant_id: str) -> Sequence[UsageReport]:
    """All days of a merchant, as they stand now, the earliest first."""
    return session.exec(
        select(UsageReport)
        .where(UsageReport.merchant_id == merchant_id)
        .order_by(col(UsageReport.day), col(UsageReport.currency))
        .execution_options(populate_existing=True)
    ).all()


def list_in_state(session: Session, merchant_id: str, state: ReportState) -> Sequence[UsageReport]:
    return session.exec(
        select(UsageReport)
        .where(UsageReport.merchant_id == merchant_id, UsageReport.state == state)
        .order_by(col(UsageReport.day), col(UsageReport.currency))
    ).all()


def get_report(session: Session, merchant_id: str, currency: str, day: date) -> UsageReport | None:
    """One day's report, locked."""
    return session.get(UsageReport, (merchant_id, currency, day), with_for_update=True, populate_existing=True)


def last_settled(session: Session, merchant_id: str, state: ReportState) -> UsageReport | None:
    """The report that came to this end last."""
    return session.exec(
        select(UsageReport)
        .where(UsageReport.merchant_id == merchant_id, UsageReport.state == state)
        .order_by(col(UsageReport.settled_at).desc())
        .limit(1)
    ).first()


def set_billing(
    session: Session, merchant: Merchant, customer_id: str | None, since: date | None, now: datetime
) -> None:
    merchant.usage_customer_id, merchant.usage_since, merchant.updated_at = customer_id, since, now
    session.flush()
