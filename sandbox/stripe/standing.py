"""What the fate of a payment does to the subscription and the customer behind it."""

from typing import TYPE_CHECKING

from sandbox.stripe.events import change, emit
from sandbox.stripe.lookups import subscription_of
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

OVER = ("canceled", "incomplete_expired")


def after_failure(world: "World", space: Space, invoice: Json, *, last: bool) -> bool:
    """An attempt failed; after the last one the account's rule ends the dunning. True when it has ended."""
    customer = space.get("customer", invoice["customer"])
    if customer and not customer.get("deleted") and customer["delinquent"] is False:
        emit_customer = change(customer, delinquent=True)
        space.save("customer", customer)
        emit(world, space, "customer.updated", customer, emit_customer)
    subscription = subscription_of(space, invoice)
    if subscription is None or subscription["status"] in (*OVER, "incomplete"):
        return False
    if invoice["billing_reason"] == "subscription_create":
        return False
    action = world.rule(space, "after_last") if last and invoice["auto_advance"] else None
    if action == "cancel":
        cancel(world, space, subscription, reason="payment_failed")
    elif subscription["status"] in ("active", "past_due", "trialing"):
        status = "unpaid" if action == "unpaid" else "past_due"
        previous = change(subscription, status=status)
        space.save("subscription", subscription)
        emit(world, space, "customer.subscription.updated", subscription, previous)
    return action is not None


def after_settled(world: "World", space: Space, invoice: Json) -> None:
    """An invoice was paid, voided or written off: the subscription and the customer may be fine again."""
    subscription = subscription_of(space, invoice)
    if subscription and subscription["latest_invoice"] == invoice["id"]:
        _revive(world, space, subscription, paid=invoice["status"] == "paid")
    customer = space.get("customer", invoice["customer"])
    if customer and customer.get("delinquent") and not _owes(space, customer["id"]):
        previous = change(customer, delinquent=False)
        space.save("customer", customer)
        emit(world, space, "customer.updated", customer, previous)


def _revive(world: "World", space: Space, subscription: Json, *, paid: bool) -> None:
    revived = subscription["status"] in ("past_due", "unpaid") or (subscription["status"] == "incomplete" and paid)
    if not revived:
        return
    previous = change(subscription, status="active")
    world.clockwork.cancel(space, subscription["id"], "expire")
    space.save("subscription", subscription)
    emit(world, space, "customer.subscription.updated", subscription, previous)


def _owes(space: Space, customer: str) -> bool:
    invoices = space.table("invoice").where("customer", customer)
    return any(invoice["status"] == "open" and invoice["attempted"] for invoice in invoices)


def cancel(
    world: "World",
    space: Space,
    subscription: Json,
    *,
    reason: str,
    comment: str | None = None,
    feedback: str | None = None,
) -> None:
    """End the subscription now. Its open invoices stay open but are no longer collected automatically."""
    now = world.now()
    change(subscription, status="canceled", ended_at=now)
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["cancellation_details"] = {"comment": comment, "feedback": feedback, "reason": reason}
    world.clockwork.cancel(space, subscription["id"])
    space.save("subscription", subscription)
    for invoice in space.table("invoice").where("subscription", subscription["id"]):
        if invoice["status"] in ("draft", "open"):
            world.clockwork.cancel(space, invoice["id"])
            previous = change(invoice, auto_advance=False, next_payment_attempt=None)
            space.save("invoice", invoice)
            emit(world, space, "invoice.updated", invoice, previous)
    emit(world, space, "customer.subscription.deleted", subscription)
