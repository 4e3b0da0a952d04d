"""A customer who wants no more messages: honoured at once, and shown on every ghost of theirs."""

from datetime import datetime

from sqlmodel import Session

from core import clock
from models.ghost import OPEN_STATES, GhostTarget
from models.messaging import Channel
from services.analytics import shards
from services.audit import service as audit
from services.messaging import links, suppression
from services.messaging import repository as messages
from services.messaging.links import Link
from services.recovery import neighbours, repository
from services.recovery.protection import impending_repository
from services.recovery.work import Work, merchant_context

STOPPED = "stopped"


def unsubscribe(session: Session, link: Link) -> bool:
    """Write no more mail to whom a link went, for this merchant (RFC 8058). False when there was nothing to suppress.

    The person asked, so it holds for their next address as well as for the one that the message went to.
    """
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
    if ghost.customer_id:
        new.append(links.suppress_customer(session, link.merchant_id, ghost.customer_id, "unsubscribed"))
    if not any(new):
        return False
    for each in all_of_customer(session, ghost):
        work.plan(each)
        work.event(each, "unsubscribed", "The customer asked for no more messages.")
    work.finish()
    audit.log_event(session, link.merchant_id, "messaging.unsubscribed", "A customer asked for no more messages.")
    return True


def stop_texts(session: Session, merchant_id: str, number: str, at: datetime) -> bool:
    """The person at `number` (E.164) answered STOP `at`: no more texts from this merchant. False if it was so.

    Stripe may know one person as several customers: it holds for all who were texted there. After other work in the
    same transaction `hold_texted` has to come first.
    """
    customers = messages.customers_texted(session, merchant_id, number)
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), shards.of_customers(customers))
    if not suppression.stop(session, merchant_id, number, STOPPED, at):
        return False
    for customer_id in customers:
        for each in _of_customer(session, merchant_id, customer_id):
            work.plan(each)
            work.event(each, "unsubscribed", "The customer answered STOP: no more text messages.")
    work.finish()
    audit.log_event(session, merchant_id, "messaging.stopped", "A customer answered STOP to a text message.")
    return True


def hold_texted(session: Session, merchant_id: str, message_id: str, number: str) -> None:
    """Take what a message and `stop_texts` need together, before either: the shards of all who were texted there.

    Raises `GhostMovedError` where the transaction holds others already.
    """
    texted = shards.of_customers(messages.customers_texted(session, merchant_id, number))
    needed = texted | neighbours.of_message(session, merchant_id, message_id)
    Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)


def start_texts(session: Session, merchant_id: str, number: str, at: datetime) -> bool:
    """The person at `number` answered START `at`: a STOP from before is lifted, and nothing else. False without one.

    It is no consent: whoever never agreed is still not written to. What stands open of those who were texted there is
    planned anew, because nothing else would look at a ghost whose customer was silent before its time is over.
    """
    customers = messages.customers_texted(session, merchant_id, number)
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), shards.of_customers(customers))
    if not suppression.lift(session, merchant_id, Channel.SMS, number, STOPPED, at):
        return False
    for customer_id in customers:
        for ghost in repository.list_unpaid_of_customer(session, merchant_id, customer_id):
            if ghost.state in OPEN_STATES:
                work.plan(ghost)
                work.event(ghost, "texts_resumed", "The customer answered START: text messages may go again.")
    work.finish()
    audit.log_event(session, merchant_id, "messaging.started", "A customer answered START: text messages may go again.")
    return True


def all_of_customer(session: Session, ghost: GhostTarget) -> list[GhostTarget]:
    """This ghost, and all others of its customer of which something might be said: unpaid ones, and coming ones."""
    others = _of_customer(session, ghost.merchant_id, ghost.customer_id) if ghost.customer_id else []
    return list({each.id: each for each in (ghost, *others)}.values())


def _of_customer(session: Session, merchant_id: str, customer_id: str) -> list[GhostTarget]:
    unpaid = repository.list_unpaid_of_customer(session, merchant_id, customer_id)
    coming = impending_repository.list_of_customer(session, merchant_id, customer_id)
    return list({each.id: each for each in (*unpaid, *coming)}.values())
