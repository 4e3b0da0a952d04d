"""Chance that can be repeated: each draw is a hash of the seed and of what it is drawn for.

Unlike one random stream, a draw does not depend on how many others came before it: the two-hundredth customer has
the same card whether or not the tenth was asked for, and a payment tried again at the same hour meets the same luck.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

T = TypeVar("T")
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Draws:
    """All draws of one subject; `of` narrows to a part of it."""

    key: str

    def of(self, *parts: object) -> "Draws":
        return Draws("|".join((self.key, *map(str, parts))))

    def unit(self, *parts: object) -> float:
        """Uniform in [0, 1)."""
        text = "|".join((self.key, *map(str, parts)))
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def between(self, low: float, high: float, *parts: object) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit(*parts)

    def chance(self, probability: float, *parts: object) -> bool:
        return self.unit(*parts) < probability

    def pick(self, options: Sequence[T], *parts: object) -> T:
        return options[int(self.unit(*parts) * len(options))]

    def weighted(self, options: Sequence[tuple[T, float]], *parts: object) -> T:
        """One of the options, as often as its weight says."""
        left = self.unit(*parts) * sum(weight for _, weight in options)
        for option, weight in options:
            left -= weight
            if left < 0:
                return option
        return options[-1][0]

    def around(self, median: float, spread: float, *parts: object) -> float:
        """Log-normal: half of the draws above `median`; `spread` is the deviation of the logarithm."""
        unit = min(max(self.unit(*parts), 1e-6), 1 - 1e-6)
        return median * math.exp(spread * _NORMAL.inv_cdf(unit))
