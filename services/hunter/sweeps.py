"""What a hunt lists, in which order, and what of it is kept for the join. Pure: parameters in, rows out.

An invoice list cannot expand as deep as the PaymentIntent (five levels, Stripe allows four), so payments are
listed apart, kept in `hunt_spool`, and joined when the invoices come by: one request per 100 objects listed and
never one a ghost. What is kept is made of bounded texts and numbers alone: jsonb takes neither NUL nor NaN.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.hunter.schemas import HuntRequest, LookBack
from services.integrations.stripe.parsing import INVOICE_EXPAND
from services.integrations.stripe.reading import identifier, mapping, mappings, number, text
from services.integrations.stripe.renewals import RENEWAL_EXPAND
from services.recovery.protection.risk import HORIZON

PAGE = 100
BILLING_WINDOW = timedelta(days=30)
MISSING = "missing"
SINGLY_BATCH = 20  # single requests a transaction

Plain = dict[str, Any]
_WIDEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """One listing: its name, Stripe's path and the parameters besides paging."""

    name: str
    path: str
    params: Plain
    keeps: bool  # True: rows go to the spool; False: rows are invoices to be observed
    without: str = ""  # what is missed when the account's key may not list this; empty: then there is no hunt


RENEWING, TRIALING, OVERDUE = "renewing", "trialing", "overdue"
RENEWALS = frozenset({RENEWING, TRIALING, OVERDUE})
REFUNDS, DISPUTES = "refunds", "disputes"
RETURNS = frozenset({REFUNDS, DISPUTES})
SINGLY = frozenset({MISSING, OVERDUE})  # read by id, and which ids is known when it comes to it


def plan(request: HuntRequest, now: datetime, look_back: LookBack) -> tuple[Sweep, ...]:
    """The sweeps of a hunt in order: everything the invoices are joined with comes first.

    Money that went back comes last: by then each payment that nobody told of is recorded, so it can be taken back.
    """
    created = {}
    if request.since is not None:
        created["gte"] = int(request.since.timestamp())
    if request.until is not None:
        created["lt"] = int(request.until.timestamp())
    window: Plain = {"created": created} if created else {}
    expand = ["data.customer", "data.parent.subscription_details.subscription"]
    sweeps = [
        Sweep(
            "payments",
            "/v1/invoice_payments",
            {"status": "open", "expand": ["data.payment.payment_intent"], **window},
            True,
        ),
        Sweep("past_due", "/v1/subscriptions", {"status": "past_due"}, True),
        Sweep("unpaid", "/v1/subscriptions", {"status": "unpaid"}, True),
        Sweep("invoices", "/v1/invoices", {"status": "open", "expand": expand, **window}, False),
    ]
    if request.audit:
        sweeps.append(
            Sweep("uncollectible", "/v1/invoices", {"status": "uncollectible", "expand": expand, **window}, False)
        )
    elif not window:
        # A ghost whose invoice is open no longer, and nobody told us: the event was lost. It is read by its id.
        sweeps.append(Sweep(MISSING, "/v1/invoices", {"expand": list(INVOICE_EXPAND)}, False))
    if request.backfill_billing:
        since = {"created": {"gte": int((now - BILLING_WINDOW).timestamp())}}
        sweeps.append(Sweep("billed", "/v1/invoices", {"status": "paid", **since}, False))
    if not request.audit and not window:
        sweeps += _renewals(now)
        sweeps += _returns(look_back)
    return tuple(sweeps)


def _renewals(now: datetime) -> list[Sweep]:
    """Subscriptions whose next charge is near, with the cards it would be made from; then what nobody told the end of.

    What failed was listed before: by now a charge that is still thought to come did not fail.
    """
    soon = {"current_period_end": {"gte": int(now.timestamp()), "lte": int((now + HORIZON).timestamp())}}
    expand = {"expand": [f"data.{path}" for path in RENEWAL_EXPAND]}
    path, missed = "/v1/subscriptions", "Cards that expire before the next charge are not noticed"
    return [
        Sweep(RENEWING, path, {"status": "active", **soon, **expand}, False, missed),
        Sweep(TRIALING, path, {"status": "trialing", **soon, **expand}, False, missed),
        Sweep(OVERDUE, path, {"expand": list(RENEWAL_EXPAND)}, False, missed),
    ]


