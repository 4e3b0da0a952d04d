"""Where a click leads, and its address at Stripe.

It is made at the click, because both hosted invoice pages and portal sessions are short-lived.
"""

from dataclasses import dataclass
from enum import StrEnum

from core import ids
from models.ghost import GhostState, GhostTarget, Strategy
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeCallError, StripeNotFoundError
from services.recovery.strategy import DeclineGroup

_DEAD_CARD = frozenset({DeclineGroup.CARD_DATA, DeclineGroup.LOST_STOLEN_FRAUD})


class Place(StrEnum):
    """Where a click leads."""

    HOSTED_INVOICE = "hosted_invoice"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class ConfirmedClick:
    """A recorded click and where it leads; a charge that has not failed has no open invoice yet."""

    click_id: str
    place: Place
    invoice_id: str
    customer_id: str | None
    is_charged: bool = True


def place_for(ghost: GhostTarget) -> Place:
    """A new card goes through the Customer Portal, everything else is paid on the hosted invoice."""
    # Above the merchant's line the words still ask for another card where this one is dead: paid once with another on
    # the hosted page, the next renewal would fail again.
    is_dead = ghost.strategy == Strategy.HIGH_VALUE_MANUAL and ghost.decline_group in _DEAD_CARD
    wants_card = is_dead or ghost.strategy == Strategy.CARD_REFRESH or ghost.state == GhostState.IMPENDING
    return Place.PORTAL if wants_card and ghost.customer_id is not None else Place.HOSTED_INVOICE


def address_of(stripe: ScopedStripe, click: ConfirmedClick, return_url: str) -> str | None:
    """The address at Stripe for a click, made now; None when the invoice turns out to be paid or gone.

    Empty where Stripe has no page for it. A portal that the merchant never configured falls back to the hosted invoice,
    where a card can be entered too. Raises the client's typed errors when Stripe is away.
    """
    hosted = _hosted_invoice(stripe, click.invoice_id) if click.is_charged else None
    if click.is_charged and hosted is None:
        return None
    if click.place is Place.PORTAL and click.customer_id:
        try:
            return stripe.create_portal_session(
                click.customer_id,
                return_url=return_url,
                # One a press, never one a click: the answer kept under an older key names a session that has expired.
                idempotency_key=f"portal:{click.click_id}:{ids.new_id('try')}",
                flow="payment_method_update",
            )
        except StripeCallError:
            if not hosted:
                raise
    return hosted or ""


def _hosted_invoice(stripe: ScopedStripe, invoice_id: str) -> str | None:
    """The page of an open invoice (empty where Stripe has made none); None when it is open no longer, or deleted."""
    try:
        invoice = stripe.retrieve_invoice(invoice_id)
    except StripeNotFoundError:
        return None
    return str(invoice.get("hosted_invoice_url") or "") if invoice.get("status") == "open" else None
