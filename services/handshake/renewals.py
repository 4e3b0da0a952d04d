"""Events about charges that have not failed yet: coming invoices, cards that end, are taken away or renewed.

As everywhere an event is a hint, and the subscription, read fresh, decides. Only what is at risk already is worth a
request, but for the three events by which Stripe says that something may be: a coming invoice, a card that expires, a
card that was taken away.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core import clock, db
from models.ghost import FoundVia
from services.handshake import looking
from services.handshake.schemas import IncomingEvent
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.parsing import subscription_of
from services.integrations.stripe.reading import identifier, mapping, money
from services.integrations.stripe.renewals import RENEWAL_EXPAND, RenewalFacts, parse_renewal
from services.recovery.protection import impending, impending_repository
from services.recovery.work import merchant_context

_OF_ONE_CUSTOMER = {"limit": 100, "expand": [f"data.{path}" for path in RENEWAL_EXPAND]}
_NEAR = timedelta(days=1)
_GIVEN = timedelta(days=1)


def upcoming(event: IncomingEvent) -> str:
    """Stripe tells of an invoice some days before it is made. What it will be is not to be had anywhere else."""
    subscription_id = identifier(subscription_of(event.object))
    if subscription_id is None:
        return "no_id"
    renewal = _read(looking.client_of(event.merchant_id), subscription_id)
    amount = money(event.object.get("amount_due"))
    # An old event tells of a charge that was: its amount is not that of the next one.
    if amount is not None and renewal.charge_at - event.created > -_NEAR:
        renewal = replace(renewal, announced=max(amount, 0))
    return _watch(event.merchant_id, [renewal])


def card_may_fail(event: IncomingEvent) -> str:
    """A card ends this month, or was taken from its customer: look at whatever is charged to them."""
    customer_id = identifier(event.object.get("customer")) or identifier(event.previous_attributes.get("customer"))
    if customer_id is None:
        return "no_id"
    client = looking.client_of(event.merchant_id)
    listed = client.raw_get("/v1/subscriptions", {"customer": customer_id, **_OF_ONE_CUSTOMER})
    return _watch_each(event.merchant_id, [functools.partial(parse_renewal, each) for each in listed["data"]])


def look_again(event: IncomingEvent) -> str:
    """Something changed about a customer, a card or a subscription: is what was at risk still so? Else no request."""
    subscription_ids = _at_risk(event)
    if not subscription_ids:
        return "no_ghost"
    client = looking.client_of(event.merchant_id)
    _prefer_new_card(event, client)
    return _watch_each(event.merchant_id, [functools.partial(_read, client, each) for each in subscription_ids])


def _prefer_new_card(event: IncomingEvent, client: ScopedStripe) -> None:
    """Put a card that a customer gave after a message about a coming charge where Stripe looks for it first.

    The portal makes it the customer's default, and a subscription with a card of its own would still be charged from
    that one. Only for who followed the message's link within the last day: any other new card may be meant for
    anything.
    """
    customer_id, method_id = _given(event)
    if customer_id is None or method_id is None:
        return
    with db.tenant_session(event.merchant_id) as session:
        since = clock.now() - _GIVEN
        asked = impending_repository.followed_of_customer(session, event.merchant_id, customer_id, since)
    for subscription_id in asked:
        _prefer(client, subscription_id, method_id, event.id)


def _given(event: IncomingEvent) -> tuple[str | None, str | None]:
    """Customer and card, where one was saved or made the default."""
    if event.type == "payment_method.attached":
        return identifier(event.object.get("customer")), identifier(event.object)
    if event.type == "customer.updated":
        chosen = mapping(event.object.get("invoice_settings")).get("default_payment_method")
        return identifier(event.object), identifier(chosen)
    return None, None


def _prefer(client: ScopedStripe, subscription_id: str, method_id: str, event_id: str) -> None:
    """Safe to repeat. A late event names a card that is the customer's default no longer: then nothing is changed.

    The same card may be chosen, left and chosen again within a day: each event has a key of its own, else Stripe would
    only say once more that it had been done.
    """
    found = client.retrieve_subscription(subscription_id, ("customer",))
    own = identifier(found.get("default_payment_method"))
    settings = mapping(mapping(found.get("customer")).get("invoice_settings"))
    if own in (None, method_id) or identifier(settings.get("default_payment_method")) != method_id:
        return
    client.set_subscription_default_payment_method(
        subscription_id, method_id, idempotency_key=f"prefer:{event_id}:{subscription_id}:{method_id}"
    )


def _at_risk(event: IncomingEvent) -> list[str]:
    object_id = identifier(event.object)
    customer_id = identifier(event.object.get("customer"))
    with db.tenant_session(event.merchant_id) as session:
        if event.type.startswith("customer.subscription."):
            return sorted(impending_repository.watched(session, event.merchant_id, [object_id])) if object_id else []
        if event.type.startswith("customer."):
            customer_id = object_id
        return impending_repository.watched_of_customer(session, event.merchant_id, customer_id) if customer_id else []


def _read(client: ScopedStripe, subscription_id: str) -> RenewalFacts:
    found: dict[str, Any] = client.retrieve_subscription(subscription_id, RENEWAL_EXPAND)
    return parse_renewal(found)


def _watch_each(merchant_id: str, readings: Sequence[Callable[[], RenewalFacts]]) -> str:
    """Watch a customer's subscriptions. One that cannot be read, or is gone, is told at the end and hides no other."""
    odd = looking.Oddity()
    renewals = [seen for read in readings if (seen := odd.read(read)) is not None]
    outcome = _watch(merchant_id, renewals)
    odd.tell()
    return outcome


def _watch(merchant_id: str, renewals: Sequence[RenewalFacts]) -> str:
    with db.tenant_session(merchant_id) as session:
        merchant = merchant_context(session, merchant_id)
        seen = impending.watch(session, merchant, renewals, FoundVia.WEBHOOK, clock.now())
    if seen.found:
        return "risk_found"
    return "risk_changed" if seen.updated else "unchanged"
