"""The judge of messages: each one as the provider takes it, by what really happened until then."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from core import clock
from sandbox.outbox.store import Message
from tests.simulation.ledger import Mail

if TYPE_CHECKING:
    from tests.simulation.play import Play

WEEK = timedelta(days=7)
MORNING = 10
# Which hold of the merchant's policy a decline code falls under; all others have none in these scenarios.
HOLDS = {"processing_error": "technical", "insufficient_funds": "funds", "card_velocity_exceeded": "funds"}
_SOONER = timedelta(minutes=2)  # Stripe charges an hour after it made the invoice, give or take its own round
_OVER = ("canceled", "incomplete_expired")


def accepted(play: "Play", message: Message, key: str) -> None:
    """The provider took a message it had not taken before."""
    if message.tags.get("phantom_kind") == "digest":  # to the merchant's own team
        return
    ledger, name = play.ledger, message.tags.get("phantom_message", "")
    row = play.place.owner.execute(
        "select m.ghost_id, m.step, g.invoice_id from messages m join ghost_targets g"
        " on g.merchant_id = m.merchant_id and g.id = m.ghost_id where m.id = %s",
        (name,),
    ).fetchone()
    if row is None:
        ledger.violated("an intent is committed before a message goes", f"message {name} has none")
        return
    mail = Mail(clock.now(), message.to[0], key, name, row[0], int(row[1]), row[2])
    ledger.trace.say(f"mail {mail.step} of {mail.ghost_id} accepted under {key}")
    for rule in (_not_twice, _looked, _wanted, _not_too_often, _not_too_soon, _held, _in_daytime):
        rule(play, mail)
    ledger.mails.append(mail)


def _not_twice(play: "Play", mail: Mail) -> None:
    if any((one.ghost_id, one.step) == (mail.ghost_id, mail.step) for one in play.ledger.mails):
        play.ledger.violated("no step goes out twice", f"step {mail.step} of {mail.ghost_id}")


def _looked(play: "Play", mail: Mail) -> None:
    """The task under way must have seen the invoice open. What changed after that look it cannot know."""
    process, policy = play.machine.current, play.scenario.policy
    look = process.looks.get(mail.invoice) if process else None
    if look is None:
        play.ledger.violated("a fresh look before each message", f"{mail.invoice} was not read")
    elif look.invoice != "open":
        play.ledger.violated("no message after paid or void", f"{mail.invoice} was seen {look.invoice}")
    elif look.subscription in _OVER:
        play.ledger.violated("no message after a subscription's end", f"{mail.invoice}'s was {look.subscription}")
    elif look.subscription == "unpaid" and not policy["unpaid_has_access"]:
        play.ledger.violated("no message without access", f"{mail.invoice}'s subscription was unpaid")


def _wanted(play: "Play", mail: Mail) -> None:
    process, ledger = play.machine.current, play.ledger
    look = process.looks.get(mail.invoice) if process else None
    looked_at = look.step if look else ledger.trace.steps
    asked = ledger.unsubscribed.get(mail.recipient)
    if asked is not None and asked < looked_at:
        ledger.violated("nothing after an unsubscribe", mail.recipient)
    if ledger.stopped_at is not None and ledger.stopped_at < looked_at:
        ledger.violated("nothing while the merchant has stopped messages", mail.recipient)


def _not_too_often(play: "Play", mail: Mail) -> None:
    policy, before = play.scenario.policy, play.ledger.mails
    of_ghost = 1 + sum(one.ghost_id == mail.ghost_id for one in before)
    if of_ghost > policy["messages_per_ghost"]:
        play.ledger.violated("at most the policy's messages a ghost", f"{of_ghost} to {mail.ghost_id}")
    week = 1 + sum(one.recipient == mail.recipient and mail.at - one.at < WEEK for one in before)
    if week > policy["messages_per_customer_week"]:
        play.ledger.violated("the customer's weekly limit", f"{week} to {mail.recipient}")


def _not_too_soon(play: "Play", mail: Mail) -> None:
    last = max((one.at for one in play.ledger.mails if one.ghost_id == mail.ghost_id), default=None)
    if last is not None and mail.at - last < timedelta(hours=play.scenario.policy["cooldown_hours"]):
        play.ledger.violated("the cooldown", f"{mail.ghost_id} had a message {mail.at - last} before")


def _held(play: "Play", mail: Mail) -> None:
    """A ghost's first message waits as long as the merchant holds what the bank said; the shortest of several holds."""
    declines = [one for one in play.ledger.charges if one.invoice == mail.invoice and not one.approved]
    if any(one.ghost_id == mail.ghost_id for one in play.ledger.mails) or not declines:
        return
    grace = play.scenario.policy["grace_hours"]
    hold = timedelta(hours=min(grace.get(HOLDS.get(one.code, ""), 0) for one in declines))
    waited = mail.at - declines[0].at
    if waited < hold - _SOONER:
        play.ledger.violated("the hold before the first message", f"{mail.ghost_id} after {waited}")


def _in_daytime(play: "Play", mail: Mail) -> None:
    if mail.step == 1 and not play.scenario.policy["quiet_first_message"]:
        return
    for zone in play.by_email[mail.recipient].zones:
        local = mail.at.astimezone(ZoneInfo(zone))
        if not 8 <= local.hour < 21:
            play.ledger.violated("quiet hours", f"step {mail.step} to {mail.recipient} at {local:%H:%M} in {zone}")


def at_the_preferred_hour(play: "Play", messages: list[dict[str, Any]]) -> None:
    """What follows a first message is planned for the morning, where a country has one; its task may be late."""
    for message in messages:
        zones, due = play.by_email[message["recipient"]].zones, message["due_at"]
        if len(zones) == 1 and _hour(due, zones[0]) != MORNING:
            play.ledger.violated("the preferred hour", f"{message['id']} was planned for {due} in {zones[0]}")


def _hour(moment: datetime, zone: str) -> int:
    return moment.astimezone(ZoneInfo(zone)).hour
