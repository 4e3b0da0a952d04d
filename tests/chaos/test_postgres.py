"""PostgreSQL restarts, loses its sessions, has no room for more, and is locked by strangers."""

import contextlib
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Load
from tests.chaos.ledger import judge
from tests.support.wait import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

OURS = "usename in ('phantom_app', 'phantom_system')"


def finish(arena: Arena, business: Business, load: Load) -> None:
    """Peace again: everybody is well, everything is done, and the books agree."""
    load.finish()
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert figures["ghosts"] == len(business.invoices)
    assert figures["recovered"] == len(business.cards)


@pytest.mark.parametrize("signals", [["INT"], ["KILL"], ["TERM", "INT"]], ids="-".join)
def test_a_restart(arena: Arena, signals: list[str]) -> None:
    """Fast, by a crash, and as an impatient administrator does it: smart first, which waits for us for ever."""
    business = Business.open(arena, f"Restart by {' and '.join(signals)}", customers=24)
    load = Load(business)
    load.run(2)
    former = arena.pid("postgres")
    for name in signals:
        arena.send_signal("postgres", signal.Signals[f"SIG{name}"])
        load.run(2)
    wait_until(lambda: arena.pid("postgres") != former, timeout=60, what="PostgreSQL runs again")
    finish(arena, business, load)


def test_killed_backends(arena: Arena) -> None:
    """All our sessions are ended again and again: no task's own failure, however often."""
    business = Business.open(arena, "Killed backends", customers=30)
    load = Load(business)
    killed = 0

    def kill() -> None:
        nonlocal killed
        killed += len(arena.rows(f"select pg_terminate_backend(pid) from pg_stat_activity where {OURS}"))  # noqa: S608

    load.run(10, kill)
    assert killed > 50
    finish(arena, business, load)


@contextlib.contextmanager
def crowd(arena: Arena) -> Iterator[None]:
    """Strangers take every connection there is, ours too."""
    url = arena.told["DATABASE_URL"].replace("+psycopg", "", 1)
    ours = f"select pg_terminate_backend(pid) from pg_stat_activity where {OURS} and application_name <> 'crowd'"  # noqa: S608
    sessions: list[psycopg.Connection[tuple[object, ...]]] = []
    try:
        for _ in range(500):
            try:
                sessions.append(psycopg.connect(url, connect_timeout=3, application_name="crowd"))
            except psycopg.OperationalError:
                if not arena.rows(ours):
                    break
        yield
    finally:
        for session in sessions:
            session.close()


def test_no_connection_left(arena: Arena) -> None:
    business = Business.open(arena, "No connection left", customers=24)
    load = Load(business)
    load.run(1)
    with crowd(arena):
        refused = arena.stage.control("/_sandbox/deliveries")["failed"]
        load.run(8)
        assert arena.stage.control("/_sandbox/deliveries")["failed"] > refused, "nobody was told to come again"
    finish(arena, business, load)


def test_strangers_who_hold_locks_and_say_nothing(arena: Arena) -> None:
    """A session idle in its transaction holds what one customer needs: the others do not wait for it, it is in time."""
    business = Business.open(arena, "Idle in transaction", customers=12)
    first, *others = business.invoices
    business.announce(first)
    business.wait_for_mail(first)
    arena.wait_until_quiet()
    with arena.owner() as stranger, stranger.transaction():
        stranger.execute("set local idle_in_transaction_session_timeout = 0")
        stranger.execute("select id from ghost_targets where invoice_id = %s for update", [first])
        business.new_card(first)
        began = time.monotonic()
        for invoice in others:
            business.announce(invoice)
        for invoice in others:
            business.wait_for_mail(invoice, timeout=60)
        assert time.monotonic() - began < 30, "one customer's lock held up all"
        assert business.read(f"invoices/{first}")["status"] == "open"
    arena.wait_until_quiet()
    figures = judge(business)
    assert (figures["ghosts"], figures["recovered"]) == (12, 1)


def test_a_table_locked_by_a_stranger(arena: Arena) -> None:
    """An administrator's forgotten lock on the queue itself: events are refused, and come in when it is gone."""
    business = Business.open(arena, "Locked table", customers=12)
    load = Load(business)
    with arena.owner() as stranger, stranger.transaction():
        stranger.execute("lock table scheduled_tasks in access exclusive mode")
        load.run(12)
    finish(arena, business, load)
