"""The intent of a charge: committed before the call, under an idempotency key that a crash repeats it with.

`new_cards` and `retrying` decide on it, `paying` makes the charge and settles it.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from core import ids
from models.ghost import COLLECTIBLE_STATES, GhostTarget
from models.money import UNSETTLED, AttemptSource, AttemptState, PaymentAttempt
from services.integrations.stripe.cards import SavedCard
from services.recovery import repository
from services.recovery.charging import attempts_repository, card_turns, retries
from services.recovery.charging.paying import KEY_MEMORY, UNKNOWN, Charge, is_at_the_bank, leave
from services.recovery.work import Work

LIMITS = "The card networks' limit for this card is reached."
DONE = "This card was declined for good."
SINCE = "This card was charged since it was renewed."
TOO_SOON = "This card was charged within the last day."


@dataclass(frozen=True, slots=True)
class Begun:
    """What to charge, or why nothing is charged now and from when on (UTC) it is worth asking again."""

    charge: Charge | None
    reason: str = ""
    again_at: datetime | None = None


def key_of(ghost_id: str, payment_method_id: str) -> str:
    """The idempotency key of charging a card that came as a new one: one charge a ghost and card."""
    return f"pay:{ghost_id}:{payment_method_id}"


def invoice_of(session: Session, merchant_id: str, ghost_id: str, key: str) -> str | None:
    """The invoice to read fresh before a charge under this key; None when there is nothing to charge for any more."""
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        return None
    open_still = ghost.state in COLLECTIBLE_STATES
    attempt = None if open_still else repository.get_attempt(session, merchant_id, key)
    begun = attempt is not None and attempt.state in UNSETTLED
    return ghost.invoice_id if open_still or begun else None


def intend(work: Work, ghost: GhostTarget, card: SavedCard, key: str, *, renewed_at: datetime | None = None) -> Begun:
    """Commit the intent to charge a card that is new to this ghost, or say why not.

    A customer may have many open invoices and the same card under many ids: one that was declined for good is not tried
    again, whatever for, and all its charges share the networks' limits. New data, which a network may send several
    times in a row (`renewed_at`), mend a decline before them, and wait a day after a charge of ours.
    """
    made = card_turns.take(work.session, ghost.merchant_id, card, work.now)
    if renewed_at is None and card_turns.is_done(ghost, card, made):
        return Begun(None, DONE)
    charged_at = card_turns.last_of_ours(ghost, made) if renewed_at else None
    if renewed_at and charged_at:
        if renewed_at <= charged_at:
            return Begun(None, SINCE)
        if work.now < charged_at + retries.APART:
            return Begun(None, TOO_SOON, charged_at + retries.APART)
    free = card_turns.free_from(card, made, work.now)
    if free > work.now:
        return Begun(None, LIMITS, free)
    start(work, ghost, card, key)
    return Begun(_with_new_card(work, ghost, card.id, key))


def go_on(work: Work, ghost: GhostTarget, attempt: PaymentAttempt, *, is_paid: bool) -> Begun:
    """A crash left this charge of a new card as begun: the same call again, with the same key.

    Once Stripe has forgotten the key that would be another charge, and the card may have been declined before. And it
    may never have been made: then the call would be the first, which a word said since may forbid. Of an invoice that
    Stripe says `is_paid` (what was paid may be owed again) there is none: what is left is to ask whether by us.
    """
    if is_at_the_bank(attempt, work.now):
        made = _with_new_card(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key)
        return Begun(replace(made, is_made=True))
    forbidden = retries.why_untouchable(work.merchant.policy, retries.case_of(ghost))
    if work.now - attempt.attempted_at < KEY_MEMORY and (is_paid or not forbidden):
        planned = _with_new_card(work, ghost, attempt.payment_method_id or "", attempt.idempotency_key)
        return Begun(replace(planned, is_repeat=True))
    leave(attempt, ghost, work.now, is_paid=is_paid)
    work.plan(ghost)
    return Begun(None, UNKNOWN)


def start(work: Work, ghost: GhostTarget, card: SavedCard, key: str) -> None:
    """Write down that a charge is about to be made; the caller commits before it is."""
    work.session.add(
        PaymentAttempt(
            merchant_id=ghost.merchant_id,
            id=ids.new_id("pa"),
            ghost_id=ghost.id,
            invoice_id=ghost.invoice_id,
            source=AttemptSource.PHANTOM,
            state=AttemptState.STARTED,
            idempotency_key=key,
            payment_method_id=card.id,
            card_brand=card.brand,
            card_fingerprint=card.fingerprint,
            attempted_at=work.now,
        )
    )


def _with_new_card(work: Work, ghost: GhostTarget, card_id: str, key: str) -> Charge:
    declined = attempts_repository.declined_cards(work.session, ghost)
    return replace(charge_of(ghost, card_id, key), declined_cards=declined - {card_id})


def charge_of(ghost: GhostTarget, card_id: str, key: str, *, is_retry: bool = False) -> Charge:
    """A committed attempt as what is to be called."""
    return Charge(
        ghost_id=ghost.id,
        invoice_id=ghost.invoice_id,
        subscription_id=ghost.subscription_id,
        payment_method_id=card_id,
        idempotency_key=key,
        is_retry=is_retry,
    )
