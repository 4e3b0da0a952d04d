"""What happens when a customer opens a link: nothing that counts until a person confirms, then the right place.

A mail scanner's GET or HEAD only reads. The places at Stripe are made at the click, because both hosted invoice
pages and portal sessions are short-lived.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session

from core import clock, ids
from core.errors import GoneError
from models.ghost import UNPAID_STATES, GhostState, GhostTarget, Strategy
from models.messaging import Click
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeCallError
from services.messaging import repository as messages
from services.messaging.links import Link, LinkNotFoundError
from services.recovery import neighbours, repository
from services.recovery.lifecycle import Trigger
from services.recovery.work import Work, merchant_context


class Place(StrEnum):
    """Where a click leads."""

    HOSTED_INVOICE = "hosted_invoice"
    PORTAL = "portal"


class LinkClosedError(GoneError):
    code, title = "link_closed", "This payment is no longer open"


@dataclass(frozen=True, slots=True)
class Landing:
    """What the page behind a link shows before anything is recorded; amounts in minor units."""

    merchant_name: str
    amount: int
    currency: str
    paid: bool
    open: bool
    wants_card: bool


@dataclass(frozen=True, slots=True)
class ConfirmedClick:
    """A recorded click and where it leads."""

    click_id: str
    place: Place
    invoice_id: str
    customer_id: str | None


def landing(session: Session, link: Link) -> Landing:
    """What a link's page shows. Reads only; raises `LinkNotFoundError` when the ghost is gone."""
    ghost = _ghost(session, link)
    merchant = merchant_context(session, link.merchant_id)
    return Landing(
        merchant_name=merchant.name,
        amount=ghost.amount_cents,
        currency=ghost.currency,
        paid=ghost.state == GhostState.RECOVERED,
        open=ghost.state in UNPAID_STATES - {GhostState.LOST},
        wants_card=place_for(ghost) is Place.PORTAL,
    )


def place_for(ghost: GhostTarget) -> Place:
    """A new card goes through the Customer Portal, everything else is paid on the hosted invoice."""
    portal = ghost.strategy == Strategy.CARD_REFRESH and ghost.customer_id is not None
    return Place.PORTAL if portal else Place.HOSTED_INVOICE


def confirm(session: Session, link: Link) -> ConfirmedClick:
    """Record a person's click. Raises `LinkClosedError` when there is nothing to pay any more."""
    now = clock.now()
    needed = neighbours.of_ghosts(session, link.merchant_id, [link.ghost_id])
    work = Work.begin(session, merchant_context(session, link.merchant_id), now, needed)
    ghost = _ghost(session, link, lock=True)
    if ghost.state not in UNPAID_STATES - {GhostState.LOST}:
        raise LinkClosedError("It was paid already." if ghost.state == GhostState.RECOVERED else None)
    click = Click(
        merchant_id=link.merchant_id,
        id=ids.new_id("clk"),
        ghost_id=ghost.id,
        message_id=link.message_id,
        confirmed_at=now,
    )
    messages.add_click(session, click)
    if ghost.click_count == 0:
        work.changes.day(ghost.found_on, ghost.currency, cohort_clicked_count=1)
    work.changes.day(now.date(), ghost.currency, clicks_count=1)
    ghost.click_count, ghost.last_clicked_at = ghost.click_count + 1, now
    ghost.clicked_at = ghost.clicked_at or now
    ghost.last_action, ghost.last_action_at = "customer opened the link", now
    work.move(ghost, Trigger.CLICKED, "The customer followed the link.", message_id=link.message_id)
    work.finish()
    return ConfirmedClick(click.id, place_for(ghost), ghost.invoice_id, ghost.customer_id)


def address_of(stripe: ScopedStripe, click: ConfirmedClick, return_url: str) -> str | None:
    """The address at Stripe for a click, made now; None when the invoice turns out to be paid or gone.

    A portal that the merchant never configured falls back to the hosted invoice, where a card can be entered too.
    Raises the client's typed errors when Stripe is away.
    """
    invoice = stripe.retrieve_invoice(click.invoice_id)
    if invoice.get("status") != "open":
        return None
    hosted = invoice.get("hosted_invoice_url")
    if click.place is Place.PORTAL and click.customer_id:
        try:
            return stripe.create_portal_session(
                click.customer_id,
                return_url=return_url,
                idempotency_key=f"portal:{click.click_id}",
                flow="payment_method_update",
            )
        except StripeCallError:
            if not hosted:
                raise
    return str(hosted) if hosted else None


def _ghost(session: Session, link: Link, *, lock: bool = False) -> GhostTarget:
    ghost = repository.get_ghost(session, link.merchant_id, link.ghost_id, lock=lock)
    if ghost is None:
        raise LinkNotFoundError
    return ghost
