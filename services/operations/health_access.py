"""What Stripe lets PHANTOM do for a merchant, and what is not done without it. Pure."""

from collections.abc import Iterator

from models.merchant import CredentialMode
from services.integrations.stripe.access import KEY_REFUSED, Capability
from services.integrations.stripe.errors import StripePortalError
from services.operations.health_facts import HealthFacts, Refusal
from services.operations.health_schemas import Finding, Place, Severity

READ_ONLY = "read_only"

# What is missed, and the name of the permission as Stripe's dashboard writes it.
_DENIED: dict[Capability, tuple[str, str, str]] = {
    Capability.READ_INVOICES: (
        "PHANTOM may not read invoices",
        "No failed payment is found and nobody is written to: before each message the invoice is read.",
        "Invoices: Read",
    ),
    Capability.READ_SUBSCRIPTIONS: (
        "PHANTOM may not read subscriptions",
        "Whether a customer still has access cannot be seen, so ghosts are missed.",
        "Subscriptions: Read",
    ),
    Capability.READ_CUSTOMERS: (
        "PHANTOM may not read customers and their cards",
        "Names, addresses and new cards are not seen, so customers cannot be written to.",
        "Customers: Read, and PaymentMethods: Read",
    ),
    Capability.READ_PAYMENTS: (
        "PHANTOM may not read payments",
        "Why the bank declined is not seen, so every customer gets the general message.",
        "PaymentIntents: Read",
    ),
    Capability.READ_CHARGES: (
        "PHANTOM may not read charges and refunds",
        "A refund whose webhook is lost is not noticed, and stays counted as recovered.",
        "Charges and Refunds: Read",
    ),
    Capability.READ_DISPUTES: (
        "PHANTOM may not read disputes",
        "A lost dispute whose webhook is lost is not noticed, and stays counted as recovered.",
        "Disputes: Read",
    ),
    Capability.PAY: (
        "PHANTOM may not charge invoices",
        "After a new card the open invoice stays unpaid until Stripe tries again by itself, if it does.",
        "Invoices: Write",
    ),
    Capability.SET_CARD: (
        "PHANTOM may not change a customer's card",
        "A new card is not put where Stripe charges first, so the old one may be charged again.",
        "Customers: Write, and Subscriptions: Write",
    ),
    Capability.PORTAL: (
        "PHANTOM may not open the Customer Portal",
        "Customers with a dead card are sent to the invoice instead of the page for a new card.",
        "Customer portal: Write",
    ),
    Capability.OTHER: (
        "Stripe refuses something PHANTOM asks for",
        "A part of recovery does not work; the live log says which.",
        "everything that PHANTOM asks for",
    ),
}
_STOPS_EVERYTHING = frozenset({Capability.READ_INVOICES, Capability.READ_SUBSCRIPTIONS})

_PORTAL: dict[str, tuple[str, str, str]] = {
    StripePortalError.NOT_CONFIGURED: (
        "The Customer Portal is not set up",
        "Customers with a dead card are sent to the invoice: there they can pay, and the next charge may fail again.",
        "Open the portal's settings in Stripe and save them once; it may stay as it is.",
    ),
    StripePortalError.NO_CARD_UPDATE: (
        "The Customer Portal does not offer a new card",
        "Customers with a dead card are sent to the invoice: there they can pay, and the next charge may fail again.",
        "In the portal's settings in Stripe, let customers update their payment methods.",
    ),
    StripePortalError.REFUSED: (
        "Stripe does not open the Customer Portal",
        "Customers with a dead card are sent to the invoice: there they can pay, and the next charge may fail again.",
        "Look through the portal's settings in Stripe and save them.",
    ),
}


def not_connected() -> Finding:
    """Without an account there is nothing else to look at."""
    return Finding(
        "not_connected",
        Severity.ATTENTION,
        "No Stripe account is connected",
        "Nothing is found and nobody is written to.",
        "Connect the account whose payments PHANTOM is to look after.",
        Place.SETTINGS,
    )


def of_credential(facts: HealthFacts) -> Iterator[Finding]:
    """The credential itself: refused, taken back, or good for reading alone."""
    ours = facts.account.mode is CredentialMode.PLATFORM  # then the key is the operator's, for all merchants
    if ours and any(each.code == KEY_REFUSED for each in facts.refusals):
        yield Finding(
            "key_refused",
            Severity.PROBLEM,
            "Stripe does not accept PHANTOM's own key",
            "Nothing is found, nothing is charged and nobody is written to.",
            "Whoever runs this PHANTOM has to set a STRIPE_SECRET_KEY that works; your connection is good.",
            Place.NOWHERE,
        )
    elif is_locked_out(facts):
        yield Finding(
            "access_lost",
            Severity.PROBLEM,
            "Stripe no longer lets PHANTOM in",
            "Nothing is found, nothing is charged and nobody is written to until the account is connected again.",
            "Connect the account again; what was missed meanwhile is then caught up.",
            Place.SETTINGS,
        )
    elif facts.account.scope == READ_ONLY:
        yield Finding(
            "read_only",
            Severity.PROBLEM,
            "PHANTOM may read, and do nothing else",
            "It cannot charge after a new card, change a card or open the Customer Portal.",
            "Connect the account again and grant read and write access.",
            Place.SETTINGS,
        )


def is_locked_out(facts: HealthFacts) -> bool:
    """Whether Stripe refuses the credential; then every other refusal and failed hunt has this one cause."""
    return any(each.capability is Capability.ACCOUNT for each in facts.refusals)


def of_permissions(facts: HealthFacts) -> Iterator[Finding]:
    """Single permissions that are missing, and a portal that is not as it should be."""
    if is_locked_out(facts):
        return
    for each in facts.refusals:
        if each.capability is Capability.PORTAL and each.code in _PORTAL:
            yield _portal(each)
        elif not (facts.account.scope == READ_ONLY and each.capability in _WRITES):
            yield _denied(each, own_key=facts.account.mode is CredentialMode.RESTRICTED_KEY)


_WRITES = frozenset({Capability.PAY, Capability.SET_CARD, Capability.PORTAL})


def _denied(refusal: Refusal, *, own_key: bool) -> Finding:
    title, meaning, permission = _DENIED[refusal.capability]
    do = "Give PHANTOM's key in Stripe" if own_key else "Connect the account again, which gives"
    return Finding(
        f"denied_{refusal.capability.value}",
        Severity.PROBLEM if refusal.capability in _STOPS_EVERYTHING else Severity.ATTENTION,
        title,
        meaning,
        f"{do} this permission: {permission}. This goes away by itself with the first request that works.",
        Place.STRIPE_KEYS if own_key else Place.SETTINGS,
    )


def _portal(refusal: Refusal) -> Finding:
    title, meaning, remedy = _PORTAL[refusal.code]
    return Finding(f"portal_{refusal.code}", Severity.ATTENTION, title, meaning, remedy, Place.STRIPE_PORTAL)
