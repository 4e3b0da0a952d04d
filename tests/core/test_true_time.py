"""Nothing is removed for good on the word of one clock."""

from datetime import UTC, datetime, timedelta

import pytest

from core import db, true_time
from core.config import Mode, settings

MINUTE = timedelta(minutes=1)


def require(ahead: timedelta) -> None:
    with db.system_session() as session:
        true_time.require(session, datetime.now(UTC) + ahead)


@pytest.fixture
def live(database: object, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings().model_copy(update={"phantom_mode": Mode.LIVE})
    monkeypatch.setattr(true_time, "settings", lambda: given)


@pytest.mark.usefixtures("live")
class TestLive:
    def test_more_than_an_hour_ahead_is_refused(self) -> None:
        with pytest.raises(true_time.ClockAheadError, match="The clock says"):
            require(true_time.TOLERANCE + MINUTE)

    @pytest.mark.parametrize("ahead", [true_time.TOLERANCE - MINUTE, timedelta(), timedelta(days=-400)])
    def test_what_is_about_right_or_behind_is_not(self, ahead: timedelta) -> None:
        require(ahead)


def test_the_demos_clock_goes_where_it_likes(database: object) -> None:
    require(timedelta(days=400))
