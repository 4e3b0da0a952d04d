"""The dry run, taken now and then: what it says comes first is what each ghost's plan says."""

import functools
from datetime import timedelta
from typing import TYPE_CHECKING

from core import clock, db
from services.messaging.schedule import SEND
from services.recovery.plans import ahead

if TYPE_CHECKING:
    from tests.simulation.play import Play

TIMES = 2  # a seed
_AT_WORK = timedelta(minutes=10)  # a message goes when its task comes to it: its place of next week comes as much later
_A_TRIFLE = timedelta(minutes=1)  # the word is written down before it is recorded
_PLANS = "select id, customer_id, next_action, next_action_at from ghost_targets where id = any(%s)"
_HEARD_SINCE = """
select min(created_at) from scheduled_tasks where key like 'pulse:consents:%' and state in ('pending', 'running')"""


def plan(play: "Play") -> None:
    """At any moment."""
    chance = play.streams("ahead")
    for _ in range(TIMES):
        at = chance.uniform(play.scenario.begins, play.ends)
        play.plan(at, "what comes", functools.partial(is_told, play))


def is_told(play: "Play") -> None:
    """With messages on. But for customers with something due by now, whose task may be late, and for what waits for
    another look at Stripe: those are told of as if they went, or were looked at, now. And for whose consent changed
    within the hour: all plans are made anew at its end, and the dry run knows of it at once.
    """
    now = clock.now()
    with db.tenant_session(play.merchant) as session:
        told = ahead.dry_run(session, play.merchant)
    if not (told.is_on and told.is_connected):
        return
    rows = play.place.owner.execute(_PLANS, ([each.ghost_id for each in told.outlooks],)).fetchall()
    plans = {ghost: (customer, name, at) for ghost, customer, name, at in rows}
    late = {customer for customer, _, at in plans.values() if at is not None and at <= now} | _just_spoke(play)
    for each in told.outlooks:
        customer, name, at = plans[each.ghost_id]
        if customer in late or each.standing is ahead.Standing.HELD:
            continue
        planned = at if name == SEND and at <= told.until else None
        first = each.messages[0].at if each.messages else None
        play.ledger.came_of_it["plans told" if first else "plans of nothing told"] += 1
        if (first is None) != (planned is None) or (first and planned and abs(first - planned) > _AT_WORK):
            play.ledger.violated(
                "the dry run is what is planned", f"{each.ghost_id}: {first}, and {planned} is planned"
            )


def _just_spoke(play: "Play") -> set[str]:
    """Customers whose word on being written to waits, with others', for all plans to be made anew."""
    row = play.place.owner.execute(_HEARD_SINCE).fetchone()
    if row is None or row[0] is None:
        return set()
    return {customer for customer, at in play.ledger.last_words.items() if at >= row[0] - _A_TRIFLE}
