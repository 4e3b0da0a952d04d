"""A provider's rate, in Redis and in one process alone: the same turns, fair to merchants, never above the rate."""

import heapq
import random
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import queue
from core.clock import ManualClock
from services.messaging.senders import pace

Turn = Callable[..., float]
RATE = 5.0


@pytest.fixture(params=["redis", "alone"])
def turn(request: pytest.FixtureRequest, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Turn:
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    if request.param == "alone":
        monkeypatch.setattr(queue, "script", lambda *_: None)
    return lambda who, of="": round(pace.turn("key", who, RATE, of), 4)


def play(
    turn: Turn, clock: ManualClock, asked: Iterable[tuple[float, str, str]], late: float = 0.0
) -> dict[str, float]:
    """Everybody asks at their moment and comes back when told, up to `late` seconds after; by name when they went."""
    chance, begins, went = random.Random(7), clock.now(), dict[str, float]()  # noqa: S311  # seeded
    coming = list(asked)
    heapq.heapify(coming)
    while coming:
        at, who, of = heapq.heappop(coming)
        clock.current = max(clock.now(), begins + timedelta(seconds=at))
        wait = turn(who, of)
        if wait:
            heapq.heappush(coming, (at + wait + chance.uniform(0, late), who, of))
        else:
            went[who] = (clock.now() - begins).total_seconds()
    return went


def most_in_a_second(moments: Iterable[float]) -> int:
    found = sorted(moments)
    return max(sum(begins - 0.002 < each < begins + 0.998 for each in found) for begins in found)


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


def test_a_turn_somebody_was_late_for_is_not_lost(turn: Turn, clock: ManualClock) -> None:
    turn("a")
    assert turn("b") == 0.2
    clock.advance(timedelta(seconds=30))
    assert turn("b") == 0.0


def test_turns_missed_by_an_outage_do_not_come_all_at_once(turn: Turn, clock: ManualClock) -> None:
    waits = [turn(str(number)) for number in range(50)]
    assert waits[-1] == pytest.approx(9.8)
    clock.advance(timedelta(minutes=5))
    went = play(turn, clock, [(0.0, str(number), "") for number in range(1, 50)])
    assert most_in_a_second(went.values()) == 5
    assert max(went.values()) <= 49 / RATE


def test_a_backlog_is_sent_as_fast_as_the_rate_by_workers_that_come_a_little_late(
    turn: Turn, clock: ManualClock
) -> None:
    """Giving out the turns takes time as well, five milliseconds each."""
    went = play(turn, clock, [(number * 0.005, f"{number:03}", "acme") for number in range(200)], late=0.05)
    assert most_in_a_second(went.values()) <= 5
    assert max(went.values()) <= 200 / RATE * 1.05


def test_a_merchants_thousands_keep_nobody_else_waiting(turn: Turn, clock: ManualClock) -> None:
    many = [(0.0, f"many {number}", "acme") for number in range(200)]
    few = [(2.0 + number * 5, f"few {number}", "small") for number in range(5)]
    went = play(turn, clock, [*many, *few], late=0.03)
    assert max(went[who] - at for at, who, _ in few) <= 1.5
    assert max(went.values()) <= 205 / RATE * 1.05


def test_merchants_with_thousands_share_evenly_and_keep_nobody_else_waiting(turn: Turn, clock: ManualClock) -> None:
    many = [(0.0, f"{merchant} {number}", merchant) for merchant in "abcd" for number in range(40)]
    few = [(3.0 + number * 4, f"few {number}", "small") for number in range(5)]
    went = play(turn, clock, [*many, *few], late=0.03)
    early = [sum(at < 16 for who, at in went.items() if who.startswith(merchant)) for merchant in "abcd"]
    assert min(early) >= 0.6 * max(early)
    assert max(went[who] - at for at, who, _ in few) <= 1.5
    assert most_in_a_second(went.values()) <= 5


def test_a_provider_that_refuses_is_left_alone_as_long_as_it_says(turn: Turn, clock: ManualClock) -> None:
    turn("a")
    assert turn("b") == 0.2
    pace.hold("key", 30)
    clock.advance(timedelta(seconds=1))
    assert turn("b") == pytest.approx(29.0, abs=0.01)
    assert turn("c") == pytest.approx(29.2, abs=0.01)
    clock.advance(timedelta(seconds=29.5))
    assert turn("b") == 0.0


def test_one_merchant_that_is_held_keeps_nobody_else_from_sending(turn: Turn, clock: ManualClock) -> None:
    assert (turn("a", "odd"), turn("b", "odd")) == (0.0, 0.2)
    pace.hold("key", 30, "odd")
    clock.advance(timedelta(seconds=1))
    assert turn("b", "odd") == pytest.approx(29.0, abs=0.01)  # a turn it was given before, too
    assert [turn(str(number), "good") for number in range(3)] == [0.0, 0.2, 0.4]
    clock.advance(timedelta(seconds=29.5))
    assert turn("b", "odd") == 0.0


def test_who_comes_too_far_behind_is_told_to_come_back(turn: Turn) -> None:
    waits = [turn(str(number)) for number in range(3010)]
    assert waits[2999] < pace.FARTHEST
    assert waits[-1] == pace.FARTHEST


def test_a_clock_that_jumps_back_holds_nobody_up(turn: Turn, clock: ManualClock) -> None:
    for who in "abcdefgh":
        turn(who)
    clock.advance(timedelta(hours=-2))
    assert [turn("b"), turn("h")] == [0.0, 0.2]


def test_keys_have_lines_of_their_own_and_no_rate_is_no_line(turn: Turn) -> None:
    assert (turn("a"), pace.turn("other", "a", RATE)) == (0.0, 0.0)
    assert [pace.turn("key", str(each), 0) for each in range(3)] == [0.0, 0.0, 0.0]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.0, 0.1, 0.2, 0.5, 3.0, 700.0])), max_size=60))
def test_redis_and_a_process_alone_give_the_same_turns(
    redis_url: str, clock: ManualClock, moves: list[tuple[int, float]]
) -> None:
    """Any order of askers of two merchants, and any pauses; and in no second more than the rate allows."""
    queue.connection().flushall()
    lines, rate, sent = pace.Lines(), pace.Rate.of(RATE), list[float]()
    for who, pause in moves:
        now, of = clock.now().timestamp(), "ab"[who % 2]
        shared, alone = pace.turn("key", str(who), RATE, of), lines.turn("key", str(who), rate, now, of)
        assert shared == pytest.approx(alone, abs=1e-3)
        if not shared:
            sent.append(now)
        clock.advance(timedelta(seconds=pause))
    assert not sent or most_in_a_second(sent) <= 5
