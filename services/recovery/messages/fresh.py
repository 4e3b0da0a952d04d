"""The fresh look right before each message: what is read at Stripe, and what it says against sending.

A message about a failed invoice depends on the invoice. One before a charge that has not failed depends on the
subscription: that it still renews, when, for how much, and from which card. There is no invoice yet to be read.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from models.ghost import FoundVia, GhostState, GhostTarget, Strategy
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.invoices import read_invoice
from services.integrations.stripe.renewals import RENEWAL_EXPAND, RenewalFacts, parse_renewal
from services.messaging.schedule import PROTECTION_STEP
from services.recovery import repository
from services.recovery.classify import Verdict, classify
from services.recovery.lifecycle import Trigger, can
from services.recovery.observe import observe
from services.recovery.protection import impending
from services.recovery.protection.risk import Outlook, assess
from services.recovery.work import MerchantContext

Seen = InvoiceFacts | RenewalFacts


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message depends on: an invoice, or the subscription of a charge that has not failed."""

    invoice_id: str = ""
    subscription_id: str = ""


def subject_of(session: Session, merchant_id: str, ghost_id: str, step: int) -> Subject | None:
    """What to read before this message; None when the ghost is gone or the message cannot follow any more."""
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        return None
    if step == PROTECTION_STEP:
        waits = ghost.state == GhostState.IMPENDING and ghost.subscription_id
        return Subject(subscription_id=ghost.subscription_id or "") if waits else None
    gets_a_note = ghost.state == GhostState.STOPPED and ghost.strategy == Strategy.STOPPED
    may_follow = gets_a_note or can(GhostState(ghost.state), Trigger.MESSAGE_SENT)
    return Subject(invoice_id=ghost.invoice_id) if may_follow else None


def look(stripe: ScopedStripe, subject: Subject) -> Seen:
    """As it is now. Raises the client's typed errors, and `UnreadableInvoiceError`."""
    if subject.subscription_id:
        return parse_renewal(stripe.retrieve_subscription(subject.subscription_id, RENEWAL_EXPAND))
    return read_invoice(stripe, subject.invoice_id)


def take(session: Session, merchant: MerchantContext, seen: Seen, now: datetime) -> None:
    """Bring the ghost up to date with what was seen, as a webhook about it would."""
    if isinstance(seen, RenewalFacts):
        impending.watch(session, merchant, [seen], FoundVia.WEBHOOK, now)
    else:
        observe(session, merchant, [seen], FoundVia.WEBHOOK, now)


def against(seen: Seen, merchant: MerchantContext, ghost: GhostTarget, now: datetime) -> str:
    """Why what was seen does not let the message go now; empty when it does."""
    if isinstance(seen, RenewalFacts):
        coming = assess(impending.as_announced(ghost, seen), merchant.policy, now)
        return "" if coming.outlook is Outlook.AT_RISK else coming.reason.rstrip(".").lower()
    verdict = classify(seen, merchant.policy)
    return "" if verdict.verdict is Verdict.GHOST else verdict.reason.rstrip(".").lower()
