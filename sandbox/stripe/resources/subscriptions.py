"""Subscriptions and their items."""

from typing import Any

from sandbox.stripe import billing, forms, lookups, standing
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.resources.invoices import card_error
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json
from sandbox.stripe.subscribing import Plan, items_from, reprice, start

STATUSES = ("active", "past_due", "unpaid", "canceled", "incomplete", "incomplete_expired", "trialing", "paused")


@route("POST", "/v1/subscriptions")
def create(call: Call) -> Any:
    params = call.params
    customer = call.parameter("customer", "customer")
    method = call.optional("payment_method", "default_payment_method")
    trial_end = params.get("trial_end")
    plan = Plan(
        customer=customer,
        items=items_from(call, forms.required(params, "items")),
        default_payment_method=method["id"] if method else None,
        metadata=forms.metadata({}, params),
        trial_days=forms.integer(params, "trial_period_days"),
        trial_end=None if trial_end in (None, "", "now") else forms.integer(params, "trial_end"),
        billing_cycle_anchor=forms.integer(params, "billing_cycle_anchor"),
        cancel_at=forms.integer(params, "cancel_at"),
        cancel_at_period_end=forms.boolean(params, "cancel_at_period_end"),
        collection_method=params.get("collection_method") or "charge_automatically",
        days_until_due=forms.integer(params, "days_until_due"),
        description=params.get("description") or None,
        backdate=forms.integer(params, "backdate_start_date"),
        payment_behavior=params.get("payment_behavior") or "allow_incomplete",
        missing_payment_method=((params.get("trial_settings") or {}).get("end_behavior") or {}).get(
            "missing_payment_method", "create_invoice"
        ),
    )
    subscription = start(call.world, call.space, plan)
    if plan.payment_behavior == "error_if_incomplete" and subscription["status"] == "incomplete":
        invoice = call.space.table("invoice").objects[subscription["latest_invoice"]]
        billing.expire_incomplete(call.world, call.space, subscription)
        raise card_error(lookups.intent_of(call.space, invoice) or {})
    return subscription


@route("GET", "/v1/subscriptions/{id}")
def retrieve(call: Call) -> Any:
    return call.object("subscription")


@route("GET", "/v1/subscriptions")
def list_subscriptions(call: Call) -> Any:
    params = call.params
    status = params.get("status")
    if status and status not in (*STATUSES, "all", "ended"):
        raise invalid(f"Invalid status: must be one of {', '.join(STATUSES)}, all, or ended", param="status")
    filters = {"customer": params.get("customer"), "status": status if status in STATUSES else None}
    filters["collection_method"] = params.get("collection_method")
    ends = forms.bounds(params, "current_period_end")
    price = params.get("price")

    def accept(subscription: Json) -> bool:
        over = subscription["status"] in standing.OVER
        if (status == "ended" and not over) or (status is None and subscription["status"] == "canceled"):
            return False
        if not _within(billing.period_of(subscription)[1], ends):
            return False
        return not price or any(item["price"]["id"] == price for item in subscription["items"]["data"])

    return call.page("subscription", "/v1/subscriptions", filters, accept)


def _within(moment: int, bounds: tuple[int | None, int | None]) -> bool:
    low, high = bounds
    return (low is None or moment >= low) and (high is None or moment <= high)


@route("POST", "/v1/subscriptions/{id}")
def update(call: Call) -> Any:
    subscription, params, world, space = call.object("subscription"), call.params, call.world, call.space
    if subscription["status"] in standing.OVER:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    given: Json = {"metadata": forms.metadata(subscription["metadata"], params)}
    if "default_payment_method" in params:
        method = call.optional("payment_method", "default_payment_method")
        given["default_payment_method"] = method["id"] if method else None
    if "cancel_at_period_end" in params:
        ends = forms.boolean(params, "cancel_at_period_end")
        given |= {"cancel_at_period_end": ends, "canceled_at": world.now() if ends else None}
        given["cancel_at"] = billing.period_of(subscription)[1] if ends else None
        reason = "cancellation_requested" if ends else None
        given["cancellation_details"] = {"comment": None, "feedback": None, "reason": reason}
    if "cancel_at" in params:
        given["cancel_at"] = forms.integer(params, "cancel_at")
    if "pause_collection" in params:
        pause = params["pause_collection"]
        given["pause_collection"] = (
            {"behavior": forms.required(pause, "behavior"), "resumes_at": forms.integer(pause, "resumes_at")}
            if pause
            else None
        )
    for name in ("description", "collection_method"):
        if name in params:
            given[name] = params[name] or None
    if "days_until_due" in params:
        given["days_until_due"] = forms.integer(params, "days_until_due")
    previous = change(subscription, **given)
    previous |= reprice(call, subscription)
    space.save("subscription", subscription)
    billing.plan_next(world, space, subscription)
    emit(world, space, "customer.subscription.updated", subscription, previous)
    return subscription


@route("DELETE", "/v1/subscriptions/{id}")
def cancel(call: Call) -> Any:
    subscription = call.object("subscription")
    if subscription["status"] in standing.OVER:
        raise invalid(f"No such subscription: '{subscription['id']}'", code="resource_missing", param="id")
    details = call.params.get("cancellation_details") or {}
    standing.cancel(
        call.world,
        call.space,
        subscription,
        reason="cancellation_requested",
        comment=details.get("comment"),
        feedback=details.get("feedback"),
    )
    return subscription


@route("POST", "/v1/subscriptions/{id}/resume")
def resume(call: Call) -> Any:
    subscription = call.object("subscription")
    if subscription["status"] != "paused":
        raise invalid("You can only resume subscriptions that are paused.")
    previous = change(subscription, status="active")
    call.space.save("subscription", subscription)
    billing.plan_next(call.world, call.space, subscription)
    emit(call.world, call.space, "customer.subscription.resumed", subscription)
    emit(call.world, call.space, "customer.subscription.updated", subscription, previous)
    return subscription


@route("GET", "/v1/subscription_items")
def list_items(call: Call) -> Any:
    subscription = call.parameter("subscription", "subscription")
    return subscription["items"] | {"url": f"/v1/subscription_items?subscription={subscription['id']}"}
