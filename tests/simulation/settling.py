"""What is settled without a charge: the merchant marks it as paid outside Stripe, or issues a credit note."""

import functools
from typing import TYPE_CHECKING

from core import clock
from sandbox.stripe import invoicing, lookups
from sandbox.stripe.events import change, emit
from sandbox.stripe.store import Json
from tests.simulation.ledger import Outside

if TYPE_CHECKING:
    from tests.simulation.play import Play

SHARE = 0.5  # of the seeds
WAYS = ("outside", "outside", "credit", "credit", "part outside", "part credited")


def plan(play: "Play") -> None:
    """In some seeds up to three invoices, at any moment."""
    chance = play.streams("settling")
    if chance.random() >= SHARE:
        return
    for _ in range(chance.choice((1, 2, 3))):
        at = chance.uniform(play.scenario.begins, play.ends)
        play.plan(at, "staff: settle", functools.partial(settle, play, chance.choice(WAYS)))


def settle(play: "Play", way: str) -> None:
    """One that is open, and of which nothing was settled so before."""
    chance, known = play.streams("settling"), {one.invoice for one in play.ledger.outside}
    found = [each for one in play.scenario.customers for each in play.shop.open_invoices(one)]
    found = [each for each in found if each["id"] not in known and _can_be_settled(play, each)]
    if not found:
        return
    invoice = chance.choice(found)
    part = invoice["amount_remaining"] // chance.choice((2, 3, 4)) if way.startswith("part") else 0
    brings, amount = "outside" in way, part or invoice["amount_remaining"]
    play.ledger.trace.say(f"{way} of {invoice['id']}: {amount}")
    play.ledger.came_of_it[f"settled, {way}"] += 1
    left = invoice["amount_remaining"] - amount
    done = Outside(clock.now(), invoice["id"], invoice["customer"], amount if brings else 0, left)
    play.ledger.outside.append(done)
    with play.world.transaction():
        if brings:
            _paid_outside(play, invoice, amount)
        else:
            _credited(play, invoice, amount)


def _can_be_settled(play: "Play", invoice: Json) -> bool:
    intent = lookups.intent_of(play.space, invoice)
    return intent is not None and intent["status"] not in ("processing", "succeeded", "canceled")


def _paid_outside(play: "Play", invoice: Json, amount: int) -> None:
    """All that is open, or a part. In the version that PHANTOM asks for, all of it is among what was paid."""
    if amount < invoice["amount_remaining"]:
        left = invoice["amount_remaining"] - amount
        _still_open(play, invoice, change(
            invoice, amount_paid=amount, amount_paid_off_stripe=amount, amount_remaining=left,
        ))  # fmt: skip
        return
    invoicing.mark_paid(play.world, play.space, invoice, amount=invoice["amount_due"], out_of_band=True)


def _credited(play: "Play", invoice: Json, amount: int) -> None:
    """Less is due by the note; where nothing is, the invoice is paid, with nothing."""
    previous = change(
        invoice,
        amount_due=invoice["amount_due"] - amount,
        amount_remaining=invoice["amount_remaining"] - amount,
        pre_payment_credit_notes_amount=amount,
    )
    if invoice["amount_remaining"]:
        _still_open(play, invoice, previous)
    else:
        invoicing.mark_paid(play.world, play.space, invoice, amount=0, previous=previous, out_of_band=True)


def _still_open(play: "Play", invoice: Json, previous: Json) -> None:
    """Whoever pays it from now on pays what is left."""
    space, intent = play.space, lookups.intent_of(play.space, invoice)
    assert intent is not None
    change(intent, amount=invoice["amount_remaining"])
    space.save("payment_intent", intent)
    space.save("invoice", invoice)
    emit(play.world, space, "invoice.updated", invoice, previous)
