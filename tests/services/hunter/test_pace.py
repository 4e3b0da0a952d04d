"""The pace of a hunt: evenly below Stripe's limit, and never faster for having waited."""

from dataclasses import dataclass, field

import pytest

from services.hunter.pace import Pace, PacedLister


@dataclass
class Time:
    """A clock that only sleeping and `pass_by` move."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Echo:
    requests = 7

    def raw_get(self, path: str, params: dict[str, object]) -> dict[str, object]:
        return {"path": path, **params}


@pytest.fixture
def time() -> Time:
    return Time()


def test_the_first_call_does_not_wait(time: Time) -> None:
    Pace(25, sleep=time.sleep, monotonic=time.monotonic).wait()
    assert time.slept == []


def test_a_second_holds_no_more_calls_than_the_rate(time: Time) -> None:
    pace = Pace(25, sleep=time.sleep, monotonic=time.monotonic)
    made: list[float] = []
    while time.now < 102:
        pace.wait()
        made.append(time.now)
    assert max(sum(start <= each < start + 1 - 1e-9 for each in made) for start in made) == 25


def test_time_that_passed_without_calls_is_not_saved_up(time: Time) -> None:
    pace = Pace(10, sleep=time.sleep, monotonic=time.monotonic)
    pace.wait()
    time.now += 60
    for _ in range(3):
        pace.wait()
    assert time.slept == pytest.approx([0.1, 0.1])


def test_a_paced_lister_answers_and_counts_as_the_one_it_holds_back(time: Time) -> None:
    lister = PacedLister(Echo(), Pace(25, sleep=time.sleep, monotonic=time.monotonic))
    assert lister.raw_get("/v1/invoices", {"limit": 1}) == {"path": "/v1/invoices", "limit": 1}
    assert lister.requests == 7
