"""What a history amounts to, for the progress line: read from the day's sums the engine itself keeps."""

import calendar
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import func
from sqlmodel import Session, col, select

from core import clock, db
from models.money import DailyMetrics

if TYPE_CHECKING:
    from sandbox.history.build import History


def month_in_words(under_way: "History", moment: int) -> str:
    """`March 2026: 31 ghosts, 22 recovered` for the month of `moment`."""
    day = clock.from_timestamp(moment).date()
    name = f"{calendar.month_name[day.month]} {day.year}"
    if under_way.merchant is None:
        return f"{name}: before PHANTOM"
    with db.tenant_session(under_way.merchant.merchant_id) as session:
        found, recovered = _sums(session, under_way.merchant.merchant_id, day.replace(day=1))
    return f"{name}: {found} {'ghost' if found == 1 else 'ghosts'}, {recovered} recovered"


def _sums(session: Session, merchant_id: str, since: date) -> tuple[int, int]:
    row = session.exec(
        select(func.sum(DailyMetrics.found_count), func.sum(DailyMetrics.recovered_count)).where(
            DailyMetrics.merchant_id == merchant_id, col(DailyMetrics.day) >= since
        )
    ).one()
    return int(row[0] or 0), int(row[1] or 0)
