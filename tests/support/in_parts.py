"""Invoices of 49.00 that several payments paid: how a shop comes to one, and what goes back of them."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from core.clock import ManualClock
from jobs.hunt import hunt
from models.ghost import GhostState
from models.money import Recovery
from services.hunter.schemas import HuntRequest
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


def opened(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose Stripe retries nothing; at the end its sums agree, and its ledger with its ghosts."""
    shop = Shop.open(clock, monkeypatch)
    shop.actions.set_rules(shop.account, retry_days=[])
    yield shop
    assert_sums_agree(shop.merchant, billed=False)
    assert sum(row.amount_cents for row in shop.rows(Recovery)) == sum(one.recovered_cents for one in shop.ghosts)


def objects(shop: Shop, kind: str) -> dict[str, Any]:
    return shop.world.space(shop.account).table(kind).objects


def failed(shop: Shop, paid_before: int = 0) -> tuple[str, str]:
    """A ghost of an invoice of 49.00, of which a payment may have paid something before: the invoice, that charge."""
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.world.clockwork.advance_to(shop.world.now() + 31 * 86400 + 7200)
    invoice = shop.invoice(subscription)["id"]
    charge = pay_part(shop, invoice, paid_before, "early") if paid_before else ""
    shop.deliver()
    assert [ghost.found_cents for ghost in shop.ghosts] == [4900 - paid_before]
    return invoice, charge


def pay_part(shop: Shop, invoice_id: str, amount: int, name: str, charged: int = 0) -> str:
    """Another payment of what is open of an invoice, or of which that much was put to it; its charge."""
    space, now = shop.world.space(shop.account), shop.world.now()
    like = next(each for each in objects(shop, "charge").values() if each["paid"])
    intent = copy.deepcopy(objects(shop, "payment_intent")[like["payment_intent"]])
    intent |= {"id": f"pi_{name}", "amount": charged or amount, "created": now, "latest_charge": f"ch_{name}"}
    charge = copy.deepcopy(like) | {"id": f"ch_{name}", "payment_intent": intent["id"], "created": now}
    charge |= {"amount": charged or amount, "amount_captured": charged or amount, "amount_refunded": 0}
    put = copy.deepcopy(next(iter(objects(shop, "invoice_payment").values())))
    put |= {"id": f"inpay_{name}", "invoice": invoice_id, "is_default": False, "status": "paid", "amount_paid": amount}
    put |= {"payment": {"type": "payment_intent", "payment_intent": intent["id"]}, "created": now}
    put["status_transitions"] = {"canceled_at": None, "paid_at": now}
    for kind, made in (("payment_intent", intent), ("charge", charge), ("invoice_payment", put)):
        space.save(kind, made)
    invoice = objects(shop, "invoice")[invoice_id]
    owes(shop, invoice_id, invoice["amount_paid"] + amount)
    return str(charge["id"])


def owes(shop: Shop, invoice_id: str, paid: int) -> None:
    """So much is paid of an invoice, and its own payment is for what is left."""
    fields = {"amount_paid": paid, "amount_remaining": 4900 - paid}
    invoice = shop.actions.edit_object(shop.account, "invoice", invoice_id, fields)
    own = next(
        each
        for each in objects(shop, "invoice_payment").values()
        if each["invoice"] == invoice_id and each["is_default"]
    )
    shop.actions.edit_object(shop.account, "payment_intent", own["payment"]["payment_intent"], {"amount": 4900 - paid})
    shop.actions.send_event(shop.account, "invoice.updated", invoice)


def pay_the_rest(shop: Shop, invoice: str) -> str:
    """The charge that settles an invoice."""
    shop.pass_time(days=1)
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, invoice, card["id"])
    shop.deliver()
    assert shop.ghosts[0].state == GhostState.RECOVERED
    return str([each for each in objects(shop, "charge").values() if each["paid"]][-1]["id"])


def refund(shop: Shop, charge: str, amount: int | None = None, *, unheard: bool = False) -> None:
    shop.pass_time(days=1)
    shop.actions.refund(shop.account, charge, amount)
    if unheard:
        shop.take()
    shop.deliver()


def hunts(shop: Shop) -> None:
    for _ in range(2):
        shop.pass_time(hours=13)
        hunt(shop.merchant, HuntRequest())


def standing(shop: Shop) -> list[tuple[str, int]]:
    return [(ghost.state, ghost.recovered_cents) for ghost in shop.ghosts]


def undo_the_rest(shop: Shop, invoice_id: str, paid: int) -> None:
    """The bank takes back what settled an invoice, as it may with a debit: `paid` of it stay."""
    own = next(
        each
        for each in objects(shop, "invoice_payment").values()
        if each["invoice"] == invoice_id and each["is_default"]
    )
    own |= {"status": "open", "amount_paid": 0}
    intent = objects(shop, "payment_intent")[own["payment"]["payment_intent"]]
    intent |= {"status": "requires_payment_method"}
    objects(shop, "invoice")[invoice_id]["status_transitions"]["paid_at"] = None
    shop.actions.edit_object(shop.account, "invoice", invoice_id, {"status": "open", "attempted": True})
    owes(shop, invoice_id, paid)
    shop.pass_time(hours=1)
    assert (shop.ghosts[0].state, shop.ghosts[0].recovered_cents) == (GhostState.OPEN, 0)


def lose_dispute(shop: Shop, charge: str, amount: int | None = None, *, unheard: bool = False) -> None:
    """The customer wins a dispute over a payment, or over that much of it."""
    dispute = shop.actions.open_dispute(shop.account, charge)
    if amount is not None:
        shop.actions.edit_object(shop.account, "dispute", dispute["id"], {"amount": amount})
    shop.deliver()
    shop.pass_time(days=3)
    shop.actions.close_dispute(shop.account, dispute["id"], won=False)
    if unheard:
        shop.take()
    shop.deliver()
