"""One invoice read at Stripe by its id."""

from collections.abc import Sequence
from dataclasses import replace

from core import clock
from services.integrations.stripe.client import Plain, ScopedStripe
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import INVOICE_EXPAND, parse_invoice


def read_invoice(client: ScopedStripe, invoice_id: str) -> InvoiceFacts:
    """An invoice as it is now. Raises the client's errors, and `UnreadableInvoiceError`."""
    return invoice_and_facts(client, invoice_id, INVOICE_EXPAND)[1]


def invoice_and_facts(client: ScopedStripe, invoice_id: str, expand: Sequence[str]) -> tuple[Plain, InvoiceFacts]:
    """What `read_invoice` gives, beside the object it was read from.

    The facts tell when Stripe was asked, and that is before it answered: what came in while it did is newer, and is not
    taken back.
    """
    asked_at = clock.now()
    invoice = client.retrieve_invoice(invoice_id, expand)
    return invoice, replace(parse_invoice(invoice), read_at=asked_at)
