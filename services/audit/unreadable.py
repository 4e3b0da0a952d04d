"""What of Stripe's could not be read: counted by what was missing and by API shape, never guessed and never lost.

Hunts read everything there is, so each hunt counts anew, and one that met nothing of a kind any more takes that row
away. Webhooks tell of single objects: their count goes on until a week has passed without one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from models.health import ReadVia
from services.audit import unreadable_repository as repository

EXAMPLES = 5
FORGOTTEN_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One object: `reason` of a closed list, `shape` of the API or empty, and its id where it had one."""

    reason: str
    shape: str = ""
    object_id: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableKind:
    """All objects with the same thing missing. `number` is of the latest hunt, or of webhooks since `first_at`."""

    via: ReadVia
    reason: str
    shape: str
    number: int
    examples: tuple[str, ...]
    first_at: datetime
    last_at: datetime


def note_of_hunt(session: Session, merchant_id: str, hunt_id: str, found: Iterable[Unreadable]) -> None:
    """Count what a page of a hunt had; in the page's transaction, so that a page counts once."""
    _note(session, merchant_id, ReadVia.HUNT, hunt_id, found)


def note_of_webhook(session: Session, merchant_id: str, found: Unreadable) -> None:
    """Count what an event was about."""
    _note(session, merchant_id, ReadVia.WEBHOOK, "", (found,))


def settle_hunt(session: Session, merchant_id: str, hunt_id: str) -> None:
    """The hunt has read everything: what former hunts met and this one did not is readable again, or gone."""
    repository.forget(session, merchant_id, hunt_id, clock.now() - FORGOTTEN_AFTER)


def list_kinds(session: Session, merchant_id: str) -> tuple[UnreadableKind, ...]:
    """What cannot be read now, the most first."""
    return tuple(
        UnreadableKind(
            via=ReadVia(row.via),
            reason=row.reason,
            shape=row.shape,
            number=row.number,
            examples=tuple(str(each) for each in row.examples.get("ids", ())),
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in repository.list_all(session, merchant_id)
    )


def _note(session: Session, merchant_id: str, via: ReadVia, hunt_id: str, found: Iterable[Unreadable]) -> None:
    objects = list(found)
    numbers = Counter((each.reason[:48], each.shape[:16]) for each in objects)
    now = clock.now()
    # In order, for two pages of two hunts must not wait for each other crosswise.
    for (reason, shape), number in sorted(numbers.items()):
        named = [each.object_id[:64] for each in objects if (each.reason[:48], each.shape[:16]) == (reason, shape)]
        values = {
            "merchant_id": merchant_id,
            "via": via.value,
            "reason": reason,
            "shape": shape,
            "hunt_id": hunt_id,
            "number": number,
            "ids": list(dict.fromkeys(each for each in named if each))[:EXAMPLES],
            "now": now,
            "most": EXAMPLES,
        }
        repository.add(session, values)
