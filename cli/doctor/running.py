"""What must be alive and keeping up: Redis, the Sentinel, workers, the queue and webhook intake."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from cli.doctor.findings import Check, Trouble, Warn
from core import db, queue
from services.operations.schemas import Platform
from services.operations.service import read_platform

SLOW_MILLISECONDS = 100
SILENT = timedelta(seconds=45)  # workers tell Redis of themselves every ten seconds
SLOW, STUCK = 60.0, 900.0  # seconds that something due has waited
HUNT_LATE = 26 * 3600.0  # two slots of twelve hours, and two to be done in
NEEDS = ("schema",)


def checks() -> list[Check]:
    return [
        Check("Redis", reach_redis, ("settings",)),
        Check("Redis memory", eviction, ("Redis",)),
        Check("Redis disk", persistence, ("Redis",)),
        Check("Sentinel", sentinel, NEEDS),
        Check("workers", workers, (*NEEDS, "Redis")),
        Check("queue", waiting, NEEDS),
        Check("dead letters", dead_letters, NEEDS),
        Check("events", events, NEEDS),
        Check("hunts", hunts, NEEDS),
    ]


def reach_redis() -> str:
    try:
        queue.connection().ping()
        begun = time.perf_counter()
        queue.connection().ping()
        milliseconds = (time.perf_counter() - begun) * 1000
        version = _info("server")["redis_version"]
    except redis.RedisError as error:
        raise Trouble(f"{type(error).__name__}: {error}", "start Redis, or correct REDIS_URL") from None
    if milliseconds > SLOW_MILLISECONDS:
        raise Warn(f"answers after {milliseconds:.0f} ms", "put Redis near the processes; look at its slowlog")
    return f"Redis {version}, {milliseconds:.1f} ms"


def _info(section: str) -> dict[str, Any]:
    return cast(dict[str, Any], queue.connection().info(section))  # the library's type covers its async client too


def eviction() -> str:
    found = _info("memory")
    policy, most, used = found.get("maxmemory_policy", "noeviction"), found.get("maxmemory", 0), found["used_memory"]
    if policy != "noeviction":
        raise Trouble(
            f"maxmemory-policy is {policy}: what waits in the queue and open pages' states can be thrown away",
            "config set maxmemory-policy noeviction, and write it into redis.conf",
        )
    if most and used > 0.8 * most:
        raise Warn(f"{used / most:.0%} of its memory is full", "raise maxmemory: a full Redis refuses to write")
    return f"nothing is evicted, {used / 1e6:.0f} MB used"


def persistence() -> str:
    found = _info("persistence")
    failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if found.get(name, "ok") != "ok"]
    if failed:
        raise Trouble(f"it cannot write: {', '.join(failed)}", "look at the space and rights of Redis' folder")
    if not found.get("aof_enabled"):
        raise Warn(
            "no append-only file: a restart of Redis closes open pages and delays work by a sweep; nothing is lost",
            "appendonly yes in redis.conf",
        )
    return "append-only file"


def _platform() -> Platform:
    with db.system_session() as session:
        return read_platform(session)


def _beats() -> list[datetime]:
    now = datetime.now(UTC)  # a heartbeat is a moment of the machine's time, whatever a demo's clock says
    return [beat for beat in queue.worker_heartbeats() if now - beat < SILENT]


def sentinel() -> str:
    if _platform().leaders == 0:
        raise Trouble("none leads: nothing is scheduled, and tasks of dead processes stay", "start `phantom sentinel`")
    return "one leads"


def workers() -> str:
    beats = _beats()
    if not beats:
        raise Trouble("none told Redis of itself for 45 s: nothing is done", "start `phantom worker`")
    return f"{len(beats)} lanes at work"


def waiting() -> str:
    found = _platform()
    due, oldest = sum(each.due for each in found.queued), max(found.oldest_seconds.values(), default=0.0)
    words = f"{due} tasks are due, the oldest for {oldest:.0f} s"
    remedy = "start more workers; if there are enough, look for task.failed in their logs"
    if oldest > STUCK:
        raise Trouble(words, remedy)
    if oldest > SLOW:
        raise Warn(words, remedy)
    return words


def dead_letters() -> str:
    dead = _platform().dead
    if dead:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(dead.items()))
        raise Warn(
            f"tasks gave up and wait for a person: {kinds}",
            "read why on the System page, mend the cause, then replay them there",
        )
    return "none"


def events() -> str:
    found = _platform()
    words = f"{found.unhandled_events} events are not handled, the oldest for {found.intake_lag_seconds:.0f} s"
    remedy = "look at the queue's handle_event tasks: workers missing, or dead letters to replay"
    if found.intake_lag_seconds > STUCK:
        raise Trouble(words, remedy)
    if found.intake_lag_seconds > SLOW:
        raise Warn(words, remedy)
    return words if found.unhandled_events else "all are handled"


def hunts() -> str:
    lag = _platform().hunt_lag_seconds
    if lag is None:
        return "no account is connected yet"
    if lag > HUNT_LATE:
        raise Warn(
            f"a merchant was last hunted {lag / 3600:.0f} hours ago",
            "look for failed hunts on the merchants' System pages; is the long lane worked on?",
        )
    return f"the longest unhunted merchant's is {lag / 3600:.1f} hours ago"
