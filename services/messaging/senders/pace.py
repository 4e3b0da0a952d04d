"""A provider's rate, shared by all workers: who gets no turn is given a moment to come back, and nobody waits here.

Each sender's key has a line of evenly spaced turns, given for as far ahead as keeps it busy and no farther. Who finds
it that long waits in a line of their own merchant, and asks again when their moment there comes: ten thousand messages
of one merchant behind the platform's key keep nobody waiting who has one. A turn that somebody was late for is not
lost; but in no second do more go than the rate allows, so after an outage not everybody comes at once.

The lines are in Redis, by our own clock; while Redis is away each process keeps them for itself, and a provider that
refuses is asked again when it says.
"""

import math
import threading
from collections import deque
from dataclasses import dataclass, field

from core import clock, queue

AT_ONCE = 0.001  # nobody is sent away for less
AHEAD = 0.5  # seconds of turns that are given to who waited in a merchant's line; to others twice as much
FARTHEST = 600.0  # seconds ahead that moments are given; who comes later is asked to come back then, without one
_PREFIX = "phantom:pace:"
_KEPT = int(FARTHEST * 2)
_REMEMBERED = 20_000
_TURN, _MOMENT = "t", "m"  # what somebody holds: a turn in the key's line, or a moment in their merchant's

# Times are Unix seconds as text: Lua's own numbers in answers are cut to integers. `Lines.turn` is the same in Python.
_SCRIPT = """
local line, own, who, blocked, gone, own_blocked = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now, every, ahead, farthest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, span, kept_for, at_once = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])

local function moment(key, latest)
    local at = tonumber(redis.call('get', key) or '0')
    if at > latest then return 0 end
    return at
end
local function keep(key, kind, at)
    redis.call('set', key, kind .. string.format('%.6f', at), 'ex', kept_for)
end
local function go()
    local before = tonumber(redis.call('lindex', gone, most - 1) or '0')
    if before <= now + at_once and before + span > now + at_once then
        keep(who, 't', before + span)
        return tostring(before + span - now)
    end
    redis.call('lpush', gone, string.format('%.6f', now))
    redis.call('ltrim', gone, 0, most - 1)
    redis.call('expire', gone, kept_for)
    return '0'
end

local held, kind, at = redis.call('get', who), '', 0
if held then kind, at = string.sub(held, 1, 1), tonumber(string.sub(held, 2)) end
if at > now + farthest then kind, at = '', 0 end
if at > now + at_once then return tostring(at - now) end
redis.call('del', who)
local refused = math.max(moment(blocked, now + farthest), moment(own_blocked, now + farthest))
if kind == 't' and refused <= now then return go() end
local latest = now + farthest + 2 * every
local first, mine = math.max(now, moment(line, latest), refused), moment(own, latest)
local allowed = ahead * 2
if kind == 'm' then allowed = ahead elseif mine > now + at_once then allowed = 0 end
if first - now <= allowed + at_once then
    keep(line, '', first + every)
    if first <= now + at_once then return go() end
    keep(who, 't', first)
    return tostring(first - now)
end
at = math.max(first, mine)
if at - now > farthest + at_once then return tostring(farthest) end
keep(own, '', at + every)
keep(who, 'm', at)
return tostring(at - now)
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as the lines need it: so far apart, so far ahead, and at most so many in so long. All in seconds."""

    every: float
    ahead: float
    most: int
    span: float

    @classmethod
    def of(cls, per_second: float) -> "Rate":
        every, most = 1 / per_second, max(1, math.floor(per_second))
        return cls(every, max(AHEAD, every), most, most * every)


