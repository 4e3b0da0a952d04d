"""Waking in time: the soonest moment holds, and one wake-up is under way at most."""

import threading

import pytest

from core import queue
from jobs.wakes import Wake


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[threading.Event]:
    """An event for each wake-up to come, set in turn."""
    rings = [threading.Event(), threading.Event()]
    coming = iter(rings)
    monkeypatch.setattr(queue, "announce_work", lambda name: next(coming).set() if name == "lane" else None)
    return rings


def test_a_sooner_moment_takes_the_place_of_a_later_one(woken: list[threading.Event]) -> None:
    wake = Wake("lane")
    wake.at(1600.0, 1000.0)
    wake.at(1000.05, 1000.0)
    assert woken[0].wait(10)
    assert wake._moment == 1000.05


def test_a_later_moment_takes_nobodys_place(woken: list[threading.Event]) -> None:
    wake = Wake("lane")
    wake.at(1000.05, 1000.0)
    wake.at(1600.0, 1000.0)
    assert woken[0].wait(10)
    assert not woken[1].is_set()


def test_the_next_one_comes_after_the_first(woken: list[threading.Event]) -> None:
    wake = Wake("lane")
    wake.at(999.0, 1000.0)  # it has passed: at once
    assert woken[0].wait(10)
    wake.at(1000.1, 1000.05)
    assert woken[1].wait(10)


def test_a_clock_that_jumped_keeps_nothing_waiting(woken: list[threading.Event]) -> None:
    """A timer that was set for a moment which has passed by now no longer stands in the way."""
    wake = Wake("lane")
    wake.at(1600.0, 1000.0)
    wake.at(5000.05, 5000.0)
    assert woken[0].wait(10)
