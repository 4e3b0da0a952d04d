"""After a new card has paid: the subscription's next charge is made to it too, and nobody else's.

Stripe charges a subscription's own default first, then the customer's, which may pay for other subscriptions as well.
So nothing is moved before the invoice is paid, and then only the one of the two that this subscription is charged from.
"""

from models.money import AttemptState
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.reading import Plain, identifier, mapping
from services.recovery.charging.paying import Charge, Outcome

_OVER = ("canceled", "incomplete_expired")  # nothing is charged any more, and Stripe lets nothing be changed


def follow(stripe: ScopedStripe, planned: Charge, outcome: Outcome) -> None:
    """Put a card that has paid in the place of the one that was declined. No transaction is open meanwhile.

    A default that was never declined for this ghost somebody has chosen: it stays. Safe to repeat after a crash: under
    the attempt's own key Stripe changes nothing a second time. Raises the client's typed errors.
    """
    paid = outcome.state is AttemptState.SUCCEEDED and outcome.invoice.status == "paid"
    stands_there = planned.is_retry and not planned.declined_cards
    if not paid or stands_there or planned.subscription_id is None:
        return
    subscription = stripe.retrieve_subscription(planned.subscription_id)
    if subscription.get("status") in _OVER:
        return
    if own := _default(subscription):
        if own in planned.declined_cards:
            stripe.set_subscription_default_payment_method(
                planned.subscription_id, planned.payment_method_id, idempotency_key=_key(planned, "subscription")
            )
    elif customer_id := identifier(subscription.get("customer")):
        customer = stripe.retrieve_customer(customer_id)
        usual = _default({**customer, **mapping(customer.get("invoice_settings"))})
        if usual is None or usual in planned.declined_cards:
            stripe.set_customer_default_payment_method(
                customer_id, planned.payment_method_id, idempotency_key=_key(planned, "customer")
            )


def _default(owner: Plain) -> str | None:
    """A card of Stripe's former API is still charged where no payment method stands before it."""
    return identifier(owner.get("default_payment_method")) or identifier(owner.get("default_source"))


def _key(planned: Charge, where: str) -> str:
    return f"{planned.idempotency_key}:{where}"
