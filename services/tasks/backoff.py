"""How long a failed task waits: exponential with full jitter, so that a crowd does not come back together."""

from datetime import timedelta

BASE = timedelta(seconds=10)
FACTOR = 4
CAP = timedelta(hours=1)


def backoff(attempts: int, chance: float) -> timedelta:
    """The wait after the `attempts`-th failure: `chance` (0 ≤ chance < 1) of 10 s, 40 s, 160 s, … up to an hour.

    Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015): the whole interval is random, because
    half of it leaves half of the crowd.
    """
    ceiling = min(CAP, BASE * int(FACTOR ** min(max(attempts, 1) - 1, 10)))
    return ceiling * chance
