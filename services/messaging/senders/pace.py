"""A provider's rate, shared by all workers: who gets no turn is given a moment to come back, and nobody waits here.

Each sender's key has a line of turns, evenly spaced. A message that asks takes the next one: its moment is now, or
later, and then it is kept for it, so that coming back costs one look and order is kept. A turn that is missed by more
than `GRACE` seconds is lost: after an outage everybody would come at once. The line is in Redis, by our own clock;
while Redis is away each process keeps one for itself, and a provider that refuses is asked again when it says.
"""

import logging
import math
import secrets
import threading
from dataclasses import dataclass, field

from core import clock, queue

GRACE = 2.0
AT_ONCE = 0.001  # nobody is sent away for less
FARTHEST = 600.0  # seconds ahead that turns are given; who comes later is asked to come back then, without one
_PREFIX = "phantom:pace:"
_KEPT = int(FARTHEST * 2)
_REMEMBERED = 20_000

log = logging.getLogger(__name__)

# Times are Unix seconds as text: Lua's own numbers in answers are cut to integers.
_TURN = """
local now, every, grace, farthest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local blocked = tonumber(redis.call('get', KEYS[3]) or '0')
if blocked > now + farthest then blocked = 0 end
local kept = tonumber(redis.call('get', KEYS[2]) or '-1')
if kept >= 0 and blocked <= now then
    if kept > now + 0.001 and kept <= now + farthest then return tostring(kept - now) end
    redis.call('del', KEYS[2])
    if kept <= now + 0.001 and now - kept <= grace then return '0' end
end
local free = tonumber(redis.call('get', KEYS[1]) or '0')
if free > now + farthest + every then free = 0 end
local at = math.max(now, free, blocked)
if at - now > farthest then return tostring(farthest) end
redis.call('set', KEYS[1], string.format('%.6f', at + every), 'ex', ARGV[5])
if at <= now + 0.001 then return '0' end
redis.call('set', KEYS[2], string.format('%.6f', at), 'ex', ARGV[5])
return tostring(at - now)
"""


@dataclass
class Line:
    """The same turns in this process alone."""

    free: dict[str, float] = field(default_factory=dict)
    kept: dict[tuple[str, str], float] = field(default_factory=dict)
    blocked: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, key: str, who: str, every: float, now: float) -> float:
        with self.lock:
            blocked = self.blocked.get(key, 0.0)
            blocked = 0.0 if blocked > now + FARTHEST else blocked
            kept = self.kept.get((key, who))
            if kept is not None and blocked <= now:
                if now + AT_ONCE < kept <= now + FARTHEST:
                    return kept - now
                del self.kept[(key, who)]
                if -AT_ONCE <= now - kept <= GRACE:
                    return 0.0
            free = self.free.get(key, 0.0)
            free = 0.0 if free > now + FARTHEST + every else free
            at = max(now, free, blocked)
            if at - now > FARTHEST:
                return FARTHEST
            self.free[key] = at + every
            if at <= now + AT_ONCE:
                return 0.0
            self._keep(key, who, at, now)
            return at - now

    def _keep(self, key: str, who: str, at: float, now: float) -> None:
        if len(self.kept) >= _REMEMBERED:
            self.kept = {name: moment for name, moment in self.kept.items() if moment >= now - GRACE}
        self.kept[(key, who)] = at


_alone = Line()


def turn(key_print: str, who: str, rate: float) -> float:
    """Seconds until `who` may send with this key, at most `rate` a second together; 0 means now.

    `who` names the message, the same at each asking. A rate of 0 knows no limit.
    """
    if rate <= 0:
        return 0.0
    now, every = clock.now().timestamp(), 1 / rate
    keys = [f"{_PREFIX}{key_print}", f"{_PREFIX}{key_print}:{who}", f"{_PREFIX}{key_print}:blocked"]
    given = [f"{now:.6f}", f"{every:.6f}", str(GRACE), str(FARTHEST), str(_KEPT)]
    answer = queue.script(_TURN, keys, given)
    return float(answer) if answer is not None else _alone.turn(key_print, who, every, now)


def ahead(key: str, rate: float) -> float:
    """How far a line has grown that everybody joins and nobody waits in, in seconds: for limiting callers."""
    return turn(key, secrets.token_hex(8), rate)


def hold(key_print: str, seconds: float) -> None:
    """Let nobody send with this key for a while: its provider said so."""
    until = clock.now().timestamp() + min(seconds, FARTHEST)
    with _alone.lock:
        _alone.blocked[key_print] = until
    script = "return redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])"
    queue.script(script, [f"{_PREFIX}{key_print}:blocked"], [f"{until:.6f}", str(math.ceil(FARTHEST))])
