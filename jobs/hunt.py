"""Run a hunt for one merchant, page by page, showing its progress to open pages."""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError

from core import clock, db, metrics, queue
from core.config import settings
from core.crash_points import crash_point
from core.memory import rare_collections
from jobs.limits import TaskTimeout
from models.work import HuntState, TaskLane
from services.hunter import service as hunter
from services.hunter.errors import HuntOverError, HuntTakenOverError
from services.hunter.pace import Lister, Pace, PacedLister
from services.hunter.pages import Page
from services.hunter.run import HuntRun
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe import transport
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.merchants import service as merchants
from services.tasks import service as tasks
from services.tasks import upkeep
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(minutes=1)
TURN_SECONDS = 30.0  # how long a hunt keeps others of the long lane waiting, a page more or less
OTHERS_TURN = "others' turn"
SMALL = 25  # objects; a page of more is stored at once, of fewer with what follows
Pages = tuple[Page, ...]
REVOKED = "Stripe says that the account took its permission back."
NO_ACCESS = (StripeAuthenticationError, StripePermissionError)
# No try is counted.
PASSING = (StripeRateLimitedError, StripeUnavailableError, HuntOverError, HuntTakenOverError, Retry)
TRIGGERS = frozenset({"schedule", "connect", "person", "audit", "command"})  # a label has few values


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task of kind `hunt`; its payload is a HuntRequest's fields, times in ISO 8601."""
    payload = task.payload
    request = HuntRequest(
        trigger=str(payload.get("trigger", "schedule")),
        since=_moment(payload.get("since")),
        until=_moment(payload.get("until")),
        audit=bool(payload.get("audit")),
        backfill_billing=bool(payload.get("backfill_billing")),
    )
    try:
        return as_figures(hunt(task.tenant, request, _between_pages(task), last_try=task.attempts >= task.max_attempts))
    except MerchantNotConnectedError:
        raise Discard("the account is disconnected") from None
    except HuntTakenOverError:
        raise Discard("another worker goes on with this hunt") from None
    except HuntOverError:
        raise Discard("this hunt has ended already") from None
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except NO_ACCESS as error:  # the hunt is over and says so, as does the health card; trying again mends no key
        raise Discard(error.title) from error


def _between_pages(task: ClaimedTask) -> Callable[[HuntProgress], None]:
    """A page further it is no longer what its process may have died of; then the others of its lane have their turn."""
    give_way, suspected = _give_way(), [task] if task.deaths or task.suspect else []

    def heard(progress: HuntProgress) -> None:
        while suspected:
            with db.queue_session() as session:
                tasks.clear(session, suspected.pop())
        give_way(progress)

    return heard


def _give_way() -> Callable[[HuntProgress], None]:
    """Between two pages, once a turn is over and others wait in the lane: `Retry`, and its place in the queue is last.

    A hunt may take hours, and what it lists goes on from its cursor: nobody else's messages wait for its end.
    """
    until = time.monotonic() + TURN_SECONDS

    def look(progress: HuntProgress) -> None:
        nonlocal until
        if time.monotonic() < until or progress.state != HuntState.RUNNING:
            return
        with db.queue_session() as session:
            if upkeep.lanes_with_due(session, [TaskLane.LONG]):
                raise Retry(reason=OTHERS_TURN)
        until = time.monotonic() + TURN_SECONDS

    return look


def hunt(
    merchant_id: str,
    request: HuntRequest,
    on_progress: Callable[[HuntProgress], None] | None = None,
    *,
    last_try: bool = False,
) -> HuntProgress:
    """Hunt to the end, one transaction a page, or a few small ones; `on_progress` hears of each time some are stored.

    A page is fetched while those before it are stored, as fast as Stripe's rate limit and this machine allow.

    Raises `HuntTakenOverError` when another worker started it since, `HuntOverError` when it was ended from elsewhere,
    and the Stripe client's typed errors. One that a person has to act on ends the hunt, as does a place in a list that
    is gone, and on the `last_try` whatever it dies of; after every other one the same request goes on from the cursor.
    """
    with metrics.timed(metrics.HUNTS, _trigger(request)), rare_collections():
        return _hunt(merchant_id, request, on_progress, last_try)


