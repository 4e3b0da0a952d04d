"""What one sweep of a hunt lists is kept until another's invoices are joined with it: no request a ghost."""

from dataclasses import replace

from sqlmodel import Session

from services.hunter import repository, sweeps
from services.hunter.pages import Page
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import UnreadableInvoiceError, parse_invoice, subscription_of
from services.integrations.stripe.reading import identifier


def keep(session: Session, merchant_id: str, hunt_id: str, page: Page) -> None:
    """Keep of a page what later sweeps of this hunt are joined with."""
    rows = []
    for item in page.items:
        kept = sweeps.spool_row(page.sweep, item)
        if kept is None:
            continue
        key, facts = kept
        if "subscription" in facts:
            facts = {"subscription": sweeps.trim_subscription(facts["subscription"])}
        rows.append({"merchant_id": merchant_id, "hunt_id": hunt_id, "object_id": key, "facts": facts})
    repository.add_to_spool(session, rows)


def join(
    session: Session, merchant_id: str, hunt_id: str, page: Page, odd: list[UnreadableInvoiceError]
) -> list[InvoiceFacts]:
    """A page's invoices with the payments and subscriptions that were kept; `odd` gets what cannot be read."""
    wanted = [found for item in page.items for found in (identifier(item), identifier(subscription_of(item))) if found]
    spool = repository.read_spool(session, merchant_id, hunt_id, wanted)
    readable = []
    for item in page.items:
        payment = spool.get(identifier(item) or "", {}).get("payment")
        subscription = spool.get(identifier(subscription_of(item)) or "", {}).get("subscription")
        try:
            facts = parse_invoice(item, payments=[payment] if payment else None, subscription=subscription)
            readable.append(replace(facts, read_at=page.read_at))
        except UnreadableInvoiceError as error:
            odd.append(error)
    return readable
