"""Slows down guessing of passwords: failures are counted per account and per network address.

Counters live in Redis, where all web processes see them. When Redis is away each process counts for itself with a
tighter account limit: guessing stays slow, and people can still sign in.
"""

import hashlib
import ipaddress
import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import redis

from core import clock, queue
from services.identity.errors import TooManySignInsError

log = logging.getLogger(__name__)

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 10
PER_ADDRESS = 60
PER_ACCOUNT_ALONE = 5
AWAY_SECONDS = 5.0
_REMEMBERED = 10_000
_PREFIX = "phantom:sign-in:"


@dataclass
class _Local:
    """The process's own counters, for when Redis is away."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def count(self, key: str) -> int:
        now = clock.now()
        with self.lock:
            if len(self.counts) >= _REMEMBERED:
                self.counts = {known: entry for known, entry in self.counts.items() if entry[1] > now}
            if len(self.counts) >= _REMEMBERED:
                return PER_ADDRESS + 1  # a flood of names while Redis is away: everybody waits
            number, until = self.counts.get(key, (0, now + WINDOW))
            if until <= now:
                number, until = 0, now + WINDOW
            self.counts[key] = (number + 1, until)
            return number + 1

    def forget(self, key: str) -> None:
        with self.lock:
            self.counts.pop(key, None)


@dataclass
class _Outage:
    """Remembers that Redis is away, so that not everybody who signs in waits for it to answer."""

    until: float = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    def note(self, error: redis.RedisError) -> None:
        self.until = time.monotonic() + AWAY_SECONDS
        log.warning("identity.throttle_alone", extra={"facts": {"reason": type(error).__name__}})


_local = _Local()
_outage = _Outage()


def count_attempt(email: str, address: str) -> None:
    """Count an attempt before its password is looked at, so that guesses sent at once count too.

    Raises `TooManySignInsError` when the account or the address is over its limit.
    """
    account, network = _key("account", email), _key("address", _network(address))
    counted = _shared_counts(account, network)
    if counted is None:
        over = _local.count(account) > PER_ACCOUNT_ALONE or _local.count(network) > PER_ADDRESS
    else:
        over = counted[0] > PER_ACCOUNT or counted[1] > PER_ADDRESS
    if over:
        raise TooManySignInsError(int(WINDOW.total_seconds()))


def forget_account(email: str) -> None:
    """A right password clears the account's count; the address keeps its own, or a thief would sign in to clear it."""
    account = _key("account", email)
    _local.forget(account)
    if _outage.over:
        try:
            queue.connection().delete(account)
        except redis.RedisError as error:
            _outage.note(error)


def _shared_counts(account: str, network: str) -> tuple[int, int] | None:
    """Both counts in Redis, this attempt included; None while Redis is away."""
    if not _outage.over:
        return None
    seconds = int(WINDOW.total_seconds())
    try:
        with queue.connection().pipeline() as pipeline:
            for key in (account, network):
                pipeline.set(key, 0, ex=seconds, nx=True)  # `expire … nx` needs Redis 7
                pipeline.incr(key)
            answers = pipeline.execute()
    except redis.RedisError as error:
        _outage.note(error)
        return None
    return int(answers[1]), int(answers[3])


def _key(kind: str, value: str) -> str:
    """Hashed: Redis is not a place for email addresses, and a long input makes no long key."""
    return f"{_PREFIX}{kind}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def _network(address: str) -> str:
    """An IPv6 customer has 2**64 addresses: they count as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
