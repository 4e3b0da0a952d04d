"""What became of a hunt, told in the log: what it found, what it could not read, and what it may not list."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from services.audit import service as audit
from services.hunter.schemas import HuntProgress
from services.hunter.sweeps import Sweep


def tell(
    session: Session, merchant_id: str, progress: HuntProgress, unreadable: Counter[str], refused: Sequence[Sweep]
) -> str:
    """Tell what became of the hunt; what it could not look at is returned as well, to be kept with it."""
    audit.log_event(
        session,
        merchant_id,
        "hunter.hunt_done",
        f"Hunt finished: {progress.listed} objects listed, {progress.found} ghosts found, "
        f"{progress.updated} updated, {progress.unreadable} unreadable.",
        facts={"hunt_id": progress.id, "requests": progress.requests},
    )
    for reason, number in sorted(unreadable.items()):
        message = f"{number} objects could not be read: {reason.replace('_', ' ')}."
        _warn(session, merchant_id, "hunter.unreadable", message, reason=reason, count=number)
    missed = [
        f"{sweep.without}: Stripe does not let PHANTOM list {sweep.name}. Allow the key to read them."
        for sweep in refused
    ]
    for message in missed:
        _warn(session, merchant_id, "hunter.not_allowed", message)
    return " ".join(missed)


def _warn(session: Session, merchant_id: str, name: str, message: str, **facts: Any) -> None:
    audit.log_event(session, merchant_id, name, message, level="warning", facts=facts)
