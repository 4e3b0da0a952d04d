"""The dashboard of a merchant that has been with us a hundred times as long, against a young one's.

Both have the same open ghosts and the same days in the period shown; one has a hundred times the days, ended ghosts,
messages and money behind it, in a database of its own. Measured is what a page asks for: a tenant session under
row-level security, every query of `services.recovery.overview`, commit.
"""

import sys
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import psycopg

from benchmarks.harness import Row, Samples, alone, alternate, audit, compared, percentile, place
from benchmarks.history import House, Past, copied, house, live
from core import clock, db
from services.recovery.overview import Overview, overview
from tests.support.factories import make_merchant

AT_100X = "dashboard at 100x history vs 1x history"
ROUNDS, READS = 11, 200  # many short rounds: what else the machine does comes and goes
DAYS = 30
YOUNG = Past(days=90, ended_a_day=10, open_now=200)
OLD = Past(days=9_000, ended_a_day=10, open_now=200)


_GHOSTS = """
select count(*) as ghosts, count(*) filter (where found_on >= %(since)s) as found,
    coalesce(sum(amount_cents - recovered_cents) filter (where found_on >= %(since)s), 0)::bigint as leakage,
    sum(amount_cents) filter (where state <> 'recovered')::bigint as leakage_now,
    count(*) filter (where state = 'contacted') as open,
    count(*) filter (where found_on >= %(since)s and messages_sent > 0) as messaged,
    count(*) filter (where found_on >= %(since)s and click_count > 0) as clicked,
    count(*) filter (where found_on >= %(since)s and click_count > 0 and state = 'recovered') as clicked_and_paid
from ghost_targets where merchant_id = %(merchant)s
"""
_MONEY = """
select coalesce(sum(amount_cents) filter (where on_day >= %(since)s), 0)::bigint as recovered,
    count(*) filter (where on_day >= %(since)s) as payments,
    coalesce(sum(amount_cents) filter (where on_day < %(since)s), 0)::bigint as recovered_before
from (select *, occurred_at::date as on_day from recoveries where merchant_id = %(merchant)s) as entries
where kind = 'recovered' and on_day between %(before)s and %(today)s
"""
_GROUPS = """
select decline_group, sum(amount_cents)::bigint, count(*) from ghost_targets
where merchant_id = %(merchant)s and state = 'contacted' group by 1 order by 2 desc, 1
"""
_MERITS = """
select mechanism, sum(amount_cents)::bigint, count(*) from recoveries
where merchant_id = %(merchant)s and kind = '{}' and occurred_at::date between %(since)s and %(today)s
group by 1 order by array_position(array['own_attempt', 'click', 'message', 'stripe_retry', 'organic'], mechanism::text)
"""
_ACTIVE = """
select count(distinct customer_id), coalesce(sum(amount_cents), 0)::bigint from ghost_targets
where merchant_id = %(merchant)s and state = 'contacted'
    and last_presence_at > %(today)s::timestamptz - interval '7 days'
"""


@dataclass
class Reader:
    """Reads one house's dashboard again and again; keeps how long each took, in milliseconds."""

    home: House
    reads: int
    worst: list[float] = field(default_factory=list)

    def round(self) -> float:
        """The median of a round's reads."""
        took = []
        with self.home.lived_in():
            _read(self.home)
            for _ in range(self.reads):
                begun = time.perf_counter()
                _read(self.home)
                took.append((time.perf_counter() - begun) * 1000)
        self.worst.append(percentile(took, 0.99))
        return percentile(took, 0.5)


def run(rounds: int = ROUNDS, reads: int = READS, young: Past = YOUNG, old: Past = OLD) -> list[Row]:
    """Two rows: the ratio of the medians, and the p99 of the long history."""
    with place() as here:
        merchant, today = make_merchant(), clock.now().date()
        copied(here, "phantom_old")
        readers = {
            "1x": Reader(_lived(house(here, merchant), young, today), reads),
            "100x": Reader(_lived(house(here, merchant, "phantom_old"), old, today), reads),
        }
        taken = alternate({name: reader.round for name, reader in readers.items()}, rounds, say=_say)
    worst = Samples(tuple(readers["100x"].worst))
    return [
        compared(AT_100X, taken["100x"], "ms", "1x history", taken["1x"], "<= 1.1x"),
        alone("dashboard p99 at 100x history", worst, "ms", "<= 20 ms"),
    ]


def _lived(home: House, past: Past, today: date) -> House:
    live(home, past, today)
    _audit(home, past, today)
    return home


def _say(line: str) -> None:
    print(line, "ms", file=sys.stderr, flush=True)


def _read(home: House) -> Overview:
    with db.tenant_session(home.merchant) as session:
        return overview(session, home.merchant, days=DAYS)


def _audit(home: House, past: Past, today: date) -> None:
    """What the dashboard says is what the ghosts and the ledger say, counted by the owner without any sums."""
    with home.lived_in():
        seen = _read(home)
    with psycopg.connect(home.owner_url) as owner:
        counted = _counted(owner, home.merchant, today)
    written = past.days * past.ended_a_day + past.open_now
    audit(expected=written, found=counted.pop("ghosts"), what="ghosts in the database")
    shown, hero, funnel = seen.figures, seen.figures.hero, seen.figures.funnel
    found = {
        "found": funnel.found,
        "messaged": funnel.messaged,
        "clicked": funnel.clicked,
        "clicked_and_paid": funnel.recovered,
        "leakage": hero.leakage.value,
        "leakage_now": hero.leakage_now,
        "open": hero.open_ghosts,
        "recovered": hero.recovered.value,
        "payments": hero.recovered_count.value,
        "recovered_before": hero.recovered.previous,
        "groups": [(each.group, each.amount, each.count) for each in shown.categories],
        "merits": [(each.mechanism.value, each.amount, each.count) for each in seen.came_by],
        "made_safe": [(each.mechanism.value, each.amount, each.count) for each in seen.made_safe.merits],
        "active": (seen.active.customers, seen.active.amount),
    }
    audit(expected=counted, found=found, what="the dashboard's figures")


def _counted(owner: "psycopg.Connection[Any]", merchant: str, today: date) -> dict[str, Any]:
    facts = {
        "merchant": merchant,
        "today": today,
        "since": today - timedelta(days=DAYS - 1),
        "before": today - timedelta(days=2 * DAYS - 1),
    }
    counted: dict[str, Any] = {}
    for statement in (_GHOSTS, _MONEY):
        cursor = owner.execute(statement, facts)
        row = cursor.fetchone()
        assert row is not None  # noqa: S101  # sums always answer a row
        assert cursor.description is not None  # noqa: S101
        counted |= dict(zip((column.name for column in cursor.description), row, strict=True))
    lists = {"groups": _GROUPS, "merits": _MERITS.format("recovered"), "made_safe": _MERITS.format("protected")}
    active = owner.execute(_ACTIVE, facts).fetchone()
    return {
        **counted,
        **{name: owner.execute(each, facts).fetchall() for name, each in lists.items()},
        "active": active,
    }
