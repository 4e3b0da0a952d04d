"""One module per family of Stripe resources; importing this package registers all their routes."""

from sandbox.stripe.resources import (
    accounts,
    catalog,
    customers,
    events,
    invoiceitems,
    invoices,
    oauth,
    payment_intents,
    payment_methods,
    portal,
    reversals,
    setup_intents,
    subscriptions,
    usage,
    webhook_endpoints,
)

__all__ = [
    "accounts",
    "catalog",
    "customers",
    "events",
    "invoiceitems",
    "invoices",
    "oauth",
    "payment_intents",
    "payment_methods",
    "portal",
    "reversals",
    "setup_intents",
    "subscriptions",
    "usage",
    "webhook_endpoints",
]
