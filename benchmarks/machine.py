"""What a figure belongs to: the machine, the day, and the versions and settings of everything that took part."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import psycopg
import redis

from core import clock

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
_PACKAGES = ("reflex", "granian", "starlette", "psycopg", "sqlmodel", "stripe", "rq", "redis", "uvloop")
_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def environment() -> dict[str, Any]:
    """The machine, the date and the versions of the packages."""
    return {
        "date": clock.now().isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cpu": cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def cpu_model(told: Path) -> str:
    """What the kernel calls the first processor; "unknown" where it does not say, as on ARM and outside Linux."""
    if not told.exists():
        return "unknown"
    found = _MODEL.search(told.read_text(errors="replace"))
    return found[1].strip() if found else "unknown"


def servers(postgres_url: str, redis_url: str) -> dict[str, dict[str, str]]:
    """The versions of running servers, and how durable a commit of this PostgreSQL is."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        shown = {name: _shown(connection, name) for name in ("server_version", *DURABILITY)}
    with redis.Redis.from_url(redis_url) as client:
        about = cast(dict[str, Any], client.info("server"))
    return {
        "postgresql": {"version": shown.pop("server_version"), **shown},
        "redis": {"version": str(about["redis_version"])},
    }


def _shown(connection: "psycopg.Connection[Any]", name: str) -> str:
    row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else ""
