"""How a seed ends: no more trouble, until every ghost has come to its end and everything is told."""

from typing import TYPE_CHECKING, Any

from core import db
from services.tasks import service as tasks
from services.tasks.schedules import PURGE, USAGE
from tests.simulation import judge
from tests.simulation.scenario import DAY, HOUR

if TYPE_CHECKING:
    from tests.simulation.play import Play

LONGEST = 70  # days
NOBODY = {"cancellation_details": {"comment": None, "feedback": None, "reason": None}}
_OVER = ("canceled", "incomplete_expired")


def drain(play: "Play") -> None:
    """What is open comes to its end, because no more is begun."""
    _peace(play)
    judge.replay_killed(play)
    _no_more_renewals(play)
    judge.sums_agree(play, billed=True)
    play.staff.tidy_up()
    if play.ledger.kept:  # nobody may have told of it, and what is owed again has its days from now on
        _begin(play, "hunt", {"trigger": "peace"})
    until = play.now() + LONGEST * DAY
    play.engine.look_again()
    while (moment := play.next_moment()) <= until and (play.now() < play.ends + 2 * DAY or not judge.all_ended(play)):
        play.step(moment)
        play.check()
    if play.scenario.is_billed:
        play.live((play.now() // DAY + 1) * DAY + HOUR)  # only days that are over are billed
    play.engine.seldom, play.quiet_at = (), play.now()
    if play.scenario.is_billed:
        _last(play, USAGE.kind)
    if play.scenario.keeps_days:
        play.last_purge_at = play.now()
        _last(play, PURGE.kind)
    _last(play, "hunt", {"trigger": "last"})


def _peace(play: "Play") -> None:
    play.draining = True
    play.ledger.trace.say("drain")
    play.machine.rates, play.machine.lose_announcements = {}, 0.0
    play.wire.drop, play.wire.repeat, play.wire.late = 0.0, 0.0, False
    play.providers.peace()
    play.engine.sentinel_away, play.engine.hunts_every = (0.0, 0.0), 10 * DAY
    for trouble in play.troubles:
        trouble.rate, trouble.outages = 0.0, ()


def _no_more_renewals(play: "Play") -> None:
    """Subscriptions end with their periods, by nobody's wish: until then what is open goes on to its own end.

    One that its customer had cancelled ends so anyway. Without their wish it would look as if they had taken it back:
    what had stopped is then owed again, for as many days as before, and the last hunt is the first to see it.
    """
    subscriptions = play.space.table("subscription").objects
    for name in [name for customer in play.scenario.customers for name in customer.subscription_ids]:
        if subscriptions[name]["status"] not in _OVER and not subscriptions[name]["cancel_at_period_end"]:
            play.actions.cancel_subscription(play.account, name, at_period_end=True)
            play.actions.edit_object(play.account, "subscription", name, NOBODY)


def _last(play: "Play", kind: str, payload: dict[str, Any] | None = None) -> None:
    """One more task of this kind, everything that follows from it, and what waits for its own hour."""
    _begin(play, kind, payload or {})
    play.staff.tidy_up()
    play.sleep(7)
    play.machine.wake()
    play.engine.tick()
    play.engine.settle()
    while judge.busy(play) and play.now() < play.quiet_at + 2 * DAY:
        play.engine.look_again()
        play.step(play.next_moment())
        play.check()


def _begin(play: "Play", kind: str, payload: dict[str, Any]) -> None:
    with db.tenant_session(play.merchant) as session:
        tasks.schedule(session, kind=kind, merchant_id=play.merchant, payload=payload)
