"""The list of ghosts: one page of it, as the server filtered, searched and sorted it."""

from dataclasses import dataclass, fields
from datetime import datetime

import reflex as rx

from core import clock
from models.ghost import OPEN_STATES, GhostState, Strategy
from phantom_app import live, routes
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, words_of
from phantom_app.state.paging import Numbered, turned_by
from services.identity.permissions import Permission
from services.recovery import service as recovery
from services.recovery.presence import ACTIVE, PRESENT_STATES
from services.recovery.schemas import GhostPage, GhostQuery, GhostRow

PAGE_SIZE = 25
SORTS = ("found", "amount", "next", "active")
FILTERS: dict[str, tuple[GhostState, ...]] = {
    "": (),
    "still-open": tuple(sorted(OPEN_STATES)),
    **{state.value: (state,) for state in GhostState},
}


@dataclass(frozen=True)
class GhostView:
    """One line of the list, in words."""

    id: str
    link: str
    name: str
    email: str
    amount: str
    state: str
    tone: str
    strategy: str
    reason: str
    card: str
    last: str
    last_when: str
    next: str
    next_when: str
    next_reason: str
    found: str
    seen: str  # lately, using the product without having paid


NOBODY = GhostView(*[""] * len(fields(GhostView)))
"""What a page shows before its ghost is there."""


def ghost_view(row: GhostRow, now: datetime) -> GhostView:
    """A row of the service in words; also the head of the ghost's own page."""
    state, tone = words.state_of(row.kind.value, row.state.value)
    return GhostView(
        id=row.id,
        link=routes.ghost(row.id),
        name=row.customer_name or row.customer_email or row.customer_id or "Unknown customer",
        email=row.customer_email if row.customer_name else "",
        amount=formats.money(row.amount, row.currency),
        state=state,
        tone=tone,
        strategy=words.STRATEGIES.get(row.strategy.value, words.plain(row.strategy.value)),
        reason=words.plain(row.decline_code) if row.decline_code else words.GROUPS.get(row.decline_group, formats.NONE),
        card=f"{row.card_brand.capitalize()} •••• {row.card_last4}" if row.card_last4 else row.card_brand.capitalize(),
        last=words.plain(row.last_action) if row.last_action else formats.NONE,
        last_when=formats.distance(row.last_action_at, now) if row.last_action_at else "",
        next=words.ACTIONS.get(row.next_action, words.plain(row.next_action)) if row.next_action else formats.NONE,
        next_when=formats.distance(row.next_action_at, now) if row.next_action_at else "",
        next_reason=row.next_action_reason,
        found=formats.distance(row.found_at, now),
        seen=_seen(row, now),
    )


def _seen(row: GhostRow, now: datetime) -> str:
    """Who owes and was seen in the last 7 days; said of nobody else."""
    if row.state not in PRESENT_STATES or row.last_seen_at is None or now - row.last_seen_at > ACTIVE:
        return ""
    return f"Active {formats.distance(row.last_seen_at, now)}"


@turned_by(Permission.GHOSTS_READ)
class Recoveries(Numbered, rx.State):
    """What the list shows and what it was asked for."""

    loaded: bool = False
    rows: list[GhostView] = []
    total: int = 0
    search: str = ""
    state_filter: str = ""
    strategy_filter: str = ""
    sort: str = "active"
    ascending: bool = False
    filtered: bool = False
    export_link: str = ""

    def _query(self) -> GhostQuery:
        return GhostQuery(
            states=FILTERS.get(self.state_filter, ()),
            strategies=(Strategy(self.strategy_filter),) if self.strategy_filter else (),
            search=self.search,
            sort=self.sort,
            ascending=self.ascending,
            page=self.page,
            page_size=PAGE_SIZE,
        )

    async def _fill(self) -> None:
        query = self._query()
        self._show(await as_tenant(lambda session, merchant: recovery.list_ghosts(session, merchant, query)))

    def _show(self, found: GhostPage) -> None:
        now = clock.now()
        self.rows = [ghost_view(row, now) for row in found.rows]
        self.total = found.total
        self._stand_at(
            found.page, found.pages, size=PAGE_SIZE, shown=len(found.rows), total=found.total, none="No ghosts"
        )
        self.filtered = bool(self.search or self.state_filter or self.strategy_filter)
        if Permission.EXPORTS_CREATE in principal().permissions:
            query = self._query()
            self.export_link = routes.export_recoveries(query.states, query.strategies, query.search)
        self.loaded = True

    async def _from_the_first(self) -> None:
        self.page = 1
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        live.watch(self, principal().merchant_id, Recoveries.refresh)
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def refresh(self) -> None:
        """The merchant's ghosts changed while somebody looks at them; page and filters stay."""
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def look_for(self, text: str) -> None:
        self.search = words_of(text)
        await self._from_the_first()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def choose_state(self, value: str) -> None:
        self.state_filter = value if value in FILTERS else ""
        await self._from_the_first()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def choose_strategy(self, value: str) -> None:
        self.strategy_filter = value if value in set(Strategy) else ""
        await self._from_the_first()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def sort_by(self, column: str) -> None:
        """Sort by a column; the same column again turns the order round."""
        if column not in SORTS:
            return
        self.ascending = not self.ascending if column == self.sort else column == "next"
        self.sort = column
        await self._from_the_first()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def clear(self) -> None:
        self.search = self.state_filter = self.strategy_filter = ""
        await self._from_the_first()
