"""What the schedule asks others: who is held out of messages, and at which hour somebody is best written to.

Both are pure, and plain here: nobody is held out, and the hour is ten in the morning. What learns from outcomes takes
their place by being passed to `schedule.next_action`, and nothing else changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

MORNING = 10


@dataclass(frozen=True, slots=True)
class Hour:
    """A preferred hour (0–23) of the recipient's own day, and the words that explain it."""

    hour: int
    why: str


Holdout = Callable[[str, str], bool]
"""(merchant id, customer id) → whether messages are withheld, to learn what they are worth. Sticky."""

Oracle = Callable[[str, str], Hour]
"""(decline group, country) → the hour to prefer."""


def nobody(merchant_id: str, customer_id: str) -> bool:
    """A holdout of nobody."""
    del merchant_id, customer_id
    return False


def morning(decline_group: str, country: str) -> Hour:
    """Ten in the morning, for everybody."""
    del decline_group, country
    return Hour(MORNING, "in the customer's morning")
