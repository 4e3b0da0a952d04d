"""The second opinion on the time, asked before anything is removed for good because it is old.

A clock that is wrong for one tick makes everything old. What else it does can be taken back (tasks are dated again,
hunts look again); removed rows cannot. PostgreSQL's clock belongs to another machine, so the two are rarely wrong
together.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session

from core.config import settings
from core.errors import UnavailableError

TOLERANCE = timedelta(hours=1)


class ClockAheadError(UnavailableError):
    code, title = "clock_ahead", "The clock is ahead of the database's: nothing is removed"


def require(session: Session, now: datetime) -> None:
    """Raise `ClockAheadError` when `now` (aware) is more than an hour past PostgreSQL's own time.

    The demo is exempt: its clock is moved on purpose, and its people are made up.
    """
    if settings().is_demo:
        return
    true: datetime = session.execute(text("select clock_timestamp()")).scalar_one()
    if now - true > TOLERANCE:
        raise ClockAheadError(f"The clock says {now:%Y-%m-%d %H:%M} UTC, the database {true:%Y-%m-%d %H:%M}.")
