"""What row-level security costs: the same pages and writes against the same data, policies on and off.

The control is a copy of the database in which every table's policies are switched off; login, statements and the
scope set in each transaction are the same. A second control does not even set the scope, which nothing else needs.
A round is a mix of what a merchant's day is made of: dashboards, pages of recoveries with and without a search, and
webhooks that bring a ghost up to date.

What is compared is the processor time of the server process that answers, by the kernel's own account: policies cost
nothing elsewhere, and the clock on the wall differs by more than they do from one second to the next. It is a row too.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import psycopg
from sqlalchemy import Engine, text

from benchmarks.harness import Row, Samples, alternate, audit, compared, place, surely_below
from benchmarks.history import House, Past, copied, house, live
from benchmarks.processes import cpu_seconds
from core import clock, db
from models.ghost import FoundVia, GhostState
from services.analytics.service import dashboard
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import service as recovery
from services.recovery.observe import observe
from services.recovery.schemas import GhostQuery
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice

SECURITY = "row-level security"
ROUNDS, REPEATS = 25, 15  # many short rounds: what else the machine does comes and goes
CLOCK, BOUND = f"{SECURITY}, on the clock", f"{SECURITY}, ratio surely below"
PAST = Past(days=180, ended_a_day=50, open_now=500)
GHOSTS = 100  # that webhooks keep changing


@dataclass
class Merchant:
    """Does a merchant's mix in one house, on one connection; counts what it wrote, for the audit."""

    home: House
    scoped: bool = True
    repeats: int = REPEATS
    upserts: int = 0
    seen: list[int] = field(default_factory=list)
    on_the_clock: list[float] = field(default_factory=list)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = db.make_application_engine(self.home.application_url)

    def round(self) -> float:
        """Seconds of the server's processor for a round of all kinds of work."""
        work: tuple[Callable[[], object], ...] = (self._dashboard, self._page, self._search, self._webhook)
        unscoped = (
            contextlib.nullcontext() if self.scoped else mock.patch.object(db, "_beginning", return_value="begin")
        )
        with mock.patch.object(db, "application_engine", return_value=self.engine), unscoped:
            server, begun = self._server(), time.perf_counter()
            worked = cpu_seconds(server)
            for _ in range(self.repeats):
                for each in work:
                    each()
            self.on_the_clock.append(time.perf_counter() - begun)
            took = cpu_seconds(server) - worked
            audit(expected=server, found=self._server(), what="the process that answered, before and after")
            return took

    def _server(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("select pg_backend_pid()")).scalar_one())

    def _dashboard(self) -> None:
        with db.tenant_session(self.home.merchant) as session:
            self.seen.append(dashboard(session, self.home.merchant).hero.open_ghosts)

    def _page(self) -> None:
        with db.tenant_session(self.home.merchant) as session:
            recovery.list_ghosts(session, self.home.merchant, GhostQuery(states=(GhostState.CONTACTED,), page_size=50))

    def _search(self) -> None:
        with db.tenant_session(self.home.merchant) as session:
            recovery.list_ghosts(session, self.home.merchant, GhostQuery(search="customer1234@"))

    def _webhook(self) -> None:
        number, attempt = self.upserts % GHOSTS, 1 + self.upserts // GHOSTS
        self.upserts += 1
        facts = _failed(number, attempt)
        with db.tenant_session(self.home.merchant) as session:
            context = merchant_context(session, self.home.merchant)
            observe(session, context, [facts], FoundVia.WEBHOOK, clock.now())


def _failed(number: int, attempt: int) -> InvoiceFacts:
    facts = parse_invoice(raw_invoice(number))
    return replace(facts, id=f"in_rls_{number}", attempt_count=attempt, amount_remaining=1000 + attempt)


def run(rounds: int = ROUNDS, repeats: int = REPEATS) -> list[Row]:
    """The mix with policies against the mix without, on the server's processor and on the clock; and without scope."""
    with place() as here, contextlib.ExitStack() as stack:
        walled = house(here, make_merchant())
        live(walled, PAST, clock.now().date())
        controls = {name: house(here, walled.merchant, f"phantom_{name}") for name in ("open", "bare")}
        for name, home in controls.items():
            copied(here, f"phantom_{name}")
            _open(home)
        merchants = {
            "on": Merchant(walled, repeats=repeats),
            "off": Merchant(controls["open"], repeats=repeats),
            "neither": Merchant(controls["bare"], scoped=False, repeats=repeats),
        }
        for each in merchants.values():
            stack.callback(each.engine.dispose)
            each.round()  # connects, prepares, fills caches
        taken = alternate({name: each.round for name, each in merchants.items()}, rounds, say=_say)
        for control in ("off", "neither"):
            _audit(merchants["on"], merchants[control])
    clocks = {name: Samples(tuple(each.on_the_clock[1:])) for name, each in merchants.items()}
    return [
        compared(SECURITY, taken["on"], "s of CPU", "policies off", taken["off"], "<= 1.05x"),
        surely_below(BOUND, taken["on"], taken["off"], "<= 1.05x"),
        compared(CLOCK, clocks["on"], "s", "policies off", clocks["off"], "reported"),
        compared(
            "row-level security and its scope",
            taken["on"],
            "s of CPU",
            "policies off, no scope",
            taken["neither"],
            "reported",
        ),
    ]


def _say(line: str) -> None:
    print(line, "s", file=sys.stderr, flush=True)


def _open(home: House) -> None:
    """Switch all policies of a copy off."""
    with psycopg.connect(home.owner_url, autocommit=True) as owner:
        for (table,) in owner.execute(
            "select oid::regclass::text from pg_class where relrowsecurity and relnamespace = 'public'::regnamespace"
        ).fetchall():
            owner.execute(f"alter table {table} disable row level security".encode())


def _audit(walled: Merchant, control: Merchant) -> None:
    """Policies were on here and off there, and both did and saw the same."""
    on, off = _state(walled.home), _state(control.home)
    audit(expected=(True, 0), found=on[:2], what="policies, and rows without a tenant")
    audit(expected=(False, True), found=(off[0], off[1] > 0), what="policies of the control, and rows without a tenant")
    audit(expected=off[2:], found=on[2:], what="ghosts, attempts and leakage")
    audit(expected=control.seen, found=walled.seen, what="open ghosts on the dashboards")
    writes = walled.upserts
    audit(expected=(PAST.open_now + min(writes, GHOSTS), writes), found=on[2:4], what="ghosts and attempts")


def _state(home: House) -> tuple[Any, ...]:
    """Whether policies are on; how many ghosts the application sees without a tenant; what was written."""
    with psycopg.connect(home.application_url.replace("+psycopg", "")) as application:
        row = application.execute("select row_security_active('ghost_targets'), count(*) from ghost_targets").fetchone()
    with psycopg.connect(home.owner_url) as owner:
        written = owner.execute(
            "select count(*) filter (where state in ('open', 'contacted')),"
            " sum(attempt_count) filter (where invoice_id like 'in_rls_%'),"
            " sum(amount_cents) filter (where state <> 'recovered') from ghost_targets"
        ).fetchone()
        leaking = owner.execute("select sum(leakage_cents) from merchant_totals").fetchone()
    assert row is not None  # noqa: S101  # counts always answer a row
    assert written is not None  # noqa: S101
    assert leaking is not None  # noqa: S101
    audit(expected=written[2], found=leaking[0], what="leakage in the sums")
    return (*row, *written)
