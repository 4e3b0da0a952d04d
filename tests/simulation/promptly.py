"""The judge of first words: each is said at its moment, to whoever nothing stood in the way of.

That something is said at all is another's part (`heard`); here it is when. A first message belongs to the hour in which
a failure is found, or to the end of the merchant's hold, or to the customer's day where the merchant wants that; and a
word before a charge has a week.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.simulation import heard, letters
from tests.simulation.scenario import Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

AT_ONCE = timedelta(hours=1)  # beside what was down: a task that died or was refused is tried again
QUARTER = timedelta(minutes=15)
_FIRST = "select channel, due_at from messages where ghost_id = %s and step = 1 and template <> 'polite_stop'"
_AT_RISK_UNTIL = """
select min(occurred_at) from ghost_events
where ghost_id = %s and ((from_state = 'impending' and to_state <> 'impending') or name = 'purged')"""
_WORD_AHEAD = "select exists (select from messages where ghost_id = %s and step = 0)"

Ghost = dict[str, Any]


def at_the_end(play: "Play", ghosts: list[Ghost]) -> None:
    if play.providers.key > 1:
        return  # the merchant's sender was closed for a time
    for ghost, customer in heard.undisturbed(play, ghosts):
        if ghost["strategy"] in heard.SPOKEN and heard.hears(play, customer):
            _first_is_in_time(play, ghost, customer)
    if play.scenario.policy["protection_mails"]:
        _is_told_ahead(play, ghosts)


def _first_is_in_time(play: "Play", ghost: Ghost, customer: Customer) -> None:
    row = play.place.owner.execute(_FIRST, (ghost["id"],)).fetchone()
    if row is None:
        return
    channel, due_at = row
    declines = [one for one in play.ledger.charges if one.invoice == ghost["invoice_id"] and not one.approved]
    grace = play.scenario.policy["grace_hours"]
    hold = timedelta(hours=max((grace.get(letters.HOLDS.get(one.code, ""), 0) for one in declines), default=0))
    failed_at = min((one.at for one in declines), default=ghost["found_at"])
    latest = max(ghost["found_at"], failed_at + hold) + AT_ONCE + play.ledger.down
    if channel == "sms" or play.scenario.policy["quiet_first_message"]:
        latest = _next_day(latest, customer, (8, 21) if channel == "sms" else play.scenario.mail_hours)
    play.ledger.came_of_it["first messages at their moment"] += 1
    if due_at > latest:
        late = due_at - latest
        play.ledger.violated("a first message goes at its moment", f"{ghost['id']}: by {channel}, {late} late")


def _next_day(at: datetime, customer: Customer, hours: tuple[int, int]) -> datetime:
    """When it is next daytime wherever they may be."""
    while not all(hours[0] <= at.astimezone(ZoneInfo(zone)).hour < hours[1] for zone in customer.zones):
        at += QUARTER
    return at


def _is_told_ahead(play: "Play", ghosts: list[Ghost]) -> None:
    """Whose card ends before the charge, as long as it was at risk, and not forgotten, in its last week."""
    if heard.is_disturbed(play):
        return
    for ghost in ghosts:
        customer = play.by_id[ghost["customer_id"]]
        alone = sum(each["customer_id"] == customer.id for each in ghosts) == 1
        if ghost["charge_at"] is None or not customer.expires or not alone or _is_anothers(play, customer):
            continue
        row = play.place.owner.execute(_AT_RISK_UNTIL, (ghost["id"],)).fetchone()
        ends = min(row[0] if row and row[0] else ghost["charge_at"], ghost["charge_at"])
        begins = max(ghost["found_at"], ghost["charge_at"] - letters.WEEK)
        if begins + heard.NEXT_HOUR + heard.PATIENCE + play.ledger.down >= ends:
            continue
        play.ledger.came_of_it["told before the charge"] += 1
        told = play.place.owner.execute(_WORD_AHEAD, (ghost["id"],)).fetchone()
        if not told or not told[0]:
            play.ledger.violated(
                "who may lose their charge is told ahead", f"{ghost['id']}: at risk to {ends:%d %H:%M}"
            )


def _is_anothers(play: "Play", customer: Customer) -> bool:
    """Nobody writes to them of a charge to come: no mail reaches them, or a person decides, or it is withheld."""
    by_mail = bool(customer.email) and not customer.bounces and heard.hears(play, customer)
    return not by_mail or customer.high or customer.held_out or customer.id in play.ledger.erased
