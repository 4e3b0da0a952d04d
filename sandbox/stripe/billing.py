"""The life of a subscription: first invoice, renewals, dunning's end, cancellation."""

from typing import TYPE_CHECKING

from sandbox.stripe import drafts, invoicing, standing
from sandbox.stripe.events import change, emit
from sandbox.stripe.periods import next_end
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.clockwork import Handler
    from sandbox.stripe.world import World

DAY = 86_400
INCOMPLETE_SECONDS = 23 * 3600
NOTICE_SECONDS = 3 * DAY  # before a trial ends


def period_of(subscription: Json) -> tuple[int, int]:
    """The current period of the subscription's (first) item."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def set_period(subscription: Json, start: int, end: int) -> None:
    """All items follow one period."""
    for item in subscription["items"]["data"]:
        item.update(current_period_start=start, current_period_end=end)


def plan_next(world: "World", space: Space, subscription: Json) -> None:
    """Put the subscription's next renewal, notices and planned end on the clock."""
    clockwork, identifier = world.clockwork, subscription["id"]
    clockwork.cancel(space, identifier)
    if subscription["status"] in standing.OVER or subscription["status"] == "paused":
        return
    now, (_, end) = world.now(), period_of(subscription)
    clockwork.schedule(space, "subscription", identifier, "renew", end)
    if subscription["cancel_at"]:
        clockwork.schedule(space, "subscription", identifier, "cancel", subscription["cancel_at"])
    upcoming = end - int(world.rule(space, "upcoming_days") * DAY)
    if upcoming > now and not subscription["cancel_at_period_end"]:
        clockwork.schedule(space, "subscription", identifier, "upcoming", upcoming)
    if subscription["status"] == "trialing" and end - NOTICE_SECONDS > now:
        clockwork.schedule(space, "subscription", identifier, "trial_will_end", end - NOTICE_SECONDS)
    if subscription["status"] == "incomplete":
        clockwork.schedule(space, "subscription", identifier, "expire", subscription["created"] + INCOMPLETE_SECONDS)


def bill(
    world: "World",
    space: Space,
    subscription: Json,
    reason: str,
    *,
    lines: list[Json] | None = None,
    free: bool = False,
    auto_advance: bool = True,
) -> Json:
    """A draft invoice for the subscription's current period (or for the given lines)."""
    period = period_of(subscription)
    made = lines or [
        drafts.item_line(world, space, item, period, amount=0 if free else None)
        for item in subscription["items"]["data"]
    ]
    customer = space.table("customer").objects[subscription["customer"]]
    days = subscription["days_until_due"]
    invoice = drafts.new_invoice(
        world,
        space,
        customer,
        currency=subscription["currency"],
        billing_reason=reason,
        subscription=subscription,
        lines=made,
        # A renewal's invoice period is the one that just ended; its lines are for the one that begins.
        period=(world.now(), world.now()),
        auto_advance=auto_advance,
        collection_method=subscription["collection_method"],
        due_date=world.now() + days * DAY if days is not None else None,
    )
    for item in space.table("invoiceitem").where("customer", customer["id"]):
        if item["invoice"] is None and item["currency"] == invoice["currency"]:
            attach_item(world, space, invoice, item)
    space.save("invoice", invoice)
    subscription["latest_invoice"] = invoice["id"]
    emit(world, space, "invoice.created", invoice)
    return invoice


def attach_item(world: "World", space: Space, invoice: Json, item: Json) -> None:
    """Move a pending invoice item onto a draft."""
    item["invoice"] = invoice["id"]
    space.save("invoiceitem", item)
    line = drafts.extra_line(world, space, item)
    line["invoice"] = invoice["id"]
    invoice["lines"]["data"].append(line)
    drafts.recount(invoice)


# -- what the clock calls -------------------------------------------------------------------------------------------


