"""How long a task waits that failed, or that was put off: longer each time, and by chance, so that a crowd does not
come back together.
"""

from datetime import timedelta

BASE = timedelta(seconds=10)
FACTOR = 4
CAP = timedelta(hours=1)
LONGEST_PAUSE = timedelta(minutes=10)
MOST_PAUSES = 500
"""In a row, of one task: two and a half days with the longest pauses, about as long as Stripe repeats an event."""


def ceiling(attempts: int) -> timedelta:
    """The longest wait after the `attempts`-th failure: 10 s, 40 s, 160 s, … up to an hour."""
    return min(CAP, BASE * int(FACTOR ** min(max(attempts, 1) - 1, 10)))


def backoff(attempts: int, chance: float) -> timedelta:
    """The wait after the `attempts`-th failure: `chance` (0 ≤ chance < 1) of the longest one.

    Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015): the whole interval is random, because
    half of it leaves half of the crowd.
    """
    return ceiling(attempts) * chance


def pause(asked: timedelta, times: int, chance: float, at_least: timedelta = timedelta()) -> timedelta:
    """The wait of a task that was put off `times` times in a row before: `asked` doubled each time, up to ten minutes
    (or `asked`, where that is more), its upper half random by `chance`; all of it after `at_least`.

    Shorter than a failure's: nothing is wrong with the task, and whoever was away may be back any moment.
    """
    longest = min(asked * int(2 ** min(times, 10)), max(asked, LONGEST_PAUSE))
    return at_least + longest * (0.5 + chance / 2)
