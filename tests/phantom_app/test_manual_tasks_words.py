"""What the tasks' screen says of a message that was let go: when it goes, or why it does not yet."""

from dataclasses import replace
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


@pytest.mark.parametrize(
    ("reason", "by", "said", "why"),
    [
        ("Closed by itself: the invoice was paid.", "", "Closed by itself 2 d ago", "the invoice was paid."),
        ("They pay by wire.", "Grace", "Closed 2 d ago by Grace", "They pay by wire."),
    ],
)
def test_a_closed_task_says_once_that_it_is(reason: str, by: str, said: str, why: str) -> None:
    view = task_view(replace(line(None), closed_at=NOW - timedelta(days=2), closed_reason=reason, closed_by=by), NOW)
    assert (view.closed, view.closed_why) == (said, why)


@pytest.mark.parametrize(
    ("state", "reopens"),
    [(GhostState.CLICKED, True), (GhostState.PAUSED, True), (GhostState.LOST, False), (GhostState.RECOVERED, False)],
)
def test_what_can_be_opened_again_is_offered_alone(state: GhostState, reopens: bool) -> None:
    assert task_view(replace(line(None), ghost_state=state), NOW).reopens is reopens
