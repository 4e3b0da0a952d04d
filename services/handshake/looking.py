"""What handlers of webhooks share: a merchant's client, what an invoice read fresh changes, and a word about it."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlmodel import Session

from core import clock, db
from models.ghost import FoundVia
from services.audit import service as audit
from services.handshake.schemas import IncomingEvent
from services.hunter.billing import record_billed
from services.integrations.stripe.client import ScopedStripe, client_for
from services.integrations.stripe.errors import StripeNotFoundError
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.recovery import neighbours
from services.recovery.observe import observe
from services.recovery.work import merchant_context

Given = ParamSpec("Given")
Seen = TypeVar("Seen")


class Oddity:
    """What was odd about one of several things an event is about: it hides none of the others, and is told at the end.

    Odd is what cannot be read, or is gone. An event has one outcome, so one of them is told: rather what cannot be
    read, which somebody has to look at, than what is gone, which needs nobody.
    """

    def __init__(self) -> None:
        self._told: UnreadableInvoiceError | StripeNotFoundError | None = None

    def read(self, how: Callable[Given, Seen], *given: Given.args, **named: Given.kwargs) -> Seen | None:
        """What `how` reads; None where that is odd. Raises whatever else it raises."""
        try:
            return how(*given, **named)
        except (UnreadableInvoiceError, StripeNotFoundError) as error:
            if self._told is None or isinstance(error, UnreadableInvoiceError):
                self._told = error
            return None

    def tell(self) -> None:
        """Once the others are done. Raises `UnreadableInvoiceError` or `StripeNotFoundError`, where one was odd."""
        if self._told is not None:
            raise self._told


def client_of(merchant_id: str) -> ScopedStripe:
    """Raises `MerchantNotConnectedError`."""
    with db.tenant_session(merchant_id) as session:
        return client_for(session, merchant_id)


def observe_one(session: Session, merchant_id: str, facts: InvoiceFacts) -> str:
    """Bring the ghost of an invoice up to date, in the caller's transaction; the outcome in one word."""
    now = clock.now()
    neighbours.take(session, merchant_id, [facts])
    record_billed(session, merchant_id, [facts], now.date())
    seen = observe(session, merchant_context(session, merchant_id), [facts], FoundVia.WEBHOOK, now)
    if seen.found:
        return "ghost_found"
    return "ghost_updated" if seen.updated else "unchanged"


def note(event: IncomingEvent, name: str, message: str) -> None:
    """Tell the merchant's log of an event that somebody should look at."""
    with db.tenant_session(event.merchant_id) as session:
        audit.log_event(session, event.merchant_id, name, message, level="warning", facts={"event_id": event.id})
