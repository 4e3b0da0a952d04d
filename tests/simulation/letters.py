"""The judge of messages: each one as the provider takes it, by what really happened until then."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from core import clock
from sandbox.outbox.store import Message
from sandbox.stripe.api import Request
from tests.simulation import own_words, words
from tests.simulation.ledger import POLITE, Mail
from tests.simulation.process import Look
from tests.simulation.rules import is_above

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
    ledger, name = play.ledger, _name_of(message)
    row = play.place.owner.execute(
        "select m.ghost_id, m.step, g.invoice_id, m.template, m.intent_at from messages m join ghost_targets g"
        " on g.merchant_id = m.merchant_id and g.id = m.ghost_id where m.id = %s",
        (name,),
    ).fetchone()
    if row is None:
        ledger.violated("an intent is committed before a message goes", f"message {name} has none")
        return
    mail = Mail(
        clock.now(),
        message.to[0],
        key,
        name,
        row[0],
        int(row[1]),
        row[2],
        row[3],
        message.channel,
        _arrives(play, message),
        row[4],
    )
    ledger.trace.say(f"{mail.channel} {mail.step} of {mail.ghost_id} accepted under {key or name}")
    for rule in RULES_AHEAD if mail.is_ahead else (*RULES, *(TEXT_RULES if mail.channel == "sms" else ())):
        rule(play, mail)
    words.fit(play, mail, message)
    own_words.are_said(play, mail, message)
    ledger.mails.append(mail)
    if mail.channel == "sms":
        ledger.came_of_it["texts"] += 1


def _not_twice(play: "Play", mail: Mail) -> None:
    if any((one.invoice, one.step) == (mail.invoice, mail.step) for one in play.ledger.mails):
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
    elif look.is_leaving:
        play.ledger.violated("no message after a cancellation", f"{mail.invoice}'s ends with its period")
    elif look.subscription == "unpaid" and not policy["unpaid_has_access"]:
        play.ledger.violated("no message without access", f"{mail.invoice}'s subscription was unpaid")


def _wanted(play: "Play", mail: Mail) -> None:
    """What the customer, their mailbox or the merchant said before the task under way looked is known to it."""
    ledger, looked_at = play.ledger, _looked_at(play, mail.about)
    customer = play.by_address[mail.recipient]
    email, erasure = customer.email, ledger.erased.get(customer.id)  # a no by mail is no invitation to text
    if customer.held_out:
        ledger.violated("nothing to who is held out", f"{mail.channel} to {mail.recipient}")
    for invariant, said_at in (
        ("nothing after an unsubscribe", ledger.unsubscribed.get(email)),
        ("nothing after a complaint", ledger.dead.get(email, {}).get("email.complained")),
        ("no mail to a dead address", ledger.dead.get(mail.recipient, {}).get("email.bounced")),
        ("nothing after a consent was taken back", ledger.withdrawn.get(mail.recipient)),
        ("nothing to who asked to be forgotten", erasure.step if erasure and erasure.sure else None),
        ("nothing while the merchant has stopped messages", ledger.stopped_at),
        ("nothing while the merchant is disconnected", ledger.disconnected_at),
    ):
        if said_at is not None and said_at < looked_at:
            ledger.violated(invariant, f"{mail.channel} to {mail.recipient}")


def _not_too_often(play: "Play", mail: Mail) -> None:
    policy, before = play.rules.of(mail), play.ledger.mails
    of_ghost = 1 + words.got_before(play, mail)
    if not mail.is_ahead and of_ghost > policy["messages_per_ghost"]:
        play.ledger.violated("at most the policy's messages a ghost", f"{of_ghost} to {mail.ghost_id}")
    mine = (customer := play.by_address[mail.recipient]).email, customer.phone
    week = 1 + sum(one.recipient in mine and one.arrives and mail.at - one.at < WEEK for one in before)
    if week > policy["messages_per_customer_week"]:
        play.ledger.violated("the customer's weekly limit", f"{week} to {mail.recipient}")


def _not_too_soon(play: "Play", mail: Mail) -> None:
    last = max((one.at for one in _said(play, mail)), default=None)
    if last is not None and mail.at - last < timedelta(hours=play.rules.of(mail)["cooldown_hours"]):
        play.ledger.violated("the cooldown", f"{mail.ghost_id} had a message {mail.at - last} before")


def _held(play: "Play", mail: Mail) -> None:
    """A ghost's first message waits as long as the merchant holds what the bank said; the shortest of several holds."""
    declines = [one for one in play.ledger.charges if one.invoice == mail.invoice and not one.approved]
    if _said(play, mail) or not declines:
        return
    grace = play.scenario.policy["grace_hours"]
    hold = timedelta(hours=min(grace.get(HOLDS.get(one.code, ""), 0) for one in declines))
    waited = mail.at - declines[0].at
    if waited < hold - _SOONER:
        play.ledger.violated("the hold before the first message", f"{mail.ghost_id} after {waited}")


def _in_daytime(play: "Play", mail: Mail) -> None:
    """Texts by law, mail from the second on; the first where the merchant wants it."""
    if mail.channel == "email" and mail.step == 1 and not play.scenario.policy["quiet_first_message"]:
        return
    begins, ends = (8, 21) if mail.channel == "sms" else play.scenario.mail_hours
    for zone in play.by_address[mail.recipient].zones:
        local = mail.at.astimezone(ZoneInfo(zone))
        if not begins <= local.hour < ends:
            play.ledger.violated("quiet hours", f"step {mail.step} to {mail.recipient} at {local:%H:%M} in {zone}")


