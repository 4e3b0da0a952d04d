"""Two of everything, and sleepers: who was stopped for longer than a lease wakes up and doubles nothing."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Load
from tests.chaos.ledger import judge
from tests.support.wait import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

_LEADERS = """select count(*) as leaders from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and application_name = 'phantom-sentinel'"""
_CANDIDATES = "select count(*) as sentinels from pg_stat_activity where application_name = 'phantom-sentinel'"
HAND_OVER_SECONDS = 10


def leaders(arena: Arena) -> int:
    return int(arena.rows(_LEADERS)[0]["leaders"])


def test_two_workers_and_two_sentinels(arena: Arena) -> None:
    business = Business.open(arena, "Two of everything", customers=30)
    load = Load(business, pause=0.02)
    with arena.beside("jobs.worker") as second, arena.beside("jobs.sentinel"):
        second.wait_for("worker.started")
        load.run(3)
        load.finish()
        arena.wait_until_quiet()
        assert leaders(arena) == 1
        for hour in range(1, 4):  # each has a slot that both would schedule
            arena.pass_time(3600)
            wait_until(lambda hour=hour: pulses(arena, business) >= hour, what=f"pulse {hour} is scheduled")
            arena.wait_until_quiet()
        assert leaders(arena) == 1
        assert pulses(arena, business) == 3
    figures = judge(business)
    assert (figures["ghosts"], figures["recovered"]) == (30, len(business.cards))


def pulses(arena: Arena, business: Business) -> int:
    """How many of the merchant's hourly slots were scheduled, the one of its connecting apart."""
    query = """select count(*) as slots from scheduled_tasks where kind = 'pulse' and merchant_id = %(merchant)s
        and key like 'pulse:%%' and created_at > to_timestamp(%(connected)s) + interval '30 minutes'"""
    found = arena.rows(query, merchant=business.merchant, connected=business.connected_at)
    return int(found[0]["slots"])


def test_a_sentinel_that_sleeps_hands_over_and_does_not_lead_when_it_wakes(
    arena: Arena, record_property: Callable[[str, object], None]
) -> None:
    business = Business.open(arena, "Sleeping Sentinel", customers=2)
    sleeper = arena.pid("sentinel")
    with arena.beside("jobs.sentinel") as second:
        wait_until(lambda: arena.rows(_CANDIDATES)[0]["sentinels"] == 2, what="the second one asks to lead")
        arena.send_signal("sentinel", signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            second.wait_for("sentinel.leads", timeout=HAND_OVER_SECONDS)
            record_property("seconds until another led", round(time.monotonic() - stopped, 1))
            arena.pass_time(12 * 3600)
            business.wait_for_hunts(2)
        finally:
            arena.send_signal("sentinel", signal.SIGCONT)
        wait_until(lambda: "sentinel.connection_lost" in arena.log_of("sentinel"), what="the sleeper notices")
        assert leaders(arena) == 1
        arena.wait_until_quiet()
    assert arena.pid("sentinel") == sleeper
    wait_until(lambda: leaders(arena) == 1, what="the first leads again")
    figures = judge(business)
    assert (figures["ghosts"], figures["mails"]) == (2, 2)
    hunts = arena.rows("select id from hunts where merchant_id = %(merchant)s", merchant=business.merchant)
    assert len(hunts) == 2


def test_a_worker_that_sleeps_in_the_middle_of_a_charge(arena: Arena) -> None:
    """It is in the middle of the call; another takes over; the sleeper wakes to an answer nobody waits for."""
    business = Business.open(arena, "Sleeping charge", customers=1)
    (invoice,) = business.invoices
    business.announce(invoice)
    business.wait_for_mail(invoice)
    fault = {"kind": "hang", "path": "/pay$", "times": 1, "seconds": 20}
    arena.stage.control("/_sandbox/faults", fault)
    business.new_card(invoice)
    asleep(arena, business, "dunning_retry")


def test_a_worker_that_sleeps_in_the_middle_of_sending(arena: Arena) -> None:
    business = Business.open(arena, "Sleeping sender", customers=1)
    (invoice,) = business.invoices
    fault = {"kind": "hang", "path": "/emails", "times": 1, "seconds": 20, "vendor": "resend"}
    arena.stage.control("/_sandbox/outbox/faults", fault)
    business.announce(invoice)
    asleep(arena, business, "send_message")
    assert len(business.mails()) == 1


def asleep(arena: Arena, business: Business, kind: str) -> None:
    """The worker is stopped while a task of `kind` hangs at its vendor; a second one comes; the first wakes up."""
    query = "select id, lease_owner from scheduled_tasks where kind = %(kind)s and merchant_id = %(merchant)s"
    running = f"{query} and state = 'running'"

    def holder() -> str | None:
        found = arena.rows(running, kind=kind, merchant=business.merchant)
        return str(found[0]["lease_owner"]) if found else None

    first = wait_until(holder, what=f"{kind} runs")
    arena.send_signal("worker", signal.SIGSTOP)
    try:
        with arena.beside("jobs.worker"):
            wait_until(lambda: holder() != first, timeout=30, what="the task is taken from it")
            arena.wait_until_quiet()
            arena.send_signal("worker", signal.SIGCONT)
            arena.wait_until_well()
            arena.wait_until_quiet()
    finally:
        arena.send_signal("worker", signal.SIGCONT)
    figures = judge(business)
    assert figures["mails"] == 1
    assert figures["recovered"] == len(business.cards)
