"""What a schedule says of a run that has not ended well, or not yet."""

from datetime import timedelta

import pytest

from core import clock
from phantom_app.state.machinery import schedule_row
from services.integrations.stripe.errors import StripeRateLimitedError, StripeUnavailableError
from services.operations.schedules import ScheduleView

FORESEEN_BY_NOBODY = "It met something nobody foresaw"


def said(state: str, error: str) -> str:
    return schedule_row(ScheduleView("hunt", timedelta(hours=12), None, None, state, error), clock.now()).error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("until Monday, 8 o'clock", "Until Monday, 8 o'clock"),
        (StripeUnavailableError.code, "Stripe did not answer. It is tried again by itself."),
        (StripeRateLimitedError.code, "Stripe asked us to slow down. It goes on by itself."),
        ("database: DeadlockDetected", "The database was away. It is tried again by itself."),
        ("KeyError: 'id'", "It met an error. It is tried again by itself."),
        ("StripeMeterError: no", "It met an error. It is tried again by itself."),
        ("The process that held it died.", "The process that held it died."),
        ("", ""),
    ],
)
def test_a_run_that_waits_asks_nothing_of_anybody(error: str, words: str):
    assert said("pending", error) == words


def test_one_that_gave_up_says_what_to_do():
    assert said("dead", "KeyError: 'id'").startswith(FORESEEN_BY_NOBODY)
