"""What the tasks' screen says of a message that was let go: when it goes, or why it does not yet."""

from datetime import UTC, datetime, timedelta

import pytest

from models.ghost import GhostState, ManualTaskState
from phantom_app.state.manual_tasks import task_view
from services.manual_tasks.schemas import TaskLine

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def line(goes_at: datetime | None, why_next: str = "") -> TaskLine:
    return TaskLine(
        id="mt_1",
        ghost_id="gh_1",
        state=ManualTaskState.OPEN,
        reason="It is above your high-value line.",
        customer="Ada",
        email="ada@example.com",
        phone="",
        amount=250_000,
        currency="usd",
        ghost_state=GhostState.CONTACTED,
        decline_group="funds",
        assignee_id="",
        assignee="",
        created_at=NOW - timedelta(days=3),
        alerted_at=None,
        released_at=NOW - timedelta(hours=2),
        last_message_at=NOW - timedelta(days=1),
        goes_at=goes_at,
        why_next=why_next,
        closed_at=None,
        closed_reason="",
        closed_by="",
    )


@pytest.mark.parametrize(
    ("goes_at", "said"),
    [
        (NOW + timedelta(days=2), "Released 2 h ago: it goes out in 2 d."),
        (NOW - timedelta(minutes=5), "Released 2 h ago: it goes out now."),
        (None, "Released 2 h ago. Messages are paused in the recovery policy."),
    ],
)
def test_a_released_message_says_when_it_goes_or_why_it_does_not(goes_at: datetime | None, said: str) -> None:
    assert task_view(line(goes_at, "Messages are paused in the recovery policy."), NOW).released == said
