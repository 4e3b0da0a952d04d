"""How often one card may be charged again: the networks' limits, one budget for Stripe's attempts and ours. Pure.

What counts is what networks count: a declined charge that a merchant made on its own account, and one whose outcome
is not known. A charge that succeeded is no retry, one that was never made is none, and what a customer tries on
Stripe's own page is theirs: it eats nothing of the budget. The limits come from the configuration (`CARD_LIMITS`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.config import CardLimit
from models.money import AttemptSource, AttemptState

FALLBACK = "visa"  # a network without limits of its own is held to Visa's
MADE = frozenset({AttemptState.DECLINED, AttemptState.STARTED, AttemptState.PROCESSING, AttemptState.UNCERTAIN})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One charge on a card. `at` is aware UTC."""

    source: AttemptSource
    state: AttemptState
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of the limit that is nearest to its end is used up at a moment."""

    used: int
    limit: int
    days: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def counts(attempt: Attempt) -> bool:
    """Whether a network counts this charge against the merchant."""
    return attempt.source is not AttemptSource.CUSTOMER and attempt.state in MADE


def limits_of(brand: str, limits: Sequence[CardLimit]) -> list[CardLimit]:
    """The limits of a card's network; Visa's for a network that has none of its own."""
    own = [limit for limit in limits if limit.network == brand]
    return own or [limit for limit in limits if limit.network == FALLBACK]


def standing(brand: str, attempts: Iterable[Attempt], now: datetime, limits: Sequence[CardLimit]) -> Standing:
    """What of the card's budget is used at `now`, by the limit that leaves least."""
    times = _times(attempts)
    found = [
        Standing(sum(now - timedelta(days=limit.days) < at <= now for at in times), limit.charges, limit.days)
        for limit in limits_of(brand, limits)
    ]
    return min(found, key=lambda each: (each.left, -each.days))


def free_from(
    brand: str, attempts: Iterable[Attempt], moment: datetime, limits: Sequence[CardLimit], *, reserved: int = 0
) -> datetime:
    """The first moment from `moment` on at which one more charge, and `reserved` others, are within every limit."""
    times = _times(attempts)
    latest = moment
    for limit in limits_of(brand, limits):
        allowed = max(limit.charges - reserved, 1)
        window = timedelta(days=limit.days)
        recent = [at for at in times if at > moment - window]
        if len(recent) >= allowed:
            latest = max(latest, recent[len(recent) - allowed] + window)
    return latest


def _times(attempts: Iterable[Attempt]) -> list[datetime]:
    return sorted(attempt.at for attempt in attempts if counts(attempt))
