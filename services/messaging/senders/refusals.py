"""That a provider refuses the platform's own key: no merchant's row can say it, and all merchants' messages wait.

Kept where all processes see it, for as long as it is likely to stand: what waits asks again every few minutes. While
Redis is away it is not known, and nothing depends on it but what people are told.
"""

import math
from datetime import timedelta

from core import queue

LASTS = timedelta(minutes=15)
_PREFIX = "phantom:refused:"


def note(key_print: str, reason: str) -> None:
    """The provider refused this key just now, in its own words."""
    seconds = str(math.ceil(LASTS.total_seconds()))
    queue.script("return redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])", [_PREFIX + key_print], [reason, seconds])


def reason_of(key_print: str) -> str:
    """Why the provider refuses this key, as it said lately; empty where it does not."""
    found = queue.script("return redis.call('get', KEYS[1]) or ''", [_PREFIX + key_print], [])
    return found.decode() if found else ""