def _returns(look_back: LookBack) -> list[Sweep]:
    """Refunds and disputes, newest first. None of a kind while there is nothing that could have gone back."""
    found = []
    if look_back.refunds is not None:
        since = {"created": {"gte": int(look_back.refunds.timestamp())}, "expand": ["data.charge"]}
        found.append(Sweep(REFUNDS, "/v1/refunds", since, False, "Refunds whose webhook is lost are not noticed"))
    if look_back.disputes is not None:
        since = {"created": {"gte": int(look_back.disputes.timestamp())}, "expand": ["data.charge"]}
        found.append(Sweep(DISPUTES, "/v1/disputes", since, False, "Disputes whose webhook is lost are not noticed"))
    return found


def spool_row(sweep: Sweep, item: Any) -> tuple[str, Plain] | None:
    """What to keep of a listed object: (the id it is joined by, facts), or None when it cannot be joined."""
    listed = mapping(item)
    if sweep.name != "payments":
        found = identifier(listed)
        return (found, {"subscription": listed}) if found else None
    invoice_id = identifier(listed.get("invoice"))
    if not invoice_id:
        return None
    payment = listed.get("payment")
    kept = {
        "is_default": bool(listed.get("is_default")),
        "created": number(listed.get("created"), 0, _WIDEST) or 0,
        "payment": {"payment_intent": _trim_intent(payment.get("payment_intent"))} if isinstance(payment, dict) else {},
    }
    return invoice_id, {"payment": kept}


def _trim_intent(intent: Any) -> Any:
    """The fields forensics need; the rest (client secrets above all) must not rest in our database."""
    if not isinstance(intent, dict):
        return identifier(intent)
    error = intent.get("last_payment_error")
    kept: Plain = {"id": identifier(intent), "status": _scalar(intent.get("status"))}
    if isinstance(error, dict):
        kept["last_payment_error"] = _scalars(error, "code", "decline_code", "advice_code", "type") | {
            "charge": identifier(error.get("charge")),
            "payment_method": _trim_method(error.get("payment_method")),
        }
    kept["payment_method"] = _trim_method(intent.get("payment_method"))
    return kept


def _trim_method(method: Any) -> Any:
    if not isinstance(method, dict):
        return identifier(method)
    card = method.get("card")
    facts = _scalars(card, "brand", "funding", "country", "last4", "fingerprint") if isinstance(card, dict) else {}
    return {"id": identifier(method), "created": _scalar(method.get("created")), "card": facts}


def trim_subscription(subscription: Plain) -> Plain:
    """The fields `parse_invoice` reads of a subscription."""
    return {
        "id": identifier(subscription),
        "status": _scalar(subscription.get("status")),
        "default_payment_method": identifier(subscription.get("default_payment_method")),
        "cancellation_details": _trim_ending(mapping(subscription.get("cancellation_details"))),
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "cancel_at": _scalar(subscription.get("cancel_at")),
        "items": {"data": [_trim_item(item) for item in mappings(mapping(subscription.get("items")).get("data"))]},
    }


def _trim_ending(details: Plain) -> Plain:
    """That somebody left a comment, and not what it says: people write about themselves."""
    return {**_scalars(details, "reason", "feedback"), "comment": bool(details.get("comment"))}


def _trim_item(item: Plain) -> Plain:
    price = mapping(item.get("price"))
    recurring = _scalars(mapping(price.get("recurring")), "interval", "interval_count")
    return {**_scalars(item, "quantity"), "price": {**_scalars(price, "unit_amount"), "recurring": recurring}}


def _scalars(source: Plain, *names: str) -> Plain:
    return {name: _scalar(source.get(name)) for name in names}


def _scalar(value: Any) -> str | int | None:
    """A text or a number that jsonb can hold. What is neither becomes an empty text, which no reader takes for one."""
    if value is None:
        return None
    found = number(value, -_WIDEST, _WIDEST)
    return text(value) if found is None else found
