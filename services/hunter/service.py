"""One hunt, page by page: fetch outside any transaction, store in one, resumable after each.

The boundary (job, command) drives it and commits:

    run = start(session, merchant_id, request)            # first transaction
    while (page := run.fetch(client)) is not None:        # no transaction, one request
        with tenant_session(merchant_id) as session:      # one transaction a page
            run.store(session, page)

While a page is stored, another thread may fetch the one after it (`can_fetch_ahead`), and small pages can be stored
together (`goes_with`). Memory stays flat: three pages are the largest thing held.
"""

from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock, ids
from models.work import Hunt, HuntState
from services.hunter import repository, returns, sweeps
from services.hunter.run import HuntRun
from services.hunter.schemas import HuntProgress, HuntRequest

RESUMED_FOR = timedelta(days=1)


def start(session: Session, merchant_id: str, request: HuntRequest) -> HuntRun:
    """Begin a hunt, or go on with the unfinished one of the same trigger and window. The caller commits.

    Whoever ran it until now is out: its next `store` is refused. One that began more than a day ago is not gone on
    with: what it joins invoices with is as old, and whatever stopped it until now would stop it again.
    """
    now = clock.now()
    hunt = repository.get_running(session, merchant_id, request.trigger)
    if hunt is not None and (over := _over(hunt, request, now)):
        hunt.state, hunt.error, hunt.finished_at = HuntState.FAILED, over, now
        repository.clear_spool(session, merchant_id, hunt.id)
        hunt = None
    if hunt is None:
        hunt = Hunt(
            merchant_id=merchant_id,
            id=ids.new_id("hu"),
            trigger=request.trigger,
            since=request.since,
            until=request.until,
            started_at=now,
        )
    planned = sweeps.plan(request, hunt.started_at, returns.look_back(session, merchant_id))
    run = HuntRun.of(hunt, request, planned, _view(hunt))
    session.add(hunt)
    run.look_for_missing(session)
    return run


def _over(hunt: Hunt, request: HuntRequest, now: datetime) -> str:
    """Why an unfinished hunt is not the one to go on with; empty when it is."""
    if (hunt.since, hunt.until) != (request.since, request.until):
        return "Superseded by another window."
    if now - hunt.started_at > RESUMED_FOR:
        return "Abandoned: nobody went on with it for a day."
    return ""


def recent_hunts(session: Session, merchant_id: str, limit: int = 20) -> tuple[HuntProgress, ...]:
    """The latest hunts, newest first, running ones with their progress."""
    return tuple(_view(hunt) for hunt in repository.list_recent(session, merchant_id, limit))


def _view(hunt: Hunt) -> HuntProgress:
    return HuntProgress(
        id=hunt.id,
        state=hunt.state,
        trigger=hunt.trigger,
        sweep=hunt.sweep,
        listed=hunt.listed,
        found=hunt.found,
        updated=hunt.updated,
        unreadable=hunt.unreadable,
        requests=hunt.requests,
        seconds=hunt.seconds,
        error=hunt.error,
        started_at=hunt.started_at,
        finished_at=hunt.finished_at,
    )