@dataclass
class Lines:
    """The same lines in this process alone."""

    free: dict[tuple[str, str | None], float] = field(default_factory=dict)  # a key's, and its merchants'
    held: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    blocked: dict[tuple[str, str], float] = field(default_factory=dict)
    gone: dict[str, deque[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, key: str, who: str, rate: Rate, now: float, of: str = "") -> float:
        with self.lock:
            kind, at = self.held.get((key, who), ("", 0.0))
            if now + AT_ONCE < at <= now + FARTHEST:
                return at - now
            kind = "" if at > now + FARTHEST else kind
            self.held.pop((key, who), None)
            holds = (self.blocked.get((key, whose), 0.0) for whose in ("", of))
            refused = max(_unless_absurd(each, now + FARTHEST) for each in holds)
            if kind == _TURN and refused <= now:
                return self._go(key, who, rate, now)
            latest = now + FARTHEST + 2 * rate.every
            first = max(now, _unless_absurd(self.free.get((key, None), 0.0), latest), refused)
            mine = _unless_absurd(self.free.get((key, of), 0.0), latest)
            if first - now <= _allowed(kind, mine, rate, now) + AT_ONCE:
                return self._give(key, who, rate, now, first)
            at = max(first, mine)
            if at - now > FARTHEST + AT_ONCE:
                return FARTHEST
            self.free[(key, of)] = at + rate.every
            self._keep(key, who, _MOMENT, at, now)
            return at - now

    def _give(self, key: str, who: str, rate: Rate, now: float, first: float) -> float:
        self.free[(key, None)] = first + rate.every
        if first <= now + AT_ONCE:
            return self._go(key, who, rate, now)
        self._keep(key, who, _TURN, first, now)
        return first - now

    def _go(self, key: str, who: str, rate: Rate, now: float) -> float:
        gone = self.gone.setdefault(key, deque(maxlen=rate.most))
        before = gone[0] if len(gone) == rate.most else 0.0
        if before <= now + AT_ONCE < before + rate.span:
            self._keep(key, who, _TURN, before + rate.span, now)
            return before + rate.span - now
        gone.append(now)
        return 0.0

    def _keep(self, key: str, who: str, kind: str, at: float, now: float) -> None:
        if len(self.held) >= _REMEMBERED:
            self.held = {name: kept for name, kept in self.held.items() if kept[1] >= now - FARTHEST}
        self.held[(key, who)] = kind, at


def _unless_absurd(at: float, latest: float) -> float:
    """A moment that the clock has jumped back from says nothing."""
    return 0.0 if at > latest else at


def _allowed(kind: str, mine: float, rate: Rate, now: float) -> float:
    """How long the key's line may be for somebody to join it, by what they hold and when their merchant's line ends."""
    if kind == _MOMENT:
        return rate.ahead
    return 0.0 if mine > now + AT_ONCE else rate.ahead * 2  # behind its own, unless the line has run dry


_alone = Lines()


def turn(key_print: str, who: str, rate: float, of: str = "") -> float:
    """Seconds until `who` may send with this key, at most `rate` a second together; 0 means now.

    `who` names the message, the same at each asking, and `of` whose it is: the merchants behind one key share it
    evenly. Whoever was given seconds asks again then, and may be given some more. A rate of 0 knows no limit.
    """
    if rate <= 0:
        return 0.0
    now, paced = clock.now().timestamp(), Rate.of(rate)
    key = f"{_PREFIX}{key_print}"
    keys = [key, f"{key}:of:{of}", f"{key}:who:{who}", _hold_of(key), f"{key}:gone", _hold_of(key, of)]
    given = [now, paced.every, paced.ahead, FARTHEST, paced.most, paced.span, _KEPT, AT_ONCE]
    answer = queue.script(_SCRIPT, keys, [f"{each:.6f}" if isinstance(each, float) else str(each) for each in given])
    return float(answer) if answer is not None else _alone.turn(key_print, who, paced, now, of)


def hold(key_print: str, seconds: float, of: str = "") -> None:
    """Let nobody send with this key for a while, or nobody of the one merchant `of`: its provider said so."""
    until = clock.now().timestamp() + min(seconds, FARTHEST)
    with _alone.lock:
        _alone.blocked[(key_print, of)] = until
    script = "return redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])"
    queue.script(script, [_hold_of(f"{_PREFIX}{key_print}", of)], [f"{until:.6f}", str(math.ceil(FARTHEST))])


def _hold_of(key: str, of: str = "") -> str:
    return f"{key}:of:{of}:blocked" if of else f"{key}:blocked"
