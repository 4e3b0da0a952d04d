"""A dashboard reads indexes alone, and no more of them the longer a merchant is with us."""

import itertools
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from core import db
from core.clock import ManualClock
from services.analytics import service
from services.recovery.overview import Overview, overview
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant
from tests.support.plans import Node, reads_of
from tests.support.wait import wait_until

SUMMED = {"daily_metrics", "daily_merits", "merchant_totals", "open_leakage", "hunts"}


def live_through(owner: psycopg.Connection[Any], merchants: list[str], days: int, until: date) -> None:
    """Days of sums in all shards, hunts, and what stands open in two currencies."""
    facts = {"merchants": merchants, "days": days, "until": until}
    owner.execute(
        "insert into daily_metrics (merchant_id, currency, day, shard, found_count, found_cents)"
        " select merchant, 'usd', %(until)s::date - ago, shard, 1, 100"
        " from unnest(%(merchants)s::text[]) merchant, generate_series(0, %(days)s - 1) ago,"
        " generate_series(0, 15) shard",
        facts,
    )
    owner.execute(
        "insert into daily_merits (merchant_id, currency, day, kind, mechanism, shard, amount_cents, times)"
        " select merchant, 'usd', %(until)s::date - ago, kind, mechanism, shard, 100, 1"
        " from unnest(%(merchants)s::text[]) merchant, generate_series(0, %(days)s - 1) ago, (values"
        " ('recovered', 'click'), ('recovered', 'organic'), ('protected', 'click')) merits (kind, mechanism),"
        " generate_series(0, 15) shard",
        facts,
    )
    owner.execute(
        "insert into merchant_totals (merchant_id, currency, shard, leakage_cents, updated_at)"
        " select merchant, currency, shard, 100, now() from unnest(%(merchants)s::text[]) merchant,"
        " unnest(array['usd', 'jpy']) currency, generate_series(0, 15) shard",
        facts,
    )
    owner.execute(
        "insert into open_leakage (merchant_id, currency, decline_group, shard, amount_cents, ghosts)"
        " select merchant, currency, decline_group, shard, 100, 1 from unnest(%(merchants)s::text[]) merchant,"
        " unnest(array['usd', 'jpy']) currency, unnest(array['funds', 'expired']) decline_group,"
        " generate_series(0, 15) shard",
        facts,
    )
    owner.execute(
        "insert into hunts (merchant_id, id, state, trigger, sweep, requests, seconds, error, listed, found,"
        " updated, unreadable, started_at, finished_at)"
        " select merchant, 'hu_' || ago, 'done', 'schedule', '', 0, 0, '', 0, 0, 0, 0,"
        " %(until)s::timestamptz - ago * interval '1 day', %(until)s::timestamptz"
        " from unnest(%(merchants)s::text[]) merchant, generate_series(1, least(%(days)s, 180)) ago",
        facts,
    )


def reads(merchant: str, days: int) -> tuple[Overview, list[Node]]:
    """What a page shows, and all that was read for it."""
    shown: list[Overview] = []
    with db.tenant_session(merchant) as session:
        found = reads_of(session, lambda: shown.append(overview(session, merchant, days=days)))
    return shown[0], found


@pytest.fixture
def lived(database: WorkerDatabase, clock: ManualClock) -> tuple[str, str]:
    """One merchant of a hundred days and one of ten years, among others."""
    today = clock.now().date()
    young, old = make_merchant(), make_merchant()
    with psycopg.connect(database.admin_url, autocommit=True) as owner:
        owner.execute("set synchronous_commit = on")  # rows are not visible to all before their commit is written
        live_through(owner, [young], 100, today)
        live_through(owner, [old], 3653, today)
        live_through(owner, [f"mer_{number}" for number in range(200)], 2, today)
    return young, old


@pytest.fixture
def merchants(database: WorkerDatabase, lived: tuple[str, str]) -> tuple[str, str]:
    """The same, vacuumed."""
    with psycopg.connect(database.admin_url, autocommit=True) as owner:
        wait_until(lambda: settled(owner, *lived), timeout=60, what="plans of indexes alone")
    return lived


def settled(owner: psycopg.Connection[Any], *merchants: str) -> bool:
    """Vacuum as autovacuum would; False while somebody's snapshot or pin keeps a page from being visible to all.

    PostgreSQL plans by how many pages are, so an index alone is asked only once they are.
    """
    for table in SUMMED:
        owner.execute(f"vacuum analyze {table}".encode())
    found = [node for merchant in merchants for node in reads(merchant, max(service.PERIODS))[1]]
    return not any(beside_the_index(node) for node in found)


def beside_the_index(node: Node) -> bool:
    return node.table in SUMMED and (node.kind, node.heap_fetches) != ("Index Only Scan", 0)


class TestDashboard:
    def test_every_sum_comes_from_an_index_alone(self, merchants: tuple[str, str]):
        for merchant, days in itertools.product(merchants, service.PERIODS):
            _shown, found = reads(merchant, days)
            assert {node.table for node in found} == SUMMED | {"merchants", "ghost_targets", "presence"}
            assert [node for node in found if beside_the_index(node)] == []

    def test_ten_years_read_what_a_hundred_days_do(self, merchants: tuple[str, str]):
        for days in service.PERIODS:
            young, old = (
                {node.table: (node.rows, node.removed) for node in reads(merchant, days)[1] if node.table in SUMMED}
                for merchant in merchants
            )
            assert old == {
                "daily_metrics": (max(2 * days, service.HEALTH_DAYS) * 16, 0),
                "daily_merits": (days * 3 * 16, 0),
                "merchant_totals": (2 * 16, 0),
                "open_leakage": (2 * 16, 0),
                "hunts": (1, 0),
            }
            assert young == old | ({"daily_metrics": (1600, 0)} if days == 90 else {})

    def test_the_figures_are_right(self, lived: tuple[str, str], clock: ManualClock):
        for days in service.PERIODS:
            seen, _ = reads(lived[1], days)
            shown = seen.figures
            assert [(each.mechanism, each.amount, each.count) for each in seen.came_by] == [
                ("click", days * 1600, days * 16),
                ("organic", days * 1600, days * 16),
            ]
            assert [(each.mechanism, each.amount) for each in seen.made_safe.merits] == [("click", days * 1600)]
            assert shown.funnel.found == days * 16
            assert (shown.hero.leakage.value, shown.hero.leakage.previous) == (days * 1600, days * 1600)
            assert shown.hero.leakage_now == 1600
            assert [(each.group, each.amount, each.count) for each in shown.categories] == [
                ("expired", 1600, 16),
                ("funds", 1600, 16),
            ]
            assert shown.since == clock.now().date() - timedelta(days=days - 1)


class TestUpkeep:
    def test_tables_of_sums_are_vacuumed_after_few_changes(self, database: WorkerDatabase):
        with psycopg.connect(database.admin_url) as owner:
            rows = owner.execute(
                "select relname, reloptions from pg_class where relname = any(%s)", [sorted(SUMMED - {"hunts"})]
            ).fetchall()
        assert len(rows) == 4
        for _name, options in rows:
            assert set(options) >= {
                "autovacuum_vacuum_scale_factor=0.02",
                "autovacuum_vacuum_threshold=200",
                "vacuum_index_cleanup=on",
            }
