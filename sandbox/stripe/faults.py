"""Trouble on demand: injected faults and rate limits, seeded so that a failing run can be repeated."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = (
    "error_before",
    "error_after",
    "unavailable",
    "unavailable_after",
    "hang",
    "cut",
    "cut_after",
    "rate_limit",
    "lock_timeout",
)


@dataclass
class Fault:
    """One rule: requests whose path matches `path` (a regular expression) meet `kind`.

    `times` counts down (None: for ever); `probability` is drawn per request; `seconds` is how long `hang` lasts.
    """

    kind: str
    path: str = ".*"
    method: str | None = None
    account: str | None = None
    times: int | None = None
    probability: float = 1.0
    seconds: float = 60.0


@dataclass
class Faults:
    """All rules in force; the first that strikes wins."""

    rules: list[Fault] = field(default_factory=list)
    struck: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(0)

    def seed(self, seed: str) -> None:
        """Start the draws anew."""
        self.random = random.Random(seed)

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        if fault.kind not in KINDS:
            raise ValueError(f"unknown fault {fault.kind!r}, one of {', '.join(KINDS)}")
        self.rules.append(fault)

    def clear(self) -> None:
        """Peace."""
        self.rules.clear()

    def strike(self, method: str, path: str, account: str) -> Fault | None:
        """The fault this request meets, if any; spends one of its `times`."""
        for rule in self.rules:
            if rule.times == 0 or (rule.method and rule.method != method) or (rule.account and rule.account != account):
                continue
            if not re.search(rule.path, path) or (rule.probability < 1 and self.random.random() >= rule.probability):
                continue
            if rule.times is not None:
                rule.times -= 1
            self.struck[rule.kind] = self.struck.get(rule.kind, 0) + 1
            return rule
        return None


@dataclass
class _Bucket:
    tokens: float
    at: float


class Limits:
    """Token buckets: one per account, one per account and endpoint. Real time, as Stripe's limits are."""

    def __init__(
        self,
        rate: float | None,
        endpoint_rate: float | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate, self.endpoint_rate, self.monotonic = rate, endpoint_rate, monotonic
        self._buckets: dict[str, _Bucket] = {}
        self.refused = 0

    def configure(self, rate: float | None, endpoint_rate: float | None) -> None:
        """New limits for everyone, full buckets."""
        self.rate, self.endpoint_rate = rate, endpoint_rate
        self._buckets.clear()

    def refuse(self, account: str, endpoint: str) -> str | None:
        """The value of `Stripe-Rate-Limited-Reason`, or None when the request may pass."""
        if self.endpoint_rate and not self._take(f"{account} {endpoint}", self.endpoint_rate):
            self.refused += 1
            return "endpoint-rate"
        if self.rate and not self._take(account, self.rate):
            self.refused += 1
            return "global-rate"
        return None

    def _take(self, name: str, rate: float) -> bool:
        now = self.monotonic()
        bucket = self._buckets.setdefault(name, _Bucket(rate, now))
        bucket.tokens = min(rate, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
