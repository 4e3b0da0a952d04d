"""The only source of time: aware UTC, with one persisted offset for demo and tests.

Code below reads time through `now()` and nothing else, so that a demo can live six months in a minute and a
test can stand still. Live mode never installs anything but the system clock (core.config refuses the setting).
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Something that can tell the time as an aware UTC datetime."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class ManualClock:
    """A clock that stands still until it is moved: for unit tests."""

    current: datetime

    def now(self) -> datetime:
        return self.current

    def advance(self, delta: timedelta) -> None:
        self.current += delta


@dataclass
class OffsetClock:
    """System time plus an offset that all processes read from one small file.

    The file is replaced atomically, so its mtime and inode tell when to read it again; a missing file means
    no offset.
    """

    path: Path
    _stamp: tuple[int, int] | None = field(default=None, init=False)
    _offset: timedelta = field(default=timedelta(), init=False)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset()

    def offset(self) -> timedelta:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return timedelta()
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._offset = timedelta(seconds=json.loads(self.path.read_text())["offset_seconds"])
            self._stamp = stamp
        return self._offset


_clock: Clock = SystemClock()


def now() -> datetime:
    """The current time, aware, UTC."""
    return _clock.now()


def timestamp() -> int:
    """The current time in whole Unix seconds, as Stripe writes times."""
    return int(now().timestamp())


def install(clock: Clock) -> None:
    """Make `clock` the process's source of time."""
    global _clock
    _clock = clock


@contextlib.contextmanager
def using(clock: Clock) -> Iterator[Clock]:
    """Install `clock` for the length of a block and put the former one back."""
    former = _clock
    install(clock)
    try:
        yield clock
    finally:
        install(former)


def write_offset(path: Path, offset: timedelta) -> None:
    """Persist the offset every `OffsetClock` on `path` adds from now on (atomic replace)."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".clock-")
    with os.fdopen(handle, "w") as file:
        json.dump({"offset_seconds": offset.total_seconds()}, file)
    Path(name).replace(path)


def set_now(path: Path, moment: datetime) -> None:
    """Persist the offset that makes the shared clock read `moment` now."""
    write_offset(path, moment - datetime.now(UTC))


def from_timestamp(seconds: float) -> datetime:
    """Unix seconds to aware UTC."""
    return datetime.fromtimestamp(seconds, UTC)
