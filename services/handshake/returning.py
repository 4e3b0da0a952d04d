"""A customer comes back from Stripe's page: remembered, and Stripe is asked whether their invoice is paid.

Three steps with no transaction open while Stripe is asked. The answer goes through the one upsert, so a payment is
recorded at once and the webhook, whenever it comes, finds nothing left to do.
"""

import logging
from datetime import datetime

from core import db, queue
from core.errors import ConfigurationError
from services.handshake import looking
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import StripeCallError
from services.integrations.stripe.invoices import read_invoice
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.transport import INTERACTIVE
from services.messaging.links import Link
from services.recovery.messages import clicks
from services.recovery.messages.clicks import Return
from services.vault.errors import VaultError

log = logging.getLogger(__name__)


def look(link: Link, now: datetime) -> Return:
    """Keep the return and bring the ghost up to date with what Stripe says now. `now` is aware UTC.

    Opens its own sessions. Where Stripe cannot be asked the page shows what was known. Raises `LinkNotFoundError` when
    the ghost is gone.
    """
    with db.tenant_session(link.merchant_id) as session:
        came = clicks.record_return(session, link, now)
    if came.is_new:  # who comes again is no news to open pages
        queue.announce_change(link.merchant_id)
    if came.invoice_id is not None:
        _look_again(link.merchant_id, came.invoice_id)
    return came


def remembered(link: Link, now: datetime) -> Return:
    """What is known of a return, with nothing kept and Stripe not asked. Raises `LinkNotFoundError`."""
    with db.tenant_session(link.merchant_id) as session:
        return clicks.known_return(session, link, now)


def _look_again(merchant_id: str, invoice_id: str) -> None:
    try:
        with db.tenant_session(merchant_id) as session:
            stripe = client_for(session, merchant_id, patience=INTERACTIVE)
        facts = read_invoice(stripe, invoice_id)
    except (
        StripeCallError,
        MerchantNotConnectedError,
        UnreadableInvoiceError,
        VaultError,
        ConfigurationError,
    ) as error:
        log.warning("links.cannot_look", extra={"facts": {"code": error.code}})
        return
    with db.tenant_session(merchant_id) as session:
        outcome = looking.observe_one(session, merchant_id, facts)
    if outcome != "unchanged":
        queue.announce_change(merchant_id)
        queue.announce_work()
