"""Customers are seen at work with the product: who owes and was seen in the last seven days, told at any moment."""

import functools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core import clock, db
from services.recovery import presence
from tests.simulation.ledger import Sighting
from tests.simulation.scenario import DAY, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

ACTIVE, ONE_SIGHTING = timedelta(days=7), timedelta(minutes=6)
MOST = 5
_OWING = ("open", "contacted", "clicked", "paused", "exhausted")


def plan(play: "Play") -> None:
    """Most customers go on using the product; the merchant's application tells, of some days later."""
    chance = play.streams("presence")
    for customer in play.scenario.customers:
        for _ in range(chance.randint(0, MOST)):
            at, late = chance.uniform(play.scenario.begins, play.ends), chance.choice((0, 0, 0, 2 * DAY))
            seen = functools.partial(see, play, customer, timedelta(seconds=late * chance.random()))
            play.plan(at, f"{customer.name} is seen", seen)


def see(play: "Play", customer: Customer, ago: timedelta) -> None:
    """PHANTOM is told that this customer was active that long ago; its process may die of it."""
    at = clock.now() - ago

    def record() -> None:
        with db.tenant_session(play.merchant) as session:
            presence.record(session, play.merchant, {customer.id: at}, clock.now())

    sure = play.machine.run("web", record)
    play.ledger.sightings.append(Sighting(at, customer.id, sure))


def is_told(play: "Play") -> None:
    """Asked now and then: who owes and was seen in the last seven days, and how much they owe, is what is said."""
    now = clock.now()
    certain, possible = _seen_since(play, now, sure=True), _seen_since(play, now, sure=False)
    asked = (
        "select customer_id, currency, amount_cents, reopened_at is null and purged_at is null from ghost_targets"
        " where kind = 'failed' and state = any(%s) and customer_id is not null"
    )
    owing = play.place.owner.execute(asked, (list(_OWING),)).fetchall()
    with db.tenant_session(play.merchant) as session:
        told = {
            each: presence.active(session, play.merchant, each, now)
            for each in sorted({customer.currency for customer in play.scenario.customers})
        }
    for currency, active in told.items():
        mine = [(customer, amount, whole) for customer, held, amount, whole in owing if held == currency]
        least = [(customer, amount) for customer, amount, whole in mine if whole and customer in certain]
        most = [(customer, amount) for customer, amount, _ in mine if customer in possible]
        facts = f"{active.customers} owe {active.amount} {currency}: {least} at least, {most} at most"
        if not len({each for each, _ in least}) <= active.customers <= len({each for each, _ in most}):
            play.ledger.violated("who owes and is active", facts)
        if not sum(amount for _, amount in least) <= active.amount <= sum(amount for _, amount in most):
            play.ledger.violated("who owes and is active", facts)
        play.ledger.came_of_it["owing and active, when asked"] += active.customers


def _seen_since(play: "Play", now: datetime, *, sure: bool) -> set[str]:
    """Whom PHANTOM must know to be active, or may; sightings close together are one, and who is forgotten is not."""
    margin = ONE_SIGHTING if sure else -ONE_SIGHTING
    seen = (one for one in play.ledger.sightings if one.at >= now - ACTIVE + margin and (one.sure or not sure))
    return {one.customer for one in seen if not (sure and one.customer in play.ledger.erased)}