def renew(world: "World", space: Space, subscription: Json) -> None:
    """A period ended: cancel if that was planned, else begin the next one and bill it."""
    if subscription["status"] in standing.OVER:
        return
    if subscription["cancel_at_period_end"]:
        standing.cancel(world, space, subscription, reason="cancellation_requested")
        return
    if subscription["status"] == "trialing" and trial_without_card(world, space, subscription):
        return
    before = [dict(item) for item in subscription["items"]["data"]]
    _, end = period_of(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    anchor = subscription["billing_cycle_anchor"]
    set_period(subscription, end, next_end(anchor, end, recurring["interval"], recurring["interval_count"]))
    previous: Json = {"items": dict(subscription["items"], data=before)}
    if subscription["status"] == "trialing":
        previous |= change(subscription, status="active")
    paused = subscription["pause_collection"]
    unpaid = subscription["status"] == "unpaid"
    former = subscription["latest_invoice"]
    invoice = bill(world, space, subscription, "subscription_cycle", auto_advance=not (paused or unpaid))
    previous["latest_invoice"] = former
    space.save("subscription", subscription)
    plan_next(world, space, subscription)
    emit(world, space, "customer.subscription.updated", subscription, previous)
    if paused and paused["behavior"] != "keep_as_draft":
        invoicing.finalize(world, space, invoice)
        end_invoice = invoicing.void if paused["behavior"] == "void" else invoicing.mark_uncollectible
        if invoice["status"] == "open":
            end_invoice(world, space, invoice)
    elif invoice["auto_advance"]:
        draft_until(world, space, invoice)


def trial_without_card(world: "World", space: Space, subscription: Json) -> bool:
    """A trial ends and there is nothing to charge: pause or cancel where the subscription says so."""
    rule = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    customer = space.table("customer").objects[subscription["customer"]]
    method = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if method or customer["default_source"] or rule == "create_invoice":
        return False
    if rule == "cancel":
        standing.cancel(world, space, subscription, reason="cancellation_requested")
        return True
    previous = change(subscription, status="paused")
    world.clockwork.cancel(space, subscription["id"])
    space.save("subscription", subscription)
    emit(world, space, "customer.subscription.paused", subscription)
    emit(world, space, "customer.subscription.updated", subscription, previous)
    return True


def draft_until(world: "World", space: Space, invoice: Json) -> None:
    """Leave the draft open for edits for a while, then finalise it."""
    moment = world.now() + int(world.rule(space, "draft_seconds"))
    invoice.update(automatically_finalizes_at=moment, next_payment_attempt=moment)
    world.clockwork.schedule(space, "invoice", invoice["id"], "finalize", moment)
    space.save("invoice", invoice)


def finalize_due(world: "World", space: Space, invoice: Json) -> None:
    """The draft's hour is over: open it and try to collect."""
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    invoicing.finalize(world, space, invoice)
    collect(world, space, invoice)


def collect(world: "World", space: Space, invoice: Json, source: str = "automatic") -> None:
    """First attempt of an open invoice, or sending it where customers pay by themselves."""
    if invoice["status"] != "open":
        return
    if invoice["collection_method"] == "send_invoice":
        emit(world, space, "invoice.sent", invoice)
        if invoice["due_date"]:
            world.clockwork.schedule(space, "invoice", invoice["id"], "overdue", invoice["due_date"])
        return
    invoicing.attempt(world, space, invoice, source=source)


def attempt_due(world: "World", space: Space, invoice: Json) -> None:
    """An automatic retry is due."""
    if invoice["status"] == "open" and invoice["auto_advance"]:
        invoicing.attempt(world, space, invoice)


def overdue(world: "World", space: Space, invoice: Json) -> None:
    """A sent invoice was not paid in time."""
    if invoice["status"] == "open":
        emit(world, space, "invoice.overdue", invoice)
        standing.after_failure(world, space, invoice, last=False)


def upcoming(world: "World", space: Space, subscription: Json) -> None:
    """Announce the next invoice; Stripe's preview has no id of a stored invoice."""
    _, end = period_of(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    period = (
        end,
        next_end(subscription["billing_cycle_anchor"], end, recurring["interval"], recurring["interval_count"]),
    )
    preview = drafts.new_invoice(
        world,
        space,
        space.table("customer").objects[subscription["customer"]],
        currency=subscription["currency"],
        billing_reason="upcoming",
        subscription=subscription,
        lines=[drafts.item_line(world, space, item, period) for item in subscription["items"]["data"]],
        period=period_of(subscription),
    )
    preview["id"] = f"upcoming_{preview['id']}"
    preview["next_payment_attempt"] = end + int(world.rule(space, "draft_seconds"))
    emit(world, space, "invoice.upcoming", preview)


def trial_will_end(world: "World", space: Space, subscription: Json) -> None:
    """Three days before a trial ends."""
    emit(world, space, "customer.subscription.trial_will_end", subscription)


def planned_cancel(world: "World", space: Space, subscription: Json) -> None:
    """`cancel_at` has come."""
    if subscription["status"] not in standing.OVER:
        standing.cancel(world, space, subscription, reason="cancellation_requested")


def expire_incomplete(world: "World", space: Space, subscription: Json) -> None:
    """The first payment never came: the subscription never began."""
    if subscription["status"] != "incomplete":
        return
    previous = change(subscription, status="incomplete_expired", ended_at=world.now())
    world.clockwork.cancel(space, subscription["id"])
    space.save("subscription", subscription)
    emit(world, space, "customer.subscription.updated", subscription, previous)
    invoice = space.get("invoice", subscription["latest_invoice"])
    if invoice and invoice["status"] == "open":
        invoicing.void(world, space, invoice)


def card_expiring(world: "World", space: Space, method: Json) -> None:
    """The month in which a saved card expires has begun."""
    if method["customer"]:
        emit(world, space, "customer.source.expiring", method)


HANDLERS: dict[str, "Handler"] = {
    "renew": renew,
    "cancel": planned_cancel,
    "upcoming": upcoming,
    "trial_will_end": trial_will_end,
    "expire": expire_incomplete,
    "finalize": finalize_due,
    "attempt": attempt_due,
    "overdue": overdue,
    "expiring": card_expiring,
}
