"""The files in which a host's processes count together: made so that neither a full disk nor a bad file ends one.

`prometheus_client` maps a sparse file into memory, and whoever counts into a block that a full disk cannot give is
killed with SIGBUS. Here the blocks are had before a file is mapped or grown. A process that cannot have them goes on
counting in memory, for itself; a file that cannot be read is removed. Both are said in one line of the log.
"""

import contextlib
import fcntl
import json
import logging
import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_INITIAL_BYTES = 1 << 16  # as much as the library begins with
_ENTRY_BYTES = 32  # beside its name: a length, padding, two numbers
_OF_THE_DEAD = 0  # no process has this id: its files hold the sums of processes that have ended
_UNREADABLE = (struct.error, RuntimeError, ValueError, OSError)  # ValueError: bad UTF-8 and bad JSON are such

log = logging.getLogger(__name__)
_alone: list[int] = []  # the process, not a fork of it, that could not have a file


def counts_alone() -> bool:
    """Whether what this process counts is in no file, so that only this process can tell it."""
    return _alone == [os.getpid()]


def _count_alone(error: OSError) -> None:
    if not counts_alone():
        _alone[:] = [os.getpid()]
        log.warning("metrics.not_shared", extra={"facts": {"error": error.strerror or type(error).__name__}})


@cache
def _classes() -> tuple[Any, Any]:
    """Files with room, and the same that fall back to memory; made once the library may be imported."""
    from prometheus_client import mmap_dict

    library: Any = mmap_dict.MmapedDict

    class Allocated(library):  # type: ignore[misc]  # the library has no types
        """Raises `OSError`, and has changed nothing, where there is no room."""

        def __init__(self, filename: str) -> None:
            _allocate(Path(filename))
            super().__init__(filename)

        def _init_value(self, key: str) -> None:
            capacity = self._capacity
            while self._used + len(key.encode()) + _ENTRY_BYTES > capacity:
                capacity *= 2
            if capacity > self._capacity:
                os.posix_fallocate(self._f.fileno(), 0, capacity)
            super()._init_value(key)

    class Own(Allocated):
        """A process's own: where there is no room for more, what it counted and will count is in memory."""

        def __init__(self, filename: str) -> None:
            try:
                super().__init__(filename)
            except OSError as error:
                self._go_on_in_memory(error)

        def _init_value(self, key: str) -> None:
            if self._f is not None:
                try:
                    super()._init_value(key)
                except OSError as error:
                    self._go_on_in_memory(error)
                else:
                    return
            while self._used + len(key.encode()) + _ENTRY_BYTES > self._capacity:
                self._m.extend(bytes(self._capacity))
                self._capacity *= 2
            super()._init_value(key)

        def _go_on_in_memory(self, error: OSError) -> None:
            """With what is counted already; the library reads and writes a mapped file and a bytearray alike."""
            _count_alone(error)
            mapped = getattr(self, "_m", None)
            if mapped is None:
                self._capacity, self._used = _INITIAL_BYTES, 8
                self._positions: dict[str, int] = {}
            self._m: Any = bytearray(_INITIAL_BYTES if mapped is None else mapped)
            self._f: Any = None

    return Allocated, Own


def _allocate(file: Path) -> None:
    """Make the file, or keep it if it can be read, with all its blocks on the disk. Raises `OSError`."""
    if file.is_file() and file.stat().st_size and entries(file) is None:
        file.unlink()
    made = not file.exists()
    try:
        with file.open("ab") as opened:
            os.posix_fallocate(opened.fileno(), 0, max(os.fstat(opened.fileno()).st_size, _INITIAL_BYTES))
    except OSError:
        if made:  # an empty one would only be in everybody's way
            file.unlink(missing_ok=True)
        raise


def use() -> None:
    """From now on this process and its forks count into files made here; before the first is made."""
    from prometheus_client import values

    setattr(values, "MmapedDict", _classes()[1])  # noqa: B010  # the library has no other way in, and no types


def entries(file: Path) -> list[tuple[str, float]] | None:
    """What is counted in a file; None, and a line in the log, where that cannot be told."""
    from prometheus_client import mmap_dict

    found: list[tuple[str, float]] = []
    read: Any = mmap_dict.MmapedDict.read_all_values_from_file
    try:
        for key, value, _timestamp, _position in read(str(file)):
            match json.loads(key):
                case [str(), str(), dict(), str()]:
                    found.append((key, value))
                case _:
                    raise ValueError("not a name that the library writes")
    except _UNREADABLE as error:
        log.warning("metrics.unreadable_file", extra={"facts": {"file": file.name, "error": type(error).__name__}})
        return None
    return found


def readable(folder: Path) -> list[str]:
    """The files that can be added up."""
    return [str(file) for file in sorted(folder.glob("*.db")) if entries(file) is not None]


@contextlib.contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Keep a scrape from adding up files that are being folded."""
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, how)
        yield


def fold_in_the_dead(folder: Path) -> None:
    """Add what ended processes counted to one file, as far as the disk has room; a file nobody can read is removed."""
    with locked(folder, fcntl.LOCK_EX):
        for file in sorted(folder.glob("*_*.db")):
            kind, _, number = file.stem.rpartition("_")
            if not number.isdecimal() or int(number) == _OF_THE_DEAD or _lives(int(number)):
                continue
            try:
                _fold(file, folder / f"{kind}_{_OF_THE_DEAD}.db")
            except OSError as error:
                log.warning("metrics.not_folded", extra={"facts": {"error": error.strerror}})
                return  # it stays, is added up at each scrape, and folded at another start


def _fold(file: Path, into: Path) -> None:
    found = entries(file)
    if found is None:
        file.unlink()
        return
    sums = _classes()[0](str(into))
    try:
        for key, _value in found:
            sums.read_value(key)  # has room from here on
        # removed first: what dies between the lines is lost, and a sum that misses some is better than one doubled
        file.unlink()
        for key, value in found:
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
