"""How long a failed task waits: exponential with full jitter, so that a crowd does not come back together."""

from datetime import timedelta

BASE = timedelta(seconds=10)
FACTOR = 4
CAP = timedelta(hours=1)


def ceiling(attempts: int) -> timedelta:
    """The longest wait after the `attempts`-th failure: 10 s, 40 s, 160 s, … up to an hour."""
    return min(CAP, BASE * int(FACTOR ** min(max(attempts, 1) - 1, 10)))


def backoff(attempts: int, chance: float) -> timedelta:
    """The wait after the `attempts`-th failure: `chance` (0 ≤ chance < 1) of the longest one.

    Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015): the whole interval is random, because
    half of it leaves half of the crowd.
    """
    return ceiling(attempts) * chance
