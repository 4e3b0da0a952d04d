"""How often somebody may call, for all processes together: so many at once and then at a rate, or so many in any span.

Nobody queues: who is sent away has used up nothing, so who calls twice too often still gets half of it. A rate keeps
one moment a name, until which its calls are paid for; a span keeps the moments of its latest calls. Both stand in Redis
by our own clock, and while Redis is away in this process.
"""

import math
import threading
from collections import deque

from core import clock, queue

_PREFIX = "phantom:allowance:"
_REMEMBERED = 20_000
_NEARLY = 1e-6  # seconds are floats
_AHEAD = 60.0  # clocks of hosts differ by less: a later moment is from before the clock was set back

# Times are Unix seconds as text: Lua's own numbers in answers are cut to integers. `_Alone` is the same in Python.
_SCRIPT = """
local now, every, ahead, kept_for = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local paid = tonumber(redis.call('get', KEYS[1]) or '0')
if paid < now or paid > now + 2 * (ahead + every) then paid = now end
if paid - now > ahead + 0.000001 then return string.format('%.6f', paid - now - ahead) end
redis.call('set', KEYS[1], string.format('%.6f', paid + every), 'ex', kept_for)
return '0'
"""
_WITHIN_SCRIPT = """
local now, most, span = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local latest = tonumber(redis.call('lindex', KEYS[1], 0) or '0')
if latest > now + 60 then redis.call('del', KEYS[1]) end
local first = redis.call('lindex', KEYS[1], most - 1)
if first and now - tonumber(first) < span - 0.000001 then
    return string.format('%.6f', tonumber(first) + span - now)
end
redis.call('lpush', KEYS[1], ARGV[1])
redis.call('ltrim', KEYS[1], 0, most - 1)
redis.call('expire', KEYS[1], ARGV[4])
return '0'
"""


class _Alone:
    """The same in this process alone."""

    def __init__(self) -> None:
        self._paid: dict[str, float] = {}
        self._made: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, every: float, ahead: float, now: float) -> float:
        with self._lock:
            paid = self._paid.get(name, now)
            if not now <= paid <= now + 2 * (ahead + every):  # over, or before the clock was set back
                paid = now
            if paid - now > ahead + _NEARLY:
                return paid - now - ahead
            if len(self._paid) >= _REMEMBERED:
                self._paid = {known: until for known, until in self._paid.items() if until > now}
            self._paid[name] = paid + every
            return 0.0

    def wait_within(self, name: str, most: int, span: float, now: float) -> float:
        with self._lock:
            made = self._made.get(name, deque())
            if made and made[-1] > now + _AHEAD:
                made = deque()
            if len(made) >= most and now - made[-most] < span - _NEARLY:
                return made[-most] + span - now
            if len(self._made) >= _REMEMBERED:
                self._made = {known: calls for known, calls in self._made.items() if now - calls[-1] < span}
            self._made[name] = deque([*made, now], maxlen=most)
            return 0.0


_alone = _Alone()


def wait(name: str, rate: float, burst: int) -> float:
    """Seconds to stay away; 0 means that this call may be made, and counts. `burst` at once, `rate` a second after."""
    now, every = clock.now().timestamp(), 1 / rate
    ahead = every * (burst - 1)
    given = [f"{now:.6f}", f"{every:.6f}", f"{ahead:.6f}", str(math.ceil(2 * every * burst))]
    answer = queue.script(_SCRIPT, [f"{_PREFIX}{name}"], given)
    return float(answer) if answer is not None else _alone.wait(name, every, ahead, now)


def wait_within(name: str, most: int, span: float) -> float:
    """Seconds to stay away; 0 means that this call may be made, and counts. Never more than `most` in `span` seconds.

    Whichever span is looked at: a burst and a rate of the same size would let twice as many through in the first one.
    """
    now = clock.now().timestamp()
    given = [f"{now:.6f}", str(most), f"{span:.6f}", str(math.ceil(span))]
    answer = queue.script(_WITHIN_SCRIPT, [f"{_PREFIX}within:{name}"], given)
    return float(answer) if answer is not None else _alone.wait_within(name, most, span, now)
