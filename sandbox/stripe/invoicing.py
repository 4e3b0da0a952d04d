"""Invoices: from draft through finalisation and attempts to paid, void or uncollectible."""

from typing import TYPE_CHECKING

from sandbox.stripe import charging, standing
from sandbox.stripe.cards import NOT_RETRIED, Outcome
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import change, emit
from sandbox.stripe.lookups import intent_of, method_for, payment_of, subscription_of
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

DAY = 86_400


# -- finalising -----------------------------------------------------------------------------------------------------


def finalize(world: "World", space: Space, invoice: Json) -> Json:
    """Draft to open: number, hosted page and PaymentIntent; an invoice of nothing is paid at once."""
    if invoice["status"] != "draft":
        raise StripeError(
            400,
            "invalid_request_error",
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    world.clockwork.cancel(space, invoice["id"], "finalize")
    now, customer = world.now(), space.get("customer", invoice["customer"])
    token = world.ids.token(32)
    invoice.update(
        status="open",
        number=_next_number(space, customer),
        effective_at=now,
        hosted_invoice_url=f"{world.settings.public_url}/i/{space.account}/{token}",
        invoice_pdf=f"{world.settings.public_url}/i/{space.account}/{token}/pdf",
        ending_balance=0,
        automatically_finalizes_at=None,
    )
    invoice["status_transitions"]["finalized_at"] = now
    space.private(invoice["id"])["token"] = token
    if customer:
        for name in ("email", "name", "phone", "address", "shipping", "tax_exempt"):
            invoice[f"customer_{name}"] = customer.get(name)
    space.save("invoice", invoice)
    if invoice["amount_due"] > 0:
        _prepare_payment(world, space, invoice)
    emit(world, space, "invoice.finalized", invoice)
    if invoice["amount_due"] <= 0:
        mark_paid(world, space, invoice, amount=0)
    return invoice


def _next_number(space: Space, customer: Json | None) -> str | None:
    if customer is None or customer.get("deleted"):
        return None
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = sequence + 1
    space.save("customer", customer)
    return f"{customer['invoice_prefix']}-{sequence:04d}"


def _prepare_payment(world: "World", space: Space, invoice: Json) -> None:
    reason = "Subscription update" if invoice["billing_reason"] == "subscription_cycle" else "Subscription creation"
    subscription = subscription_of(space, invoice)
    intent = charging.new_intent(
        world,
        space,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description=reason if subscription else f"Payment for Invoice {invoice['number']}",
    )
    payment: Json = {
        "id": world.ids.new("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": world.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": space.livemode,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    space.save("invoice_payment", payment)


# -- attempts -------------------------------------------------------------------------------------------------------


def attempt(
    world: "World",
    space: Space,
    invoice: Json,
    *,
    payment_method: Json | None = None,
    source: str = "automatic",
    authenticated: bool = False,
) -> Outcome | None:
    """Try to collect an open invoice once. Returns the outcome, or None when there was nothing to charge with.

    Only automatic attempts (and the first of any kind) count in `attempt_count`, as Stripe documents it.
    """
    first = not invoice["attempted"]
    method = payment_method or method_for(space, invoice)
    intent = intent_of(space, invoice)
    outcome: Outcome | None = None
    private = space.private(invoice["id"])
    refused = private.get("refused")  # [payment method, decline code] of the last hard decline
    executed = not (source == "automatic" and refused and method and refused[0] == method["id"])
    if method and intent and executed:
        outcome = charging.charge(
            world, space, intent, method, invoice=invoice, source=source, authenticated=authenticated
        )
        private["refused"] = [method["id"], outcome.decline_code] if outcome.decline_code in NOT_RETRIED else None
    previous = change(invoice, attempted=True)
    if first or source == "automatic":
        previous |= change(invoice, attempt_count=invoice["attempt_count"] + 1)
    if outcome and outcome.approved:
        mark_paid(world, space, invoice, amount=invoice["amount_due"], previous=previous)
        return outcome
    if outcome and outcome.processing:
        world.clockwork.cancel(space, invoice["id"], "attempt")
        previous |= change(invoice, next_payment_attempt=None)
        space.save("invoice", invoice)
        emit(world, space, "invoice.updated", invoice, previous)
        return outcome
    if first or source == "automatic":
        previous |= _schedule_next(world, space, invoice, method)
    space.save("invoice", invoice)
    if executed:
        if outcome and (outcome.requires_action or outcome.decline_code == "authentication_required"):
            emit(world, space, "invoice.payment_action_required", invoice)
        shown = dict(invoice, next_payment_attempt=None) if world.rule(space, "automations") else invoice
        emit(world, space, "invoice.payment_failed", shown)
    emit(world, space, "invoice.updated", invoice, previous)
    ended = standing.after_failure(world, space, invoice, last=invoice["next_payment_attempt"] is None)
    if ended and world.rule(space, "uncollectible_after_last") and invoice["status"] == "open":
        mark_uncollectible(world, space, invoice)
    return outcome


def settle_debit(world: "World", space: Space, invoice: Json, outcome: Outcome) -> None:
    """The bank's word of a debit that an invoice's PaymentIntent waits for. Its charge is made with it."""
    intent = intent_of(space, invoice)
    if intent is None or intent["status"] != "processing":
        raise ValueError(f"invoice {invoice['id']} waits for no bank")
    method = space.table("payment_method").objects[intent["payment_method"]]
    if outcome.approved:
        charging.approve(world, space, intent, method, invoice)
        mark_paid(world, space, invoice, amount=invoice["amount_due"])
        return
    charging.decline(world, space, intent, method, invoice, outcome)
    emit(world, space, "invoice.payment_failed", invoice)
    standing.after_failure(world, space, invoice, last=False)


def _schedule_next(world: "World", space: Space, invoice: Json, method: Json | None) -> Json:
    days = world.rule(space, "retry_days")
    made = invoice["attempt_count"] - 1
    one_attempt_only = method and (method.get("card") or {}).get("country") == "IN"
    retried = invoice["billing_reason"] != "subscription_create" and invoice["auto_advance"]
    if made >= len(days) or one_attempt_only or not retried:
        world.clockwork.cancel(space, invoice["id"], "attempt")
        return change(invoice, next_payment_attempt=None)
    moment = world.now() + int(days[made] * DAY)
    world.clockwork.schedule(space, "invoice", invoice["id"], "attempt", moment)
    return change(invoice, next_payment_attempt=moment)


# -- endings --------------------------------------------------------------------------------------------------------


def mark_paid(
    world: "World",
    space: Space,
    invoice: Json,
    *,
    amount: int,
    previous: Json | None = None,
    out_of_band: bool = False,
) -> None:
    """The invoice is settled, `amount` is what was paid of it: payment, subscription and customer follow.

    What was paid outside Stripe is among it since 2025-03-31 (`shapes` takes it off for older versions), and the
    invoice's own payment is cancelled then.
    """
    now = world.now()
    before = previous or {}
    before |= change(
        invoice,
        status="paid",
        amount_paid=amount,
        amount_paid_off_stripe=amount if out_of_band else 0,
        amount_remaining=0,
        attempted=True,
        next_payment_attempt=None,
    )
    invoice["status_transitions"]["paid_at"] = now
    world.clockwork.cancel(space, invoice["id"])
    payment, intent = payment_of(space, invoice), intent_of(space, invoice)
    if out_of_band and intent:
        charging.cancel_intent(world, space, intent, "void_invoice")
        intent = None
    space.save("invoice", invoice)
    emit(world, space, "invoice.updated", invoice, before)
    emit(world, space, "invoice.paid", invoice)
    emit(world, space, "invoice.payment_succeeded", invoice)
    if payment and intent:
        payment.update(status="paid", amount_paid=min(intent["amount"], amount))  # the rest may have come before
        payment["status_transitions"]["paid_at"] = now
        space.save("invoice_payment", payment)
        emit(world, space, "invoice_payment.paid", payment)
    elif payment:
        _cancel_payment(world, space, invoice)
    standing.after_settled(world, space, invoice)


def _cancel_payment(world: "World", space: Space, invoice: Json) -> None:
    payment, intent = payment_of(space, invoice), intent_of(space, invoice)
    if intent:
        charging.cancel_intent(world, space, intent, "void_invoice")
    if payment and payment["status"] == "open":
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = world.now()
        space.save("invoice_payment", payment)


def void(world: "World", space: Space, invoice: Json) -> None:
    """Open or uncollectible to void."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise _wrong_status(invoice, "void", "open or uncollectible")
    previous = change(invoice, status="void", next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = world.now()
    world.clockwork.cancel(space, invoice["id"])
    _cancel_payment(world, space, invoice)
    space.save("invoice", invoice)
    emit(world, space, "invoice.voided", invoice)
    emit(world, space, "invoice.updated", invoice, previous)
    standing.after_settled(world, space, invoice)


def mark_uncollectible(world: "World", space: Space, invoice: Json) -> None:
    """Open to uncollectible: written off, though it can still be paid."""
    if invoice["status"] != "open":
        raise _wrong_status(invoice, "mark as uncollectible", "open")
    previous = change(invoice, status="uncollectible", next_payment_attempt=None)
    invoice["status_transitions"]["marked_uncollectible_at"] = world.now()
    world.clockwork.cancel(space, invoice["id"])
    space.save("invoice", invoice)
    emit(world, space, "invoice.marked_uncollectible", invoice)
    emit(world, space, "invoice.updated", invoice, previous)
    standing.after_settled(world, space, invoice)


def _wrong_status(invoice: Json, what: str, needed: str) -> StripeError:
    return StripeError(
        400,
        "invalid_request_error",
        f"You can only {what} invoices that are {needed}; this one is {invoice['status']}.",
        code="invoice_not_editable",
    )
