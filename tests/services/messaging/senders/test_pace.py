"""A provider's rate, in Redis and in one process alone: the same turns, in order, never more than the rate."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import queue
from core.clock import ManualClock
from services.messaging.senders import pace

Turn = Callable[[str], float]


@pytest.fixture(params=["redis", "alone"])
def turn(request: pytest.FixtureRequest, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Turn:
    monkeypatch.setattr(pace, "_alone", pace.Line())
    if request.param == "alone":
        monkeypatch.setattr(queue, "script", lambda *_: None)
    return lambda who: round(pace.turn("key", who, 5.0), 4)


def test_the_first_goes_now_and_the_others_each_a_fifth_of_a_second_later(turn: Turn) -> None:
    assert [turn(name) for name in "abcd"] == [0.0, 0.2, 0.4, 0.6]


def test_a_turn_is_kept_for_who_comes_back(turn: Turn, clock: ManualClock) -> None:
    assert [turn("a"), turn("b"), turn("c")] == [0.0, 0.2, 0.4]
    clock.advance(timedelta(seconds=0.2))
    assert turn("b") == 0.0
    assert turn("c") == 0.2
    assert turn("d") == 0.4  # behind c, not in its place


def test_a_turn_is_used_once(turn: Turn, clock: ManualClock) -> None:
    turn("a")
    assert turn("b") == 0.2
    clock.advance(timedelta(seconds=0.2))
    assert turn("b") == 0.0
    assert turn("b") == 0.2


def test_turns_missed_by_an_outage_do_not_come_all_at_once(turn: Turn, clock: ManualClock) -> None:
    waits = [turn(str(number)) for number in range(50)]
    assert waits[-1] == pytest.approx(9.8)
    clock.advance(timedelta(minutes=5))
    assert [turn(str(number)) for number in range(5)] == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_a_provider_that_refuses_is_left_alone_as_long_as_it_says(turn: Turn, clock: ManualClock) -> None:
    turn("a")
    assert turn("b") == 0.2
    pace.hold("key", 30)
    clock.advance(timedelta(seconds=1))
    assert turn("b") == pytest.approx(29.0, abs=0.01)
    assert turn("c") == pytest.approx(29.2, abs=0.01)
    clock.advance(timedelta(seconds=29.5))
    assert turn("b") == 0.0


def test_who_comes_too_far_behind_is_told_to_come_back(turn: Turn) -> None:
    waits = [turn(str(number)) for number in range(3010)]
    assert max(waits) == pace.FARTHEST


def test_a_clock_that_jumps_back_holds_nobody_up(turn: Turn, clock: ManualClock) -> None:
    turn("a")
    clock.advance(timedelta(hours=-2))
    assert turn("b") == 0.0


def test_keys_have_lines_of_their_own_and_no_rate_is_no_line(turn: Turn) -> None:
    assert (turn("a"), pace.turn("other", "a", 5.0)) == (0.0, 0.0)
    assert [pace.turn("key", str(each), 0) for each in range(3)] == [0.0, 0.0, 0.0]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.1, 0.2, 0.5, 3.0, 700.0])), max_size=40))
def test_redis_and_a_process_alone_give_the_same_turns(
    redis_url: str, clock: ManualClock, moves: list[tuple[int, float]]
) -> None:
    """Any order of askers and pauses; and in no second more than the rate allows plus what was a little late."""
    queue.connection().flushall()
    line, sent = pace.Line(), list[float]()
    for who, pause in moves:
        now = clock.now().timestamp()
        shared, alone = pace.turn("key", str(who), 5.0), line.turn("key", str(who), 0.2, now)
        assert shared == pytest.approx(alone, abs=1e-3)
        if not shared:
            sent.append(now)
        clock.advance(timedelta(seconds=pause))
    for begins in sent:
        assert sum(begins <= each < begins + 1 for each in sent) <= 5 * (1 + pace.GRACE)
