"""What happens when a customer opens a link: nothing that counts until a person confirms, then the right place.

A mail scanner's GET or HEAD only reads.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from core import clock, ids
from core.errors import GoneError
from models.ghost import UNPAID_STATES, GhostState, GhostTarget, Strategy
from models.messaging import Click, ConfirmedBy, Message
from services.merchants import service as merchants
from services.messaging import repository as messages
from services.messaging.brands import brand_of
from services.messaging.languages import locale_of
from services.messaging.links import Link, LinkNotFoundError
from services.messaging.schedule import PROTECTION_STEP
from services.messaging.wording import Template
from services.recovery import neighbours, repository
from services.recovery.credit import entries, evidence_repository
from services.recovery.lifecycle import Trigger
from services.recovery.messages.destinations import ConfirmedClick, Place, place_for
from services.recovery.work import Work, merchant_context

SAME_PRESS = timedelta(seconds=10)
"""A second press within this time is the same person pressing again: one click."""
MOST_A_DAY = 10
"""Clicks of a message that are counted; who presses on is led on, and nothing is written any more that day."""


class Standing(StrEnum):
    """What a link's page is about now."""

    PAY = "pay"
    CARD = "card"
    PAID = "paid"
    SETTLED = "settled"  # by a credit note or the customer's balance: no money came in, and none is owed
    SAFE = "safe"  # the card of a charge to come is in order
    STOPPED = "stopped"  # the customer told their bank to stop, or cancelled: nothing is asked of them
    CLOSED = "closed"


class LinkClosedError(GoneError):
    code, title = "link_closed", "This payment is no longer open"


@dataclass(frozen=True, slots=True)
class Landing:
    """What the page behind a link shows before anything is recorded; `amount` in minor units, what was paid if paid."""

    merchant_name: str
    accent: str
    reply_to: str
    locale: str  # the one the customer is written to in
    amount: int
    currency: str
    standing: Standing
    paid_at: datetime | None

    @property
    def paid(self) -> bool:
        return self.standing is Standing.PAID

    @property
    def open(self) -> bool:
        """Whether there is something to do behind the link."""
        return self.standing in (Standing.PAY, Standing.CARD)


@dataclass(frozen=True, slots=True)
class Return:
    """A browser's way back from Stripe's page. `invoice_id`: whose payment to wait for, None where there is none."""

    invoice_id: str | None
    first_at: datetime  # since when that of the latest click has been coming
    is_new: bool


def landing(session: Session, link: Link) -> Landing:
    """What a link's page shows. Reads only; raises `LinkNotFoundError` when the ghost is gone."""
    ghost = _ghost(session, link)
    merchant = merchants.get_merchant(session, link.merchant_id)
    brand = brand_of(merchant.brand, merchant.name)
    standing = standing_of(ghost, by_note=_is_note(messages.get_message(session, link.merchant_id, link.message_id)))
    return Landing(
        merchant_name=brand.name,
        accent=brand.accent,
        reply_to=merchant.reply_to,
        locale=locale_of(ghost.customer_language, ghost.customer_country, brand.language),
        amount=entries.paid_amount(session, ghost) if standing is Standing.PAID else ghost.amount_cents,
        currency=ghost.currency,
        standing=standing,
        paid_at=ghost.closed_at if standing in (Standing.PAID, Standing.SETTLED) else None,
    )


def _is_note(message: Message | None) -> bool:
    return message is not None and message.template == Template.STOP


def standing_of(ghost: GhostTarget, *, by_note: bool = False) -> Standing:
    """What can be done about a ghost by who follows its link; the polite note's leads on, if it was an oversight."""
    if ghost.state == GhostState.RECOVERED:  # of which nothing is left only where nothing came in
        return Standing.PAID if ghost.recovered_cents else Standing.SETTLED
    if ghost.state == GhostState.PROTECTED:
        return Standing.SAFE
    if ghost.state == GhostState.STOPPED or (ghost.state in UNPAID_STATES and ghost.strategy == Strategy.STOPPED):
        return Standing.PAY if by_note and ghost.subscription_status != "canceled" else Standing.STOPPED
    if ghost.state not in UNPAID_STATES - {GhostState.LOST} | {GhostState.IMPENDING}:
        return Standing.CLOSED
    return Standing.CARD if place_for(ghost) is Place.PORTAL else Standing.PAY


