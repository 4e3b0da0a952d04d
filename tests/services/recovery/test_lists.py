"""The list of ghosts: in its order whichever way it is sorted, from an index that is read no further than needed."""

from typing import Any

import psycopg
import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import OPEN_STATES, GhostState, GhostTarget
from services.recovery import repository, service
from services.recovery.schemas import GhostQuery
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant
from tests.support.plans import Node, reads_of

ALL, SIZE = 6_000, 25
WAYS = [(sort, ascending) for sort in service.SORTS for ascending in (False, True)]
OPEN = tuple(sorted(OPEN_STATES))
# Many amounts and moments are shared, as a price list's are; every third was seen, every seventh has a plan.
_DRAWN = {
    "id": "'gh_' || to_char(n, 'FM00000')",
    "invoice_id": "'in_' || n",
    "customer_id": "'cus_' || n",
    "state": "case when n % 50 = 1 then 'open' when n % 50 = 2 then 'clicked' when n % 2 = 0 then 'recovered'"
    " else 'lost' end",
    "amount_cents": "1000 * (n * 7919 % 9)",
    "found_at": "found_at - n / 2 * interval '1 minute'",
    "last_presence_at": "case when n % 3 = 0 then found_at - n * 7919 % 400 * interval '1 minute' end",
    "next_action_at": "case when n % 7 = 0 then found_at + n * 7919 % 300 * interval '1 minute' end",
}


def fill(database: WorkerDatabase, clock: ManualClock, number: int) -> str:
    """A merchant with as many ghosts, drawn from one that has gone."""
    merchant, now = make_merchant(), clock.now()
    times = {"original_invoice_date": now, "found_at": now, "found_on": now.date(), "updated_at": now}
    with db.tenant_session(merchant) as session:
        session.add(GhostTarget.fresh(merchant_id=merchant, id="gh_0", invoice_id="in_0", currency="usd", **times))
    columns = [column.name for column in GhostTarget.__table__.columns]  # type: ignore[attr-defined]
    drawn = ", ".join(_DRAWN.get(name, name) for name in columns)
    with psycopg.connect(database.admin_url, autocommit=True) as owner:
        owner.execute("set synchronous_commit = on")
        owner.execute(
            f"insert into ghost_targets ({', '.join(columns)})"  # noqa: S608  # names of columns
            f" select {drawn} from ghost_targets, generate_series(1, {number}) n".encode()
        )
        owner.execute("delete from ghost_targets where id = 'gh_0'")
        owner.execute("vacuum analyze ghost_targets")
    return merchant


@pytest.fixture
def few(database: WorkerDatabase, clock: ManualClock) -> str:
    return fill(database, clock, 97)


@pytest.fixture
def many(database: WorkerDatabase, clock: ManualClock) -> str:
    return fill(database, clock, ALL)


def pages(merchant: str, size: int, **asked: Any) -> list[str]:
    """Every page after the other, by the ghosts' ids."""
    with db.tenant_session(merchant) as session:
        first = service.list_ghosts(session, merchant, GhostQuery(page_size=size, **asked))
        others = [
            service.list_ghosts(session, merchant, GhostQuery(page_size=size, page=page, **asked))
            for page in range(2, first.pages + 1)
        ]
    return [row.id for page in (first, *others) for row in page.rows]


def ghosts(merchant: str) -> list[GhostTarget]:
    with db.tenant_session(merchant) as session:
        return list(session.exec(select(GhostTarget)))


_KEYS: dict[str, Any] = {
    "found": lambda ghost: ghost.found_at,
    "amount": lambda ghost: ghost.amount_cents,
    "next": lambda ghost: ghost.next_action_at,
    "active": lambda ghost: ghost.last_presence_at,
}


class TestOrder:
    @pytest.mark.parametrize("size", [1, 7, 100])
    @pytest.mark.parametrize(("sort", "ascending"), WAYS)
    def test_pages_neither_repeat_nor_skip_and_those_without_a_value_come_last(
        self, few: str, sort: str, ascending: bool, size: int
    ) -> None:
        listed = pages(few, size, sort=sort, ascending=ascending)
        known = {ghost.id: _KEYS[sort](ghost) for ghost in ghosts(few)}
        assert sorted(listed) == sorted(known)
        values = [known[each] for each in listed]
        told = [value for value in values if value is not None]
        assert told == sorted(told, reverse=not ascending)
        assert values == told + [None] * (len(values) - len(told))

    @pytest.mark.parametrize(("sort", "ascending"), WAYS)
    def test_a_filter_leaves_the_order_and_takes_out_the_others(self, few: str, sort: str, ascending: bool) -> None:
        chosen = {ghost.id for ghost in ghosts(few) if ghost.state in (GhostState.LOST, GhostState.OPEN)}
        everything = pages(few, 100, sort=sort, ascending=ascending)
        some = pages(few, 7, sort=sort, ascending=ascending, states=(GhostState.LOST, GhostState.OPEN))
        assert some == [each for each in everything if each in chosen]


class TestCost:
    """What PostgreSQL reads for a page, of thousands of ghosts."""

    def reads(self, merchant: str, **asked: Any) -> list[Node]:
        query = GhostQuery(page_size=SIZE, **asked)
        with db.tenant_session(merchant) as session:
            return reads_of(session, lambda: repository.list_ghosts(session, merchant, query))

    @pytest.mark.parametrize(("sort", "ascending"), WAYS)
    def test_a_page_is_read_from_the_sorts_index_and_no_further(self, many: str, sort: str, ascending: bool) -> None:
        """So nothing is left to be sorted: what the index gives is the page, and what stands before it."""
        index = f"ix_ghost_targets_{'presence' if sort == 'active' else sort}"
        for page in (1, 3):
            (read,) = self.reads(many, sort=sort, ascending=ascending, page=page)
            assert (read.kind, read.index) == ("Index Scan", index)
            assert (read.rows, read.removed) == (page * SIZE, 0)

    @pytest.mark.parametrize(("sort", "ascending"), [("next", False), ("active", True)])
    def test_those_without_a_value_are_counted_past_and_read_from_it_too(
        self, many: str, sort: str, ascending: bool
    ) -> None:
        known = sum(_KEYS[sort](ghost) is not None for ghost in ghosts(many))
        reads = self.reads(many, sort=sort, ascending=ascending, page=known // SIZE + 3)
        assert reads[-1].index == f"ix_ghost_targets_{'presence' if sort == 'active' else sort}"
        assert [read.rows for read in reads] == [known, known, 3 * SIZE - known % SIZE]

    @pytest.mark.parametrize("states", [(GhostState.OPEN,), (GhostState.LOST,), OPEN], ids=["rare", "common", "open"])
    def test_with_a_filter_by_state_it_is_a_small_part_of_all(self, many: str, states: tuple[GhostState, ...]) -> None:
        """Rare ones come from the states' index, of common ones those between are passed over."""
        for sort, ascending in WAYS:
            for read in self.reads(many, sort=sort, ascending=ascending, states=states):
                assert read.kind in ("Index Scan", "Bitmap Heap Scan"), (sort, ascending)
                assert read.rows + read.removed <= ALL / 5, (sort, ascending)

    @pytest.mark.parametrize("state", [GhostState.OPEN, GhostState.LOST])
    def test_the_newest_of_a_state_come_from_its_index_alone(self, many: str, state: GhostState) -> None:
        for ascending in (False, True):
            (read,) = self.reads(many, sort="found", ascending=ascending, states=(state,))
            assert (read.index, read.rows, read.removed) == ("ix_ghost_targets_state", SIZE, 0)
