"""What a customer's new card sets going: each of their open invoices is paid with it, at once and once.

Stripe alone waits for its next retry, or never pays. A word of a card (saved, made the default, renewed by the network)
only makes a task; whether anything is charged, a fresh look decides immediately before: what is owed, what the merchant
allows, whether the card is still there and the one to take. The charge itself is `paying`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from core import clock
from models.ghost import UNPAID_STATES, FoundVia, GhostState, GhostTarget
from models.money import UNSETTLED
from services.integrations.stripe.cards import SavedCard
from services.integrations.stripe.facts import InvoiceFacts
from services.recovery import neighbours, repository
from services.recovery.charging import card_turns, choosing, intents, retries
from services.recovery.charging.intents import DONE, LIMITS, Begun
from services.recovery.charging.paying import UNKNOWN, Charge
from services.recovery.classify import why_not_payable
from services.recovery.messages.destinations import Place, place_for
from services.recovery.observe import observe
from services.recovery.work import Work, merchant_context
from services.tasks import service as tasks

TRIED = "This card was tried before."
PERSON = "The customer may be paying at this moment."
TIME_TO_PAY = timedelta(minutes=10)
_LEAVES_IT_OPEN = frozenset({DONE, LIMITS, UNKNOWN})
"""Why a new card that had its turn was not charged, though another one that was saved with it may be."""


class Came(StrEnum):
    """How a card came to be the one to pay with."""

    SAVED = "saved"
    CHOSEN = "chosen"  # made the default, new or not
    RENEWED = "renewed"  # the network gave it new data


_WHY_NOT = {
    Came.CHOSEN: choosing.why_not_chosen,
    Came.RENEWED: choosing.why_not_renewed,
}


@dataclass(frozen=True, slots=True)
class News:
    """Word of a card. `renewal` names the event by which one got new data: it is worth a charge of its own.

    `choice` names the event by which one was chosen: it is worth a look of its own, and no other charge.
    `told_at` is the event's time (UTC, in whole seconds as Stripe counts them), where it is known.
    """

    card_id: str
    came: Came = Came.SAVED
    renewal: str = ""
    told_at: datetime | None = None
    choice: str = ""

    @classmethod
    def of(cls, payload: dict[str, Any]) -> "News":
        """As a task carries it."""
        renewal = str(payload.get("renewal", ""))
        came = payload.get("came") or (Came.RENEWED if renewal else Came.SAVED)
        told_at = clock.from_timestamp(payload["told_at"]) if payload.get("told_at") else None
        return cls(str(payload["payment_method_id"]), Came(came), renewal, told_at)

    def key(self, ghost_id: str) -> str:
        """One charge a ghost and card, and one more for each renewal of that card."""
        return intents.key_of(ghost_id, self.card_id) + (f":{self.renewal}" if self.renewal else "")

    def task_key(self, ghost_id: str) -> str:
        """A look for each choice: the card may have been saved before, and another one been the newer then."""
        return self.key(ghost_id) + (f":{self.choice}" if self.choice else "")


def schedule(session: Session, merchant_id: str, customer_id: str, news: News, told_at: datetime) -> int:
    """Have all open invoices of a customer paid with a card; how many tasks were made. `told_at` is the event's time.

    A customer who told the bank to stop is left alone, and so is what was written off. What Stripe has charged since
    it was told of says for itself: a renewal before the last charge, or a choice before the invoice, mends nothing.
    """
    scheduled = 0
    for ghost in repository.list_unpaid_of_customer(session, merchant_id, customer_id):
        if ghost.state in (GhostState.STOPPED, GhostState.LOST) or _is_old(ghost, news, told_at):
            continue
        if ghost.payment_method_id == news.card_id and not news.renewal:
            continue
        task = tasks.schedule(
            session,
            kind="dunning_retry",
            merchant_id=merchant_id,
            key=news.task_key(ghost.id),
            payload={
                "ghost_id": ghost.id,
                "payment_method_id": news.card_id,
                "renewal": news.renewal,
                "came": news.came,
                "told_at": int(told_at.timestamp()),
            },
            priority=10,
        )
        scheduled += task is not None
    return scheduled


def _is_old(ghost: GhostTarget, news: News, told_at: datetime) -> bool:
    if news.came is Came.CHOSEN:
        return told_at <= ghost.original_invoice_date
    if news.came is Came.RENEWED and ghost.attempt_count > 1:  # of a first charge it is the invoice that tells when
        return told_at <= (ghost.last_charge_at or ghost.original_invoice_date)
    return news.came is Came.RENEWED and told_at <= ghost.original_invoice_date


def begin(
    session: Session, merchant_id: str, ghost_id: str, news: News, fresh: InvoiceFacts, cards: Sequence[SavedCard]
) -> Begun:
    """Bring the ghost up to date with the fresh look, then commit the intent to charge or say why not.

    `cards` are those attached to the customer now. What the merchant does not allow yet is kept with the ghost and
    charged when they do. An attempt that a crash left as started is gone on with even if the webhook of its success
    was faster and the ghost is recovered: else nobody would ever write down what came of it.
    """
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    neighbours.take(session, merchant_id, [fresh])
    observe(session, merchant, [fresh], FoundVia.WEBHOOK, now)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [ghost_id]))
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return Begun(None, "there is no such ghost")
    attempt = repository.get_attempt(session, merchant_id, news.key(ghost_id))
    if attempt is None:
        begun = _decide(work, ghost, news, fresh, cards)
    elif attempt.state in UNSETTLED:
        begun = intents.go_on(work, ghost, attempt, is_paid=fresh.status == "paid")
    else:
        begun = Begun(None, TRIED)
    if begun.reason in _LEAVES_IT_OPEN:
        try_next(session, ghost, news.card_id, fresh, cards)
    work.finish()
    return begun


def _decide(work: Work, ghost: GhostTarget, news: News, fresh: InvoiceFacts, cards: Sequence[SavedCard]) -> Begun:
    if ghost.state not in UNPAID_STATES:
        return Begun(None, "There is nothing left to pay.")
    if why := why_not_payable(fresh) or _why_not(work, ghost, news, fresh, cards):
        return Begun(None, why)
    if why := retries.why_untouchable(work.merchant.policy, retries.case_of(ghost)):
        return _not_yet(work, ghost, news, why)
    if (until := _pays_until(ghost, fresh, news, work.now)) > work.now:
        return Begun(None, PERSON, until)
    card = next(each for each in cards if each.id == news.card_id)
    renewed_at = (news.told_at or work.now) if news.renewal else None
    return intents.intend(work, ghost, card, news.key(ghost.id), renewed_at=renewed_at)


def _why_not(work: Work, ghost: GhostTarget, news: News, fresh: InvoiceFacts, cards: Sequence[SavedCard]) -> str:
    if news.came is not Came.SAVED:
        return _WHY_NOT[news.came](news.card_id, cards, fresh, work.now)
    passed = card_turns.passed_over(work.session, ghost, cards, fresh, work.now)
    return choosing.why_not_new(news.card_id, cards, fresh, work.now, passed - {news.card_id})


def try_next(
    session: Session, ghost: GhostTarget, card_id: str, fresh: InvoiceFacts, cards: Sequence[SavedCard]
) -> bool:
    """A new card's turn brought nothing: have the newest of the others that were saved with it, or since, looked at.

    Of several that were saved in one go only the newest had its turn. `fresh` is the invoice before the charge, `cards`
    are those attached then. In the transaction that writes down what became of it, once a card; False for none.
    """
    now = clock.now()
    passed = card_turns.passed_over(session, ghost, cards, fresh, now) | {card_id}
    card = choosing.newer_card(cards, fresh, now, passed)
    if card is None:
        return False
    news = News(card.id, choice=f"after:{card_id}")
    payload = {"ghost_id": ghost.id, "payment_method_id": card.id, "renewal": "", "came": news.came}
    task = tasks.schedule(
        session,
        kind="dunning_retry",
        merchant_id=ghost.merchant_id,
        key=news.task_key(ghost.id),
        payload=payload,
        priority=10,
    )
    return task is not None


def settled(
    session: Session, merchant_id: str, planned: Charge, fresh: InvoiceFacts, cards: Sequence[SavedCard]
) -> None:
    """A charge of a new card was made in vain, or refused before it was: `try_next`, in the same transaction."""
    ghost = None if planned.is_retry else repository.get_ghost(session, merchant_id, planned.ghost_id)
    if ghost is not None:
        try_next(session, ghost, planned.payment_method_id, fresh, cards)


def _pays_until(ghost: GhostTarget, fresh: InvoiceFacts, news: News, now: datetime) -> datetime:
    """Until when the customer may be paying with this card themselves; `now` where nothing says that they are.

    Stripe's page attaches a card before it is charged, and the bank may ask them to confirm in between: who followed
    our link to that page, and whose payment waits for a confirmation, has some minutes; an old one waits for ever.
    """
    clicked_at = ghost.last_clicked_at if place_for(ghost) is Place.HOSTED_INVOICE else None
    clicked = clicked_at is not None and now < clicked_at + retries.PERSON_PAYING
    if news.came is Came.RENEWED or not (clicked or fresh.payment_status == "requires_action"):
        return now
    times = [at for at in (news.told_at, clicked_at if clicked else None) if at is not None]
    return max([at + TIME_TO_PAY for at in times], default=now)


def _not_yet(work: Work, ghost: GhostTarget, news: News, why: str) -> Begun:
    """Kept until it is allowed: a saved one with the ghost, whose own plan begins with it; else it is asked again."""
    if news.came is Came.SAVED:
        ghost.spare_card_id, ghost.passed_over_card_id = news.card_id, None
        work.plan(ghost)
        return Begun(None, why)
    waits = work.merchant.policy.paused or ghost.state == GhostState.PAUSED
    return Begun(None, why, work.now + retries.LOOK_AGAIN if waits else None)
