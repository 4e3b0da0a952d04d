"""A customer who wants no more messages: honoured at once, and shown on every ghost of theirs."""

from sqlmodel import Session

from core import clock
from models.messaging import Channel
from services.audit import service as audit
from services.messaging import links, suppression
from services.messaging import repository as messages
from services.messaging.links import Link
from services.recovery import neighbours, repository
from services.recovery.work import Work, merchant_context

STOPPED = "stopped"


def unsubscribe(session: Session, link: Link) -> bool:
    """Suppress the address behind a link for this merchant (RFC 8058). False when there was nothing to suppress."""
    needed = neighbours.of_ghosts(session, link.merchant_id, [link.ghost_id])
    work = Work.begin(session, merchant_context(session, link.merchant_id), clock.now(), needed)
    ghost = repository.get_ghost(session, link.merchant_id, link.ghost_id)
    if ghost is None:
        return False
    message = messages.get_message(session, link.merchant_id, link.message_id)
    # The address the message went to is the one that opts out; the customer may have another by now.
    addresses = {address for address in (ghost.customer_email, message and message.recipient) if address}
    # In order: an address may belong to customers of two shards, and who adds one waits for who is adding it.
    new = [
        links.suppress(session, link.merchant_id, Channel.EMAIL, address, "unsubscribed")
        for address in sorted(addresses)
    ]
    if not any(new):
        return False
    same = repository.list_unpaid_of_customer(session, link.merchant_id, ghost.customer_id or "")
    for each in same or [ghost]:
        work.plan(each)
        work.event(each, "unsubscribed", "The customer asked for no more messages by email.")
    work.finish()
    audit.log_event(session, link.merchant_id, "messaging.unsubscribed", "A customer asked for no more messages.")
    return True


def stop_texts(session: Session, merchant_id: str, number: str) -> bool:
    """The person at `number` (E.164) answered STOP: no more texts from this merchant. False if it was so."""
    written = messages.latest_text_to(session, merchant_id, number)
    ghost_id = written.ghost_id if written else ""
    needed = neighbours.of_ghosts(session, merchant_id, [ghost_id] if ghost_id else [])
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)
    if not links.suppress(session, merchant_id, Channel.SMS, number, STOPPED):
        return False
    ghost = repository.get_ghost(session, merchant_id, ghost_id) if ghost_id else None
    if ghost is not None:
        same = repository.list_unpaid_of_customer(session, merchant_id, ghost.customer_id or "")
        for each in same or [ghost]:
            work.plan(each)
            work.event(each, "unsubscribed", "The customer answered STOP: no more text messages.")
    work.finish()
    audit.log_event(session, merchant_id, "messaging.stopped", "A customer answered STOP to a text message.")
    return True


def start_texts(session: Session, merchant_id: str, number: str) -> bool:
    """The person at `number` answered START: a former STOP is lifted, and nothing else. False where there was none.

    It is no consent: whoever never agreed is still not written to.
    """
    if not suppression.lift(session, merchant_id, Channel.SMS, number, STOPPED):
        return False
    audit.log_event(session, merchant_id, "messaging.started", "A customer answered START: text messages may go again.")
    return True
