"""The short form, part of every run of the tests: a death of each kind of process, and a storm of some seconds."""

import pytest
import redis

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Killer, Load
from tests.chaos.ledger import judge
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(240)

# One of the web's two moments, of the scheduler's, of a sender's and of a charge's: where a death is dearest.
DEAREST = ("connect.stored", "intake.committed", "sentinel.scheduled", "message.handed_over", "charge.made")
STORM_SECONDS = 7


def test_a_death_at_the_dearest_moments(arena: Arena) -> None:
    arena.arm(*DEAREST)
    business = Business.open(arena, "Dearest moments", customers=1)
    (invoice,) = business.invoices
    business.announce(invoice)
    business.click(invoice)
    business.new_card(invoice)
    business.wait_until_paid(invoice)
    wait_until(lambda: not arena.armed(), what=f"somebody died at each of {DEAREST}")
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert (figures["ghosts"], figures["mails"], figures["recovered"]) == (1, 1, 1)
    assert figures["charges"] == 2  # the one that failed, and ours


def test_a_short_storm(arena: Arena) -> None:
    """Everything but the world dies in some order while webhooks come twice and shuffled; and Redis forgets all."""
    arena.stage.control("/_sandbox/deliveries/behaviour", {"duplicate": 2, "shuffle": True})
    business = Business.open(arena, "Short storm", customers=15)
    load = Load(business, pause=0.2)
    killer = Killer(arena, 7, ("web worker", "postgres", "worker", "redis"), shortest=1.0, longest=1.6)
    load.run(STORM_SECONDS, killer)
    arena.wait_until_well()
    with redis.Redis.from_url(arena.told["REDIS_URL"]) as client:
        client.flushall()
    load.finish()
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert len(killer.killed) >= 3
    assert figures["ghosts"] == figures["mails"] == 15
    assert figures["recovered"] == len(business.cards) == 5
