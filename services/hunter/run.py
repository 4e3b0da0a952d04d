"""A hunt under way: pages fetched, stored, and the cursor moved with each, so that a crash goes on from the last one.

A hunt is its latest starter's: each start puts a token of its own into the cursor, and a run whose token is no longer
there stores nothing more. So a rescued task takes over at once, and a worker that was thought dead does no harm.
"""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from core import clock
from models.ghost import FoundVia
from models.work import Hunt, HuntState
from services.audit import service as audit
from services.audit.unreadable import Unreadable, note_of_hunt, settle_hunt
from services.hunter import renewing, report, repository, returns, spool, sweeps
from services.hunter.billing import record_billed
from services.hunter.errors import HuntOverError, HuntTakenOverError
from services.hunter.pace import Lister
from services.hunter.pages import Page, Place, fetch_list, fetch_singly
from services.hunter.schemas import HuntProgress, HuntRequest
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.recovery import neighbours
from services.recovery.observe import observe, write_off
from services.recovery.work import merchant_context

Plain = dict[str, Any]
_FAR = 2**63
_AT_ONCE = sweeps.PAGE * 10


@dataclass
class HuntRun:
    """A hunt under way."""

    merchant_id: str
    hunt_id: str
    request: HuntRequest
    now: datetime
    progress: HuntProgress
    _sweeps: tuple[sweeps.Sweep, ...]
    _stored: Place  # where a crash would go on
    _next: Place  # where the next fetch begins: a page further while one is being stored
    _token: str  # whoever starts the hunt after us puts another one into its cursor
    _wanted: list[str] = field(default_factory=list)  # what is still to be read by its id
    _unreadable: Counter[str] = field(default_factory=Counter)
    _clock: float = field(default_factory=time.monotonic)
    _requests_before: int = 0
    _tell_at: int = 500
    _refused: list[str] = field(default_factory=list)  # sweeps that the key may not list
    _oldest_open: int | None = None  # when the oldest dispute was opened that can still be lost, Unix seconds

    @classmethod
    def of(
        cls, hunt: Hunt, request: HuntRequest, planned: tuple[sweeps.Sweep, ...], progress: HuntProgress
    ) -> "HuntRun":
        """The run that goes on where the hunt stands: with its token in the hunt's cursor, every other one is out."""
        cursor = hunt.cursor or {}
        place = Place(cursor.get("position", 0), cursor.get("after"))
        run = cls(
            merchant_id=hunt.merchant_id,
            hunt_id=hunt.id,
            request=request,
            now=hunt.started_at,
            progress=progress,
            _sweeps=planned,
            _stored=place,
            _next=place,
            _token=secrets.token_hex(8),
            _requests_before=hunt.requests,
            _refused=list(cursor.get("refused", ())),
            _oldest_open=cursor.get("oldest_open"),
        )
        hunt.cursor = run._cursor()
        return run

    @property
    def can_fetch_ahead(self) -> bool:
        """Whether the next page can be fetched before the last one is stored: what is missing is only known then."""
        here = self._next.position
        return here < len(self._sweeps) and self._sweeps[here].name not in sweeps.SINGLY

    def fetch(self, client: Lister) -> Page | None:
        """The next page, or None when everything was listed. Raises the client's typed errors.

        An empty one is passed over, where its transaction would only move the cursor: the next one does that too.
        """
        while self._next.position < len(self._sweeps):
            sweep = self._sweeps[self._next.position]
            if sweep.name in sweeps.SINGLY:
                page = self._fetch_singly(client, sweep)
            else:
                page = fetch_list(client, sweep, self._next, self._requests_before)
            self._next = page.then
            if page.items or page.gone or page.refused or not self.can_fetch_ahead:
                return page
        return None

    def _fetch_singly(self, client: Lister, sweep: sweeps.Sweep) -> Page:
        asked, self._wanted = self._wanted[: sweeps.SINGLY_BATCH], self._wanted[sweeps.SINGLY_BATCH :]
        then = self._next if self._wanted else self._next.next_sweep
        return fetch_singly(client, sweep, asked, then, self._requests_before)

    @property
    def has_grown(self) -> bool:
        """Whether this hunt found so many ghosts that PostgreSQL should hear of it, in a transaction of its own.

        It plans by what it knew of the table before. For a merchant who was not in it, it thinks that reading all
        their ghosts is as cheap as looking some up by their key, page by page, until its own daemon comes by.
        """
        return self.progress.found >= self._tell_at

    def tell_of_growth(self, session: Session) -> None:
        """Have PostgreSQL count again: after 500 ghosts that were found, 5,000, and so on."""
        repository.refresh_statistics(session)
        while self.has_grown:
            self._tell_at *= 10

    def look_for_missing(self, session: Session) -> None:
        """Find out which objects left the lists without a word; before the sweep that reads them."""
        here = self._stored.position
        name = self._sweeps[here].name if here < len(self._sweeps) else ""
        if name == sweeps.MISSING:
            self._wanted = repository.list_missing(session, self.merchant_id, self.hunt_id, self.now, _AT_ONCE)
        elif name == sweeps.OVERDUE:
            self._wanted = renewing.overdue(session, self.merchant_id, self.now, _AT_ONCE)
            if not sweeps.RENEWALS & set(self._refused):
                self._wanted += renewing.unlisted(session, self.merchant_id, self.hunt_id, self.now, _AT_ONCE)

    def goes_with(self, others: Sequence[Page], page: Page) -> bool:
        """Whether a page may be stored in one transaction with those before it.

        Few objects together; and one page alone may touch ghosts, whose shards are taken once a transaction.
        """
        objects = sum(len(each.items) for each in (*others, page))
        return objects <= sweeps.PAGE and not (page.touches and any(each.touches for each in others))

    def store(self, session: Session, *pages: Page) -> HuntProgress:
        """Bring pages into the database and move the cursor, in the caller's transaction.

        Raises `HuntTakenOverError` when another worker started it since, `HuntOverError` when it has ended.
        """
        self._hold(session)
        for page in pages:
            self._bring(session, page)
        self._save(session, HuntState.DONE if self._stored.position >= len(self._sweeps) else HuntState.RUNNING)
        return self.progress

    def _bring(self, session: Session, page: Page) -> None:
        found = updated = 0
        odd: list[UnreadableInvoiceError] = []
        if page.refused:
            self._refused.append(page.sweep.name)
        elif not (page.items or page.gone):
            pass  # an empty list, which only moves the cursor: a small merchant's hunt is mostly these
        elif page.sweep.keeps:
            spool.keep(session, self.merchant_id, self.hunt_id, page)
        elif page.sweep.name in sweeps.RETURNS:
            updated = self._take_back(session, page, odd)
        elif page.sweep.name in sweeps.RENEWALS:
            merchant = merchant_context(session, self.merchant_id)
            updated = renewing.store(session, merchant, self.hunt_id, page.items, page.gone, clock.now(), odd)
        else:
            facts = spool.join(session, self.merchant_id, self.hunt_id, page, odd)
            if page.sweep.name != "billed":
                neighbours.take(session, self.merchant_id, facts, page.gone)
            record_billed(session, self.merchant_id, facts, self.now.date())
            if page.sweep.name == "invoices":
                repository.add_seen(session, self.merchant_id, self.hunt_id, [each.id for each in facts])
            if page.sweep.name != "billed":
                via = FoundVia.AUDIT if self.request.audit else FoundVia.HUNT
                merchant = merchant_context(session, self.merchant_id)
                seen = observe(session, merchant, facts, via, clock.now())
                lost = write_off(session, merchant, page.gone, clock.now()) if page.gone else 0
                found, updated = seen.found, seen.updated + lost
        self._note_odd(session, odd)
        self._move_on(session, page)
        self.progress = replace(
            self.progress,
            sweep=page.sweep.name,
            listed=self.progress.listed + len(page.items),
            found=self.progress.found + found,
            updated=self.progress.updated + updated,
            unreadable=self.progress.unreadable + len(odd),
            requests=page.requests,
            seconds=round(time.monotonic() - self._clock, 3),
        )

    def _hold(self, session: Session) -> None:
        """Lock the hunt's row, which must still be ours and stand where we left it."""
        hunt = repository.lock_hunt(session, self.merchant_id, self.hunt_id)
        if hunt is None or hunt.state != HuntState.RUNNING:
            raise HuntOverError
        if hunt.cursor != self._cursor():
            raise HuntTakenOverError

    def _cursor(self) -> Plain:
        place = {"position": self._stored.position, "after": self._stored.after, "run": self._token}
        return place | {"refused": list(self._refused), "oldest_open": self._oldest_open}

    def _move_on(self, session: Session, page: Page) -> None:
        begins = page.then.position != self._stored.position
        self._stored = page.then
        if begins:
            self.look_for_missing(session)

    def fail(self, session: Session, reason: str) -> None:
        """Give the hunt up with a reason a person can read; its cursor stays. Raises as `store` does."""
        self._hold(session)
        self._save(session, HuntState.FAILED, reason)
        audit.log_event(session, self.merchant_id, "hunter.hunt_failed", reason, level="error")

    def _take_back(self, session: Session, page: Page, odd: list[UnreadableInvoiceError]) -> int:
        """Store refunds or disputes: how many recoveries went back. Adds to `odd` what could not be read."""
        merchant = merchant_context(session, self.merchant_id)
        done, oldest = returns.store(session, merchant, page.sweep.name, page.items, clock.now(), odd)
        if oldest is not None:
            self._oldest_open = min(int(oldest.timestamp()), self._oldest_open or _FAR)
        return done

    def _note_odd(self, session: Session, odd: list[UnreadableInvoiceError]) -> None:
        """Count what could not be read, with the page it was on."""
        self._unreadable.update(error.reason for error in odd)
        found = [Unreadable(error.reason, error.shape, error.invoice_id) for error in odd]
        note_of_hunt(session, self.merchant_id, self.hunt_id, found)

    def _looked_until(self) -> dict[str, int]:
        """Where the next hunt's lists of what went back begin: what was refused to this one is not over."""
        now = int(self.now.timestamp())
        until = {sweep.name: now for sweep in self._sweeps if sweep.name in sweeps.RETURNS - set(self._refused)}
        if sweeps.DISPUTES in until and self._oldest_open is not None:
            until[sweeps.DISPUTES] = min(now, self._oldest_open)
        return until

    def _save(self, session: Session, state: HuntState, error: str = "") -> None:
        finished_at, looked_until = None, None
        if state is not HuntState.RUNNING:
            finished_at = clock.now()
            repository.clear_spool(session, self.merchant_id, self.hunt_id)
            # Every merchant is hunted twice a day, which makes this the place where its old rows go.
            repository.prune(session, self.merchant_id, self.now, self.now.date())
        if state is HuntState.DONE:
            if self.request.since is None and self.request.until is None:
                settle_hunt(session, self.merchant_id, self.hunt_id)
            refused = [sweep for sweep in self._sweeps if sweep.name in self._refused]
            looked_until = self._looked_until()
            error = report.tell(session, self.merchant_id, self.progress, self._unreadable, refused)
        self.progress = replace(self.progress, state=state, error=error, finished_at=finished_at)
        figures = ("state", "error", "sweep", "listed", "found", "updated", "unreadable", "requests", "seconds")
        values = {name: getattr(self.progress, name) for name in (*figures, "finished_at")}
        values |= {"cursor": self._cursor(), "looked_until": looked_until}
        repository.save_hunt(session, self.merchant_id, self.hunt_id, values)
