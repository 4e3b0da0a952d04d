"""How often somebody may call, for all processes together: so many at once, and then at a rate.

Nobody queues: who is sent away has used up nothing, so who calls twice too often still gets half of it. One moment is
kept a name, until which its calls are paid for; in Redis by our own clock, and while Redis is away in this process.
"""

import math
import threading

from core import clock, queue

_PREFIX = "phantom:allowance:"
_REMEMBERED = 20_000
_NEARLY = 1e-6  # seconds are floats

# Times are Unix seconds as text: Lua's own numbers in answers are cut to integers. `_Alone.wait` is the same in Python.
_SCRIPT = """
local now, every, ahead, kept_for = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local paid = tonumber(redis.call('get', KEYS[1]) or '0')
if paid < now or paid > now + 2 * (ahead + every) then paid = now end
if paid - now > ahead + 0.000001 then return string.format('%.6f', paid - now - ahead) end
redis.call('set', KEYS[1], string.format('%.6f', paid + every), 'ex', kept_for)
return '0'
"""


class _Alone:
    """The same in this process alone."""

    def __init__(self) -> None:
        self._paid: dict[str, float] = {}
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


_alone = _Alone()


def wait(name: str, rate: float, burst: int) -> float:
    """Seconds to stay away; 0 means that this call may be made, and counts. `burst` at once, `rate` a second after."""
    now, every = clock.now().timestamp(), 1 / rate
    ahead = every * (burst - 1)
    given = [f"{now:.6f}", f"{every:.6f}", f"{ahead:.6f}", str(math.ceil(2 * every * burst))]
    answer = queue.script(_SCRIPT, [f"{_PREFIX}{name}"], given)
    return float(answer) if answer is not None else _alone.wait(name, every, ahead, now)