def _a_person_decides(play: "Play", mail: Mail) -> None:
    """Above the merchant's line, or where the bank refuses the amount itself: a message for each that was let go."""
    seen, customer, ledger = _seen(play, mail), play.by_address[mail.recipient], play.ledger
    above = all(is_above(policy, customer, seen.remaining) for policy in play.rules.in_the_task())
    if seen.declined == "stop_payment_order" or not (above or seen.declined == "invalid_amount"):
        return
    ledger.let_go[mail.ghost_id] += 1
    if (went := ledger.let_go[mail.ghost_id]) > ledger.released.count(mail.ghost_id):
        ledger.violated("no message before a person lets it go", f"message {went} of {mail.ghost_id}")


def _nothing_to_ask(play: "Play", mail: Mail) -> None:
    """Who told their bank to stop gets one polite note at most; a duplicate is no debt."""
    declined = _seen(play, mail).declined
    if declined == "duplicate_transaction":
        play.ledger.violated("no message where there is nothing to ask for", mail.ghost_id)
    if declined != "stop_payment_order":
        return
    if mail.template != POLITE or _said(play, mail) or not play.scenario.policy["polite_note"]:
        play.ledger.violated("no message to who told their bank to stop", f"{mail.template} about {mail.ghost_id}")


def _agreed_to(play: "Play", mail: Mail) -> None:
    """A text goes to who agreed to texts, where the merchant wants them and mail cannot reach the customer."""
    customer, ledger = play.by_address[mail.recipient], play.ledger
    if not (customer.agrees and play.scenario.policy["sms"]):
        ledger.violated("no text without consent", mail.recipient)
    if customer.email and not ledger.dead.get(customer.email):
        ledger.violated("a text only where mail cannot", mail.recipient)


def handed(play: "Play", request: Request) -> None:
    """A text reached its provider: whatever becomes of it, nobody who has answered STOP may be asked for."""
    form = parse_qs(request.body.decode())
    name, stopped = _of_callback(form["StatusCallback"][0]), play.ledger.stops.get(form["To"][0])
    row = play.place.owner.execute(
        "select g.invoice_id from messages m join ghost_targets g on g.merchant_id = m.merchant_id"
        " and g.id = m.ghost_id where m.id = %s",
        (name,),
    ).fetchone()
    if stopped is not None and row is not None and stopped < _looked_at(play, row[0]):
        play.ledger.violated("no text after a STOP", form["To"][0])


def _said(play: "Play", mail: Mail) -> list[Mail]:
    """What was said about the same failed invoice before."""
    return [one for one in play.ledger.mails if one.ghost_id == mail.ghost_id and not one.is_ahead]


def _looked_at(play: "Play", about: str) -> int:
    process = play.machine.current
    look = process.looks.get(about) if process else None
    return look.step if look else play.ledger.trace.steps


def _arrives(play: "Play", message: Message) -> bool:
    known = play.providers.outbox.get(message.id)
    return known is None or known.status not in ("suppressed", "failed", "bounced")


def _name_of(message: Message) -> str:
    """PHANTOM's id of a message: in a mail's tags, and in the address that a text's provider calls back."""
    if message.channel == "email":
        return message.tags.get("phantom_message", "")
    return _of_callback(message.body["form"]["StatusCallback"])


def _of_callback(address: str) -> str:
    return parse_qs(urlsplit(address).query)["message"][0]


def _seen(play: "Play", mail: Mail) -> Look:
    """What the process under way knows of the message's invoice."""
    process = play.machine.current
    return (process.looks.get(mail.about) if process else None) or Look(0, "", "")


RULES = (
    _not_twice, _wanted, _looked, _not_too_often, _not_too_soon, _held, _in_daytime, _a_person_decides, _nothing_to_ask,
)  # fmt: skip
TEXT_RULES = (_agreed_to,)


def _before_the_charge(play: "Play", mail: Mail) -> None:
    """Where the merchant wants it, once, while the charge is to come and was just seen to be at risk."""
    ledger, seen = play.ledger, _seen(play, mail)
    if not play.scenario.policy["protection_mails"] or mail.channel != "email":
        ledger.violated("a word before a charge only where the merchant wants it", mail.invoice)
    customer = play.by_address[mail.recipient]
    if all(is_above(policy, customer, customer.amount) for policy in play.rules.in_the_task()):
        ledger.violated("no message before a person lets it go", f"{mail.invoice} ahead")
    if mail.at.timestamp() >= int(mail.invoice.split(":")[2]):
        ledger.violated("a word before a charge comes before it", mail.invoice)
    if not seen.at_risk:
        ledger.violated("no word about a charge that is safe", f"{mail.invoice}: {seen}")


RULES_AHEAD = (_not_twice, _wanted, _not_too_often, _in_daytime, _before_the_charge)


def at_the_preferred_hour(play: "Play", messages: list[dict[str, Any]]) -> None:
    """What follows a first message is planned for the morning, where a country has one; its task may be late."""
    for message in (one for one in messages if one["recipient"]):  # who was forgotten is nowhere
        zones, due = play.by_address[message["recipient"]].zones, message["due_at"]
        if len(zones) == 1 and due.astimezone(ZoneInfo(zones[0])).hour != MORNING:
            play.ledger.violated("the preferred hour", f"{message['id']} was planned for {due} in {zones[0]}")
