"""What ends a task that takes too long, or that a stopping worker cannot wait for."""

import threading

import pytest

from jobs.limits import Alarm, TaskInterrupted, TaskTimeout

FOREVER = 20.0  # seconds; a test that waits so long has failed


def work() -> None:
    threading.Event().wait(FOREVER)
    raise AssertionError("nothing ended it")


def test_a_task_that_takes_too_long_is_ended():
    with pytest.raises(TaskTimeout), Alarm().limited(0.01):
        work()


def test_a_stopping_worker_interrupts_the_task_under_way():
    alarm = Alarm()

    def under_way() -> None:
        alarm.hurry(0.01)
        work()

    with pytest.raises(TaskInterrupted), alarm.limited(FOREVER):
        under_way()


def test_one_that_begins_after_the_signal_has_the_rest_of_the_grace():
    alarm = Alarm()
    alarm.hurry(0.01)
    for _ in range(2):
        with pytest.raises(TaskInterrupted), alarm.limited(FOREVER):
            work()


def test_a_limit_that_ends_sooner_than_the_grace_is_a_limit():
    alarm = Alarm()
    alarm.hurry(FOREVER)
    with pytest.raises(TaskTimeout), alarm.limited(0.01):
        work()
