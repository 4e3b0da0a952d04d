"""A person's wish for a hunt now, and whether one is under way."""

from sqlmodel import Session

from core import clock
from models.work import HuntState
from services.hunter.schemas import HuntProgress
from services.hunter.service import RESUMED_FOR
from services.tasks import service as tasks
from services.tasks import upkeep

PERSON_PRIORITY = 10


def ask_for_hunt(session: Session, merchant_id: str) -> bool:
    """Have a hunt run soon, in the caller's transaction; False while one that was asked for waits or runs.

    Also once a minute at most: of two that ask at the same moment, the key of the second is taken.
    """
    start = f"hunt:{merchant_id}:person:"
    if upkeep.has_open(session, merchant_id, start):
        return False
    minute = int(clock.now().timestamp()) // 60
    task = tasks.schedule(
        session,
        kind="hunt",
        merchant_id=merchant_id,
        key=f"{start}{minute}",
        payload={"trigger": "person"},
        priority=PERSON_PRIORITY,
    )
    return task is not None


def is_under_way(session: Session, merchant_id: str, hunt: HuntProgress) -> bool:
    """Whether somebody works on this hunt, or will go on with it.

    Its row alone does not tell: a process that is killed leaves it running, and its task can have given up. A command
    has no task; whoever calls it again within the day goes on with it.
    """
    if hunt.state != HuntState.RUNNING:
        return False
    if hunt.trigger == "command":
        return clock.now() - hunt.started_at <= RESUMED_FOR
    return upkeep.has_open(session, merchant_id, "hunt:")
