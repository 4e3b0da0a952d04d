"""What a ghost's page says about its card: how often it was charged, what the networks still allow, and who is next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from core.config import settings
from models.ghost import COLLECTIBLE_STATES
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.recovery import repository
from services.recovery.charging import attempts_repository, budget, retries
from services.recovery.errors import GhostNotFoundError
from services.recovery.strategy import retried_by_stripe
from services.recovery.work import merchant_context

DISCONNECTED = "The Stripe account is disconnected: PHANTOM charges nothing until it is connected again."


@dataclass(frozen=True, slots=True)
class CardAttempts:
    """The card's budget and the next charges. Times UTC; `reason` explains PHANTOM's part."""

    used: int
    limit: int
    days: int
    by_us: int
    by_customer: int
    next_by_stripe: datetime | None
    next_by_us: datetime | None
    reason: str
    is_open: bool


def of_ghost(session: Session, merchant_id: str, ghost_id: str) -> CardAttempts:
    """The state of the card that a ghost's charge failed on, all ghosts of this card together.

    Raises `GhostNotFoundError`.
    """
    now = clock.now()
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        raise GhostNotFoundError
    limits = settings().card_limits
    since = now - timedelta(days=max(limit.days for limit in limits))
    made = attempts_repository.list_of_card(
        session, merchant_id, ghost.payment_method_id, ghost.card_fingerprint, since
    )
    standing = budget.standing(ghost.card_brand, values_of(made), now, limits)
    merchant = merchant_context(session, merchant_id)
    case = retries.case_of(ghost)
    retry = retries.next_retry(merchant.policy, case, now, merchant.timezone)
    planned = ghost.next_retry_at if retry.at is not None and merchant.active else None
    reason = ghost.retry_reason if planned else retry.reason
    return CardAttempts(
        used=standing.used,
        limit=standing.limit,
        days=standing.days,
        by_us=sum(one.source == AttemptSource.PHANTOM for one in made),
        by_customer=sum(one.source == AttemptSource.CUSTOMER for one in made),
        # after some declines Stripe goes on announcing attempts and makes none, unless there is another card
        next_by_stripe=case.next_payment_attempt if case.has_spare_card or retried_by_stripe(case.decline) else None,
        next_by_us=planned,
        reason=reason if merchant.active else DISCONNECTED,
        is_open=ghost.state in COLLECTIBLE_STATES,
    )


def values_of(made: Iterable[PaymentAttempt]) -> list[budget.Attempt]:
    """Rows as what a budget counts."""
    return [budget.Attempt(AttemptSource(one.source), AttemptState(one.state), one.attempted_at) for one in made]