def confirm(session: Session, link: Link, by: ConfirmedBy = ConfirmedBy.BUTTON) -> ConfirmedClick:
    """Record a person's click; a double press is one, and a day has so many.

    Raises `LinkClosedError` when there is nothing to do any more.
    """
    now = clock.now()
    work = _work(session, link, now)
    ghost = _ghost(session, link, lock=True)
    message = messages.get_message(session, link.merchant_id, link.message_id)
    standing = standing_of(ghost, by_note=_is_note(message))
    if standing not in (Standing.PAY, Standing.CARD):
        raise LinkClosedError("It was paid already." if standing is Standing.PAID else None)
    known = evidence_repository.click_of_message(session, link.merchant_id, ghost.id, link.message_id)
    if known is not None and _is_counted(session, known, now):
        return _confirmed(ghost, known.id)
    click = Click(
        merchant_id=link.merchant_id,
        id=ids.new_id("clk"),
        ghost_id=ghost.id,
        message_id=link.message_id,
        confirmed_at=now,
        confirmed_by=by,
    )
    messages.add_click(session, click)
    _count(work, ghost, click, of_failure=message is None or message.step != PROTECTION_STEP)
    work.finish()
    return _confirmed(ghost, click.id)


def _is_counted(session: Session, known: Click, now: datetime) -> bool:
    """Whether another press on this message's links adds nothing to what is known of them."""
    if timedelta() <= now - known.confirmed_at < SAME_PRESS:
        return True
    a_day = evidence_repository.clicks_since(session, known, now - timedelta(days=1))
    return a_day >= MOST_A_DAY


def _count(work: Work, ghost: GhostTarget, click: Click, *, of_failure: bool) -> None:
    """`of_failure`: what was clicked on was said after the charge failed, and not before it."""
    work.changes.day(work.now.date(), ghost.currency, clicks_count=1)
    ghost.click_count, ghost.last_clicked_at = ghost.click_count + 1, work.now
    if of_failure:
        ghost.clicked_at = ghost.clicked_at or work.now
    ghost.last_action, ghost.last_action_at = "customer opened the link", work.now
    said = "The customer followed the link."
    facts: dict[str, Any] = {"message_id": click.message_id, "by": click.confirmed_by}
    if not work.move(ghost, Trigger.CLICKED, said, **facts):
        work.event(ghost, Trigger.CLICKED.value, said, **facts)


def _confirmed(ghost: GhostTarget, click_id: str) -> ConfirmedClick:
    is_charged = ghost.state != GhostState.IMPENDING
    return ConfirmedClick(click_id, place_for(ghost), ghost.invoice_id, ghost.customer_id, is_charged)


def record_return(session: Session, link: Link, now: datetime) -> Return:
    """A browser that followed this link came back from Stripe's page: kept once a click, as evidence of whose merit
    the payment is.

    The caller knows by the attribution cookie that it is that browser. `now` is aware UTC; the caller commits.
    """
    work = _work(session, link, now)
    ghost = _ghost(session, link, lock=True)
    click = evidence_repository.click_of_message(session, link.merchant_id, ghost.id, link.message_id)
    is_new = click is not None and click.returned_at is None
    if click is not None and is_new:
        click.returned_at = now
        said = "The customer came back from Stripe's page."
        work.event(ghost, "customer_returned", said, message_id=link.message_id)
    work.finish()
    return _return(ghost, click, now, is_new=is_new)


def known_return(session: Session, link: Link, now: datetime) -> Return:
    """What is known of a return, with nothing kept. Reads only; raises `LinkNotFoundError`."""
    ghost = _ghost(session, link)
    click = evidence_repository.click_of_message(session, link.merchant_id, ghost.id, link.message_id)
    return _return(ghost, click, now, is_new=False)


def _return(ghost: GhostTarget, click: Click | None, now: datetime, *, is_new: bool) -> Return:
    first_at = (click.returned_at if click else None) or now
    return Return(ghost.invoice_id if ghost.state in UNPAID_STATES else None, first_at, is_new)


def _work(session: Session, link: Link, now: datetime) -> Work:
    needed = neighbours.of_ghosts(session, link.merchant_id, [link.ghost_id])
    if not needed:
        raise LinkNotFoundError
    return Work.begin(session, merchant_context(session, link.merchant_id), now, needed)


def _ghost(session: Session, link: Link, *, lock: bool = False) -> GhostTarget:
    ghost = repository.get_ghost(session, link.merchant_id, link.ghost_id, lock=lock)
    if ghost is None:
        raise LinkNotFoundError
    return ghost
