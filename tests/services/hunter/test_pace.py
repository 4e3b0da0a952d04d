"""The pace of a hunt: below Stripe's limit, however long it waited before."""

from dataclasses import dataclass, field

import pytest

from services.hunter.pace import BURST, Pace, PacedLister


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


def test_a_small_accounts_hunt_does_not_wait_at_all(time: Time) -> None:
    pace = Pace(25, sleep=time.sleep, monotonic=time.monotonic)
    for _ in range(BURST):
        pace.wait()
    assert time.slept == []


def test_a_bucket_of_a_seconds_worth_is_never_overdrawn(time: Time) -> None:
    """Stripe's own: 25 tokens at most, 25 more a second, a token a call."""
    pace = Pace(25, sleep=time.sleep, monotonic=time.monotonic)
    tokens, at = 25.0, time.now
    for _ in range(500):
        pace.wait()
        tokens, at = min(25.0, tokens + (time.now - at) * 25) - 1, time.now
        assert tokens >= 25 - BURST - 1e-6
    assert time.now - 100 == pytest.approx((500 - BURST) / 25)  # and no slower than the rate


def test_time_that_passed_without_calls_saves_up_one_burst(time: Time) -> None:
    pace = Pace(10, sleep=time.sleep, monotonic=time.monotonic)
    pace.wait()
    time.now += 3600
    for _ in range(BURST + 2):
        pace.wait()
    assert time.slept == pytest.approx([0.1, 0.1])


def test_a_paced_lister_answers_and_counts_as_the_one_it_holds_back(time: Time) -> None:
    lister = PacedLister(Echo(), Pace(25, sleep=time.sleep, monotonic=time.monotonic))
    assert lister.raw_get("/v1/invoices", {"limit": 1}) == {"path": "/v1/invoices", "limit": 1}
    assert lister.requests == 7
