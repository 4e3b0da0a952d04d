"""So many calls at once, and then at a rate, whoever asks where; refused calls cost nothing."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from core import allowance, queue
from core.clock import ManualClock

Wait = Callable[[str], float]


@pytest.fixture(params=["redis", "alone"])
def place(request: pytest.FixtureRequest, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> str:
    """In Redis, and without it."""
    if request.param == "redis":
        request.getfixturevalue("redis_url")
    else:
        monkeypatch.setattr(queue, "script", lambda *_: None)
        monkeypatch.setattr(allowance, "_alone", allowance._Alone())
    return str(request.param)


@pytest.fixture
def wait(place: str) -> Wait:
    """Ten at once, five a second."""
    return lambda name: allowance.wait(name, 5.0, 10)


@pytest.fixture
def wait_within(place: str) -> Wait:
    """Four in any 100 seconds."""
    return lambda name: allowance.wait_within(name, 4, 100.0)


def calls_of(wait: Wait, clock: ManualClock, per_second: int, seconds: int) -> list[bool]:
    passed = []
    for _ in range(per_second * seconds):
        passed.append(wait("key") == 0)
        clock.advance(timedelta(seconds=1 / per_second))
    return passed


def test_so_many_at_once_and_then_told_how_long_to_stay_away(wait: Wait, clock: ManualClock) -> None:
    assert [wait("key") for _ in range(10)] == [0.0] * 10
    assert wait("key") == wait("key") == pytest.approx(0.2, abs=1e-5)  # asking again is not punished
    clock.advance(timedelta(seconds=0.2))
    assert wait("key") == 0
    assert wait("key") > 0


def test_who_calls_twice_too_often_gets_the_rate_for_ever(wait: Wait, clock: ManualClock) -> None:
    passed = calls_of(wait, clock, 10, 60)
    assert sum(passed) == pytest.approx(10 + 5 * 60, abs=2)
    assert sum(passed[-100:]) == pytest.approx(50, abs=1)


def test_names_have_their_own_and_a_rest_fills_it_again(wait: Wait, clock: ManualClock) -> None:
    assert all(wait("key") == 0 for _ in range(10))
    assert wait("other") == 0
    clock.advance(timedelta(hours=1))
    assert [wait("key") == 0 for _ in range(11)] == [True] * 10 + [False]


def test_a_clock_that_jumps_back_locks_nobody_out(wait: Wait, clock: ManualClock) -> None:
    assert all(wait("key") == 0 for _ in range(10))
    clock.advance(timedelta(hours=-2))
    assert wait("key") == 0


def test_a_refused_call_leaves_nothing_in_redis(redis_url: str, clock: ManualClock) -> None:
    for _ in range(100):
        allowance.wait("key", 5.0, 10)
    assert len(queue.connection().keys("phantom:*")) == 1


class TestInAnySpan:
    def test_never_more_whatever_the_span_begins_with(self, wait_within: Wait, clock: ManualClock) -> None:
        """A burst and a rate would let up to eight through in the first one."""
        made, chance = [], random.Random(7)  # noqa: S311  # a test's own
        for _ in range(600):
            if wait_within("key") == 0:
                made.append(clock.now())
            clock.advance(timedelta(seconds=chance.choice((0, 1, 13, 40))))
        assert len(made) > 100
        assert all(later - first >= timedelta(seconds=100) for first, later in zip(made, made[4:], strict=False))

    def test_whoever_waits_as_long_as_told_gets_their_turn(self, wait_within: Wait, clock: ManualClock) -> None:
        assert [wait_within("key") for _ in range(4)] == [0.0] * 4
        clock.advance(timedelta(seconds=30))
        assert wait_within("key") == wait_within("key") == pytest.approx(70, abs=1e-4)  # asking again is not punished
        assert wait_within("other") == 0
        clock.advance(timedelta(seconds=70))
        assert [wait_within("key") == 0 for _ in range(5)] == [True] * 4 + [False]

    def test_a_clock_that_jumps_back_locks_nobody_out(self, wait_within: Wait, clock: ManualClock) -> None:
        assert all(wait_within("key") == 0 for _ in range(4))
        clock.advance(timedelta(hours=-2))
        assert wait_within("key") == 0

    def test_it_keeps_no_more_than_it_counts_and_forgets_it(self, redis_url: str, clock: ManualClock) -> None:
        for _ in range(100):
            allowance.wait_within("key", 4, 100.0)
        (key,) = queue.connection().keys("phantom:*")
        assert queue.connection().llen(key) == 4
        assert 0 < queue.connection().ttl(key) <= 100
