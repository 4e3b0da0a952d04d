"""The judge of merit: whose each recovery is, from the clicks, charges and messages that the simulation itself saw.

What PHANTOM cannot know leaves it a choice here, and only that: whether a click was stored when its process died, what
became of a message whose settlement a crash took, and Stripe's schedule where no webhook told of it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.stripe.cards import NOT_RETRIED
from tests.simulation.ledger import Charge

if TYPE_CHECKING:
    from tests.simulation.play import Play

A_CLICK_COUNTS, A_MESSAGE_COUNTS = timedelta(days=30), timedelta(days=14)
A_MOMENT = timedelta(minutes=2)
SECOND, STRIPES_ROUND = timedelta(seconds=1), timedelta(hours=2)
NEVER_READ = ("planned", "skipped", "failed", "bounced", "outbox")

Credit = tuple[str, str | None]


def is_due(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Each recovery has the mechanism and the message that brought it."""
    invoices, by_id = {ghost["id"]: ghost["invoice_id"] for ghost in ghosts}, {ghost["id"]: ghost for ghost in ghosts}
    approved = {charge.invoice: charge for charge in play.ledger.charges if charge.approved}
    moved = {row["ghost_id"]: row for row in rows if row["kind"] == "credited" and row["amount_cents"] > 0}
    for row in rows:
        if row["kind"] == "protected" and row["amount_cents"] > 0:
            _of_safety(play, by_id[row["ghost_id"]], row)
        name = invoices[row["ghost_id"]]
        charge = approved.get(name) or _outside(play, name) if row["kind"] == "recovered" else None
        if charge is None:
            continue
        last = moved.get(row["ghost_id"], row)  # PHANTOM may have learned later whose it is
        given = last["mechanism"], last["message_id"]
        due = list(_credits(play, row["ghost_id"], charge)) if charge.amount else [("organic", None)]
        play.ledger.came_of_it[f"by {last['mechanism']}"] += 1
        if given not in due:
            play.ledger.violated("whose merit", f"{row['ghost_id']} has {given} and is due {due} ({charge.source})")


def _outside(play: "Play", invoice: str) -> Charge | None:
    """What was settled without a charge, and so by none of Stripe's; of no amount where no money came in."""
    for one in (one for one in play.ledger.outside if one.invoice == invoice and not one.left):
        return Charge(one.at, invoice, one.customer, "", "outside", True, one.brought)
    return None


def _of_safety(play: "Play", ghost: dict[str, Any], row: dict[str, Any]) -> None:
    """A charge made safe before it failed: by another card, it may be a click's merit or a message's; else nobody's."""
    given, at = (row["mechanism"], row["message_id"]), row["occurred_at"]
    of_theirs = [card.at for card in play.ledger.new_cards if card.customer == ghost["customer_id"] and card.at <= at]
    due: list[Credit] = [("organic", None)]
    if of_theirs:
        due = list(_by_a_person(play, ghost["id"], at))
        since = ghost["found_at"] - A_MOMENT
        if ghost["payment_method_id"] in play.ledger.renewed or not any(since <= given_at for given_at in of_theirs):
            due.append(("organic", None))
    play.ledger.came_of_it[f"protected by {row['mechanism']}"] += 1
    if given not in due:
        play.ledger.violated("whose merit", f"{ghost['id']}, protected, has {given} and is due {due}")


def _by_a_person(play: "Play", ghost: str, at: datetime) -> Iterator[Credit]:
    """What brought somebody who did something then: a click, else a message, else nothing of ours."""
    clicks = list(_clicks(play, ghost, at))
    yield from (("click", message) for message in clicks if message is not None)
    if not clicks or None in clicks:
        yield from _messages(play, ghost, at)


def _credits(play: "Play", ghost: str, charge: Charge) -> Iterator[Credit]:
    """What this payment may be put down to; one thing, where nothing was left in the dark."""
    paid_at = charge.at.replace(microsecond=0)  # Stripe's times are whole seconds
    clicks = list(_clicks(play, ghost, paid_at))
    if charge.source == "api":
        yield from (("own_attempt", message) for message in (clicks or [None]))
        return
    for message in clicks:
        if message is not None:
            yield "click", message
    if clicks and None not in clicks:
        return
    if charge.source == "automatic":
        yield "stripe_retry", None
        if not charge.foreseen:
            yield from _messages(play, ghost, paid_at)
        return
    if charge.source == "customer" and (charge.foreseen or _stripe_has_just_tried(play, charge)):
        yield "stripe_retry", None
    yield from _messages(play, ghost, paid_at)


def _clicks(play: "Play", ghost: str, paid_at: datetime) -> Iterator[str | None]:
    """The message of the last click that counts; those of later ones that may not have been stored; None for none."""
    for click in reversed(play.ledger.clicks):
        if click.ghost_id == ghost and -SECOND <= paid_at - click.at <= A_CLICK_COUNTS:
            yield click.message_id
            if click.sure:
                return
    yield None


def _messages(play: "Play", ghost: str, paid_at: datetime) -> Iterator[Credit]:
    """The last message that counts; before it those of which PHANTOM may have known nothing, or that they came back."""
    rows = play.place.owner.execute(
        "select id, state, intent_at, sent_at from messages where ghost_id = %s order by intent_at desc", (ghost,)
    ).fetchall()
    accepted = {mail.message_id: mail.at for mail in play.ledger.mails}
    for name, state, begun, settled in rows:
        went = accepted.get(name)
        if begun is None or begun > paid_at or (went is None and state != "uncertain"):
            continue
        if paid_at - (settled or begun) > A_MESSAGE_COUNTS:
            break
        yield "message", name
        if (
            went is not None
            and went <= paid_at
            and settled is not None
            and settled <= paid_at
            and state not in NEVER_READ
        ):
            return
    yield "organic", None


def foreseen(play: "Play", invoice: str, at: datetime) -> bool:
    """Whether PHANTOM knows of the retry that Stripe makes at this moment, after a decline after which it makes one."""
    row = play.place.owner.execute(
        "select next_payment_attempt, decline_code from ghost_targets where invoice_id = %s", (invoice,)
    ).fetchone()
    if row is None or row[0] is None or row[1] in NOT_RETRIED:
        return False
    return bool(timedelta() <= at - row[0] < STRIPES_ROUND)


def _stripe_has_just_tried(play: "Play", charge: Charge) -> bool:
    """Whether a retry of Stripe's fell due in the two hours before, so that this looks as if it were that one."""
    tried = [one for one in play.ledger.charges if one.invoice == charge.invoice and one.source == "automatic"]
    return any(timedelta() <= charge.at - one.at <= STRIPES_ROUND for one in tried[1:])
