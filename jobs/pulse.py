"""The hourly message round of one merchant: plan what is due, page by page."""

import contextlib
import contextvars
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from queue import SimpleQueue
from threading import Event
from typing import Any

from sqlmodel import Session

from core import clock, db
from core.crash_points import crash_point
from services.recovery.charging import retry_plans, unsettled
from services.recovery.plans import pulse
from services.recovery.work import merchant_context
from services.tasks import service as tasks
from services.tasks.schemas import ClaimedTask

Round = tuple[int, pulse.Place | None]
AT_ONCE = 2
"""Pages under way: while the database works for one the other is computed."""
PAGES_A_PART = 100
"""Of a plan made anew: some 25,000 ghosts, which takes half a minute of the five that a pulse has."""


def run(task: ClaimedTask) -> dict[str, Any]:
    """Each page is a transaction of its own; a crash between pages only leaves the rest to the next pulse.

    `{"replan": true}`: the policy changed, so all plans are made anew before; of very many a part, and the next part is
    a task of its own.
    """
    now = clock.now()
    if task.payload.get("replan") and not _replan(task, now):
        return {"goes_on": True}
    with _page(task.tenant) as session:
        first = pulse.plan_due(session, task.tenant, now)
        # Where there was nothing to plan, no shard is held yet, and what follows needs no transaction of its own.
        retries = None if first.found else _retries(session, task.tenant, now)
        old = unsettled.has_old(session, task.tenant)
    done = _settled(task.tenant, first, now)
    for page in _following(task.tenant, first.after, now):
        done += _settled(task.tenant, page, now)
    if old:
        _settle_old(task.tenant)
    return {
        **{name: done[name] for name in ("messages", "exhausted", "moved")},
        "retries": _look_at_retries(task.tenant, now, retries),
    }


def _following(merchant_id: str, after: pulse.Place | None, now: datetime) -> Iterator[pulse.Pulsed]:
    """The pages after this place, in their order; the next is begun as soon as it is known where one ends.

    Once one has met an error, or nobody asks for more, those under way are done and none follows.
    """
    if after is None:  # of most merchants, whom no thread is worth while
        return
    begun: SimpleQueue[Future[pulse.Pulsed] | None] = SimpleQueue()
    over = Event()

    def begin(place: pulse.Place | None) -> None:
        if place is None or over.is_set():
            begun.put(None)
        else:
            context = contextvars.copy_context()  # with the correlation id, which a new thread does not have
            begun.put(pool.submit(context.run, plan, place))

    def plan(place: pulse.Place) -> pulse.Pulsed:
        try:
            with _page(merchant_id) as session:
                return pulse.plan_due(session, merchant_id, now, place, begin)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pulse") as pool:
        try:
            begin(after)
            while (coming := begun.get()) is not None:
                yield coming.result()
        finally:
            over.set()


def _settled(merchant_id: str, page: pulse.Pulsed, now: datetime) -> Counter[str]:
    """What came of a page, once what it left is settled as well."""
    done = Counter(messages=page.messages, exhausted=page.exhausted, moved=page.moved)
    for part in pulse.slices(page.left):
        with _page(merchant_id) as session:
            exhausted, moved = pulse.settle(session, merchant_id, part, now)
        done.update(exhausted=exhausted, moved=moved)
    return done


def _replan(task: ClaimedTask, now: datetime) -> bool:
    """Plan a part of all ghosts anew, page by page; whether that was the last one.

    However many there are, no task outlasts its time, what is done is not done again, and others have their turn.
    """
    after: str | None = str(task.payload.get("after", ""))
    for number in range(1, PAGES_A_PART + 1):
        with _page(task.tenant) as session:
            after = pulse.replan(session, task.tenant, now, after or "")
            if after is None:
                return True
            if number == PAGES_A_PART:
                tasks.schedule(
                    session,
                    kind="pulse",
                    merchant_id=task.tenant,
                    key=f"replan:{task.id}:{after}",
                    payload={"replan": True, "after": after},
                    priority=5,
                )
    return False


@contextlib.contextmanager
def _page(merchant_id: str) -> Iterator[Session]:
    """The transaction of one page."""
    with db.tenant_session(merchant_id) as session:
        yield session
    crash_point("pulse.page_planned")


def _settle_old(merchant_id: str) -> None:
    """Charges that were begun and of which nobody can ask any more."""
    full = True
    while full:
        with db.tenant_session(merchant_id) as session:
            full = unsettled.settle_old(session, merchant_id) == unsettled.PAGE


def _look_at_retries(merchant_id: str, now: datetime, first: Round | None) -> int:
    """The charges of our own that are near; how many were looked at. The `first` page may have been done before."""
    number, after = first or (0, None)
    while after is not None or first is None:
        with db.tenant_session(merchant_id) as session:
            first = _retries(session, merchant_id, now, after)
        number, after = number + first[0], first[1]
    return number


def _retries(session: Session, merchant_id: str, now: datetime, after: pulse.Place | None = None) -> Round:
    """One page of the charges that are near: how many were looked at, and where the next page goes on."""
    due, then = retry_plans.round_of(session, merchant_context(session, merchant_id), now, after)
    return len(due), then
