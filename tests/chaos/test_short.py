"""The short form, part of every run of the tests: a death of each kind of process, and a storm of some seconds."""

import pytest
import redis

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Killer, Load
from tests.chaos.ledger import judge
from tests.chaos.texts import Texted
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(240)

# One of the web's two moments, of the scheduler's, of a sender's and of a charge's: where a death is dearest.
DEAREST = ("connect.stored", "intake.committed", "sentinel.scheduled", "message.handed_over", "charge.made")
STORM_SECONDS = 7


@pytest.fixture(scope="module")
def survivor(arena: Arena) -> Business:
    """A business whose one failed payment came back although everybody died once on its way."""
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
    return business


def test_a_death_at_the_dearest_moments(survivor: Business) -> None:
    figures = judge(survivor)
    assert (figures["ghosts"], figures["mails"], figures["recovered"]) == (1, 1, 1)
    assert figures["charges"] == 2  # the one that failed, and ours


# What no harm may ever do, done by hand; and how it is undone.
TAMPERING = {
    "a sum is off": (
        "update daily_metrics set recovered_cents = recovered_cents + 1 where merchant_id = %(merchant)s",
        "update daily_metrics set recovered_cents = recovered_cents - 1 where merchant_id = %(merchant)s",
    ),
    "a total is off": (
        "update merchant_totals set open_ghosts = open_ghosts + 1 where merchant_id = %(merchant)s",
        "update merchant_totals set open_ghosts = open_ghosts - 1 where merchant_id = %(merchant)s",
    ),
    "a click is lost": (
        "update clicks set merchant_id = 'lost' where merchant_id = %(merchant)s",
        "update clicks set merchant_id = %(merchant)s where merchant_id = 'lost'",
    ),
    "an event is lost": (
        "update processed_events set id = 'lost ' || id where merchant_id = %(merchant)s",
        "update processed_events set id = substr(id, 6) where merchant_id = %(merchant)s",
    ),
    "an event is not handled": (
        "update processed_events set outcome = handled_at::text, handled_at = null where merchant_id = %(merchant)s",
        "update processed_events set handled_at = outcome::timestamptz where merchant_id = %(merchant)s",
    ),
    "a message is forgotten": (
        "update messages set merchant_id = 'lost' where merchant_id = %(merchant)s",
        "update messages set merchant_id = %(merchant)s where merchant_id = 'lost'",
    ),
    "a recovery is lost": (
        "update recoveries set merchant_id = 'lost' where merchant_id = %(merchant)s",
        "update recoveries set merchant_id = %(merchant)s where merchant_id = 'lost'",
    ),
    "a recovery is of another amount": (
        "update recoveries set amount_cents = amount_cents + 1 where merchant_id = %(merchant)s",
        "update recoveries set amount_cents = amount_cents - 1 where merchant_id = %(merchant)s",
    ),
    "a ghost is lost": (
        "update ghost_targets set merchant_id = 'lost' where merchant_id = %(merchant)s",
        "update ghost_targets set merchant_id = %(merchant)s where merchant_id = 'lost'",
    ),
    "an attempt is not settled": (
        "update payment_attempts set state = 'started' where source = 'phantom' and merchant_id = %(merchant)s",
        "update payment_attempts set state = 'succeeded' where source = 'phantom' and merchant_id = %(merchant)s",
    ),
    "a task is dead": (
        "update scheduled_tasks set state = 'dead' where kind = 'dunning_retry' and merchant_id = %(merchant)s",
        "update scheduled_tasks set state = 'done' where kind = 'dunning_retry' and merchant_id = %(merchant)s",
    ),
}


def test_the_judge_sees_what_it_is_there_for(arena: Arena, survivor: Business) -> None:
    """Else a storm would show nothing: each thing that may never happen is done by hand, and judged."""
    with arena.owner() as database:
        database.execute("set session_replication_role = replica")  # the ledger is append-only, even for its owner
        for what, (done, undone) in TAMPERING.items():
            changed = database.execute(done.encode(), {"merchant": survivor.merchant}).rowcount
            assert changed > 0, what
            assert is_condemned(survivor), what
            database.execute(undone.encode(), {"merchant": survivor.merchant})
    assert not is_condemned(survivor)
    survivor.mail_again(survivor.invoices[0])
    with pytest.raises(AssertionError, match="sent twice"):
        judge(survivor)


def is_condemned(business: Business) -> bool:
    try:
        judge(business, patience=0.3)
    except AssertionError:
        return True
    return False


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


def test_a_text_is_sent_once_though_its_sender_dies(arena: Arena) -> None:
    """No key makes a repeat harmless: it is not made, and its provider tells what became of it."""
    texted = Texted.open(Business.open(arena, "Text gone"), 1)
    (invoice,) = texted.numbers
    texted.die_over(invoice, "message.handed_over")
    assert len(texted.sent(invoice)) == 1
    wait_until(lambda: texted.states(invoice) == ["delivered"], what="its provider told of it")