def _trigger(request: HuntRequest) -> str:
    return request.trigger if request.trigger in TRIGGERS else "other"


def _hunt(
    merchant_id: str, request: HuntRequest, on_progress: Callable[[HuntProgress], None] | None, last_try: bool
) -> HuntProgress:
    asked_from = clock.now()
    with db.tenant_session(merchant_id) as session:
        client = client_for(session, merchant_id, patience=transport.BATCH)
        under_way = hunter.start(session, merchant_id, request)
    queue.announce_change(merchant_id)
    try:
        with _pages(under_way, PacedLister(client, Pace(settings().stripe_hunt_rate))) as groups:
            for pages in groups:
                with db.tenant_session(merchant_id) as session:
                    progress = under_way.store(session, *pages)
                if under_way.has_grown:
                    with db.tenant_session(merchant_id) as session:
                        under_way.tell_of_growth(session)
                crash_point("hunt.page_stored")
                queue.announce_change(merchant_id)
                if on_progress is not None:
                    on_progress(progress)
    except (Exception, TaskTimeout) as error:
        if reason := _ends_with(error, last_try):
            with db.tenant_session(merchant_id) as session:
                under_way.fail(session, reason)
                if isinstance(error, StripePermissionError) and error.revoked:  # the event of it may be lost
                    merchants.mark_disconnected(session, merchant_id, at=asked_from, reason=REVOKED)
            queue.announce_change(merchant_id)
        raise
    queue.announce_work()
    return under_way.progress


def _ends_with(error: BaseException, last_try: bool) -> str:
    """Why the hunt is over after this error, for a person to read; empty while it can be gone on with.

    A hunt that nobody ends would be gone on with by the next one of its trigger, and meet the same error each time.
    """
    if isinstance(error, NO_ACCESS):
        return f"{error.title}: connect the Stripe account again."
    if isinstance(error, StripeNotFoundError):  # what is read by its id may be gone; this was the cursor
        return "Stripe no longer knows where this hunt had got to. The next one begins anew."
    passes = isinstance(error, PASSING) or (isinstance(error, DBAPIError) and db.is_passing(error))
    if last_try and not passes:
        return "It met an error each time it was tried. The next hunt begins anew."
    return ""


@contextlib.contextmanager
def _pages(run: HuntRun, client: Lister) -> Iterator[Iterator[Pages]]:
    """The hunt's pages as they are stored together, each fetched while those before it are stored.

    One thread fetches them all, because the connections to Stripe are a thread's own; they end with it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="hunt") as thread:
        try:
            yield _ahead(run, client, thread)
        finally:
            thread.submit(transport.close_connections_of_thread).result()


def _ahead(run: HuntRun, client: Lister, thread: ThreadPoolExecutor) -> Iterator[Pages]:
    context = contextvars.copy_context()  # with the correlation id, which a new thread does not have

    def fetch() -> Future[Page | None]:
        return thread.submit(context.run, run.fetch, client)

    coming = fetch()
    pages: Pages = ()
    while True:
        if pages and coming.exception() is not None:  # what came before it is not fetched twice
            yield pages  # the caller stores them
        if (page := coming.result()) is None:
            break
        ahead = fetch() if run.can_fetch_ahead else None
        if not run.goes_with(pages, page):
            yield pages
            pages = ()
        pages = (*pages, page)
        if ahead is None or len(page.items) > SMALL:
            yield pages
            pages = ()
        coming = ahead or fetch()
    if pages:
        yield pages


def as_figures(progress: HuntProgress) -> dict[str, Any]:
    """What `phantom hunt --json` prints."""
    return {
        "listed": progress.listed,
        "found": progress.found,
        "updated": progress.updated,
        "unreadable": progress.unreadable,
        "requests": progress.requests,
        "seconds": progress.seconds,
    }


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
