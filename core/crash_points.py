"""Named points where a process may be told to die, so that tests can show that dying there loses and doubles nothing.

A point costs one comparison unless demo or test settings name a folder (`PHANTOM_CRASH_FOLDER`, refused in live
mode). Then a process that passes a point whose name is a file in that folder removes the file and kills itself: one
file is one death, whichever process gets there first, and a running stack is armed by making a file.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# Every point there is, in the order of a failed payment's way through the house. A test finds each in the sources.
POINTS = (
    "intake.committed",  # events and their tasks are stored, nobody was answered
    "intake.acknowledged",  # Stripe was answered, no worker was woken
    "tasks.claimed",  # a batch is held, nothing of it ran
    "tasks.ran",  # a task's effects are committed, the task is not settled
    "tasks.settled",  # settled, no screen was told
    "event.handled",  # what an event means is committed, the event is not marked
    "hunt.page_stored",  # a page and its cursor are committed, follow-ups were not announced
    "pulse.page_planned",  # a page of messages is planned
    "message.intended",  # the intent is committed, the provider was not called
    "message.handed_over",  # the provider has it, nothing here says so
    "message.settled",  # written down as sent, the task is not
    "charge.intended",  # the attempt is committed, Stripe was not called
    "charge.made",  # Stripe has charged, nothing here says so
    "charge.settled",  # the outcome is written down, the task is not
    "team_mail.handed_over",  # the provider has a digest or an alert, nothing here says so
    "usage.intended",  # a report is committed as begun, the meter was not told
    "usage.told",  # the meter has it, nothing here says so
    "sentinel.scheduled",  # a slot's tasks are committed, no worker was woken
    "connect.authorized",  # Stripe has given the account to us, nothing is stored
    "connect.stored",  # merchant and first hunt are committed, the browser was not answered
)

_reached: Callable[[str], None] | None = None


def crash_point(name: str) -> None:
    """Pass the point `name`, one of `POINTS`: returns at once unless a test has armed it."""
    if _reached is not None:
        _reached(name)


@contextlib.contextmanager
def reached(handler: Callable[[str], None]) -> Iterator[None]:
    """Have `handler` called with the name of each point this process passes; for tests and the simulation."""
    global _reached
    former, _reached = _reached, handler
    try:
        yield
    finally:
        _reached = former


def arm_from(folder: Path) -> None:
    """From now on die at points that are files in `folder`; for the rest of this process."""
    global _reached

    def die_once(name: str) -> None:
        try:
            (folder / name).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    _reached = die_once
