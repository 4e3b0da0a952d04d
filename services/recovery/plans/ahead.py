"""A dry run: every message of the next two weeks, for the ghosts that are open, before anything is sent.

The pure schedule is played on from what is stored, as if nothing else happened and messages were on. Nothing is
written and Stripe is not asked. The ghosts of one customer are played together, whichever of them a page shows.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session

from core import clock
from core.config import settings
from core.errors import NotFoundError
from models.ghost import GhostState, GhostTarget, Strategy
from models.messaging import Channel
from services.messaging.hours import zones_for
from services.messaging.once import A_PERSON_DECIDES, DISCONNECTED
from services.messaging.own import OwnWords
from services.messaging.own_service import own_words
from services.messaging.reach import address_of
from services.messaging.schedule import SEND, Action
from services.messaging.wording import called
from services.recovery import repository
from services.recovery.messages.composing import Composed, compose, ends_with
from services.recovery.plans import plan_repository, planning
from services.recovery.work import MerchantContext, merchant_context

HORIZON = timedelta(days=14)
PAGE_SIZE = 20
COUNTED = 2_000
"""Up to so many ghosts the whole fortnight is counted; of more, each page says its own."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A message as it would go out. `local` is the recipient's own time, which carries its zone."""

    step: int
    name: str
    channel: Channel
    at: datetime
    local: datetime
    recipient: str
    subject: str
    reason: str


class Standing(StrEnum):
    """What a ghost waits for that no hour brings, so that it does not look due."""

    FREE = ""
    PAUSED = "paused"  # by a person
    PERSON = "person"  # who decides
    HELD = "held"  # for another look at Stripe


@dataclass(frozen=True, slots=True)
class Outlook:
    """A ghost's fortnight: its messages, and why none comes (any more) within it. Money in minor units."""

    ghost_id: str
    customer: str
    amount: int
    currency: str
    messages: tuple[Coming, ...]
    ending: str
    standing: Standing = Standing.FREE


@dataclass(frozen=True, slots=True)
class DryRun:
    """One page of it, `page` from 1. `messages` and `silent` count all ghosts; None where there are too many."""

    outlooks: tuple[Outlook, ...]
    ghosts: int
    messages: int | None
    silent: int | None
    page: int
    pages: int
    is_on: bool
    is_connected: bool
    until: datetime


class NothingComingError(NotFoundError):
    code, title = "nothing_coming", "No such message is planned"


def dry_run(session: Session, merchant_id: str, page: int = 1) -> DryRun:
    """A page of what would go out within the next two weeks, the latest ghost found first."""
    now, merchant = clock.now(), merchant_context(session, merchant_id)
    total = plan_repository.count_plannable(session, merchant_id, merchant.policy, now)
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, page), pages)
    ghosts = plan_repository.list_plannable_page(
        session, merchant_id, merchant.policy, now, (page - 1) * PAGE_SIZE, PAGE_SIZE
    )
    actions = _play(session, merchant, ghosts, now)
    own = own_words(session, merchant_id)
    messages, silent = _count(session, merchant, total, now)
    return DryRun(
        outlooks=tuple(_outlook(merchant, ghost, actions[ghost.id], now, own) for ghost in ghosts),
        ghosts=total,
        messages=messages,
        silent=silent,
        page=page,
        pages=pages,
        is_on=not merchant.policy.paused,
        is_connected=merchant.active,
        until=now + HORIZON,
    )


def preview(session: Session, merchant_id: str, ghost_id: str, step: int) -> Composed:
    """A message of a ghost's fortnight as it would be rendered. Raises `NothingComingError` when there is none."""
    now, merchant = clock.now(), merchant_context(session, merchant_id)
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        raise NothingComingError
    actions = _play(session, merchant, [ghost], now)[ghost_id]
    found = next((each for each in _sends(actions, now) if each.step == step), None)
    if found is None:
        raise NothingComingError
    return _composed(merchant, ghost, found, actions, own_words(session, merchant_id))


def _play(
    session: Session, merchant: MerchantContext, ghosts: list[GhostTarget], now: datetime
) -> dict[str, list[Action]]:
    """What follows for each of these, in order, with messages switched on."""
    if not merchant.active:
        return {ghost.id: [Action("", None, DISCONNECTED)] for ghost in ghosts}
    others = plan_repository.read_chased_of_customers
    return planning.ahead(session, _switched_on(merchant, now), ghosts, now, now + HORIZON, others)


def _switched_on(merchant: MerchantContext, now: datetime) -> MerchantContext:
    """As if the merchant said go now, from when the days of its ghosts count then."""
    policy = merchant.policy
    said = {"paused": False, "going_since": now} if policy.paused else {}
    return replace(merchant, policy=policy.model_copy(update=said))


def _count(session: Session, merchant: MerchantContext, total: int, now: datetime) -> tuple[int | None, int | None]:
    """How many messages go out to all ghosts, and how many ghosts get none."""
    if not merchant.active:
        return 0, total
    if total > COUNTED:
        return None, None
    rows = plan_repository.list_plannable(session, merchant.id, merchant.policy, now)
    others = plan_repository.list_chased_of_customers
    played = planning.ahead(session, _switched_on(merchant, now), rows, now, now + HORIZON, others)
    numbers = [len(_sends(played[row.id], now)) for row in rows]
    return sum(numbers), numbers.count(0)


def _sends(actions: list[Action], now: datetime) -> list[Action]:
    return [each for each in actions if each.name == SEND and each.at is not None and each.at <= now + HORIZON]


def _outlook(
    merchant: MerchantContext, ghost: GhostTarget, actions: list[Action], now: datetime, own: OwnWords
) -> Outlook:
    sends = _sends(actions, now)
    return Outlook(
        ghost_id=ghost.id,
        customer=ghost.customer_name or ghost.customer_email or ghost.customer_id or "",
        amount=ghost.amount_cents,
        currency=ghost.currency,
        messages=tuple(_coming(merchant, ghost, each, actions, own) for each in sends),
        ending=_ending(ghost, actions[-1]),
        standing=_standing(ghost, actions, now),
    )


def _standing(ghost: GhostTarget, actions: list[Action], now: datetime) -> Standing:
    if ghost.state == GhostState.PAUSED:
        return Standing.PAUSED
    if actions[0].reason == A_PERSON_DECIDES:  # and not after a message that was released
        return Standing.PERSON
    return Standing.HELD if planning.why_held(ghost, now) else Standing.FREE


def _ending(ghost: GhostTarget, last: Action) -> str:
    """What comes after the messages; why a person decides is the ghost's own affair, and not always its amount."""
    by_hand = last.reason == A_PERSON_DECIDES and ghost.strategy == Strategy.HIGH_VALUE_MANUAL
    return ghost.strategy_reason if by_hand else last.reason


def _coming(
    merchant: MerchantContext, ghost: GhostTarget, action: Action, actions: list[Action], own: OwnWords
) -> Coming:
    assert action.at is not None  # noqa: S101  # what is sent has its moment
    zone = zones_for(planning.where(ghost, action.channel), merchant.timezone)[0]
    composed = _composed(merchant, ghost, action, actions, own)
    return Coming(
        step=action.step,
        name=called(composed.template, action.step),
        channel=action.channel,
        at=action.at,
        local=action.at.astimezone(zone),
        recipient=address_of(action.channel, ghost),
        subject=composed.subject or composed.plain,
        reason=action.reason,
    )


def _composed(
    merchant: MerchantContext, ghost: GhostTarget, action: Action, actions: list[Action], own: OwnWords
) -> Composed:
    """Its links lead nowhere: real ones are made when a message goes out."""
    return compose(
        merchant,
        ghost,
        action.number,
        pay_url=f"{settings().public_url}/r/preview",
        unsubscribe_url=f"{settings().public_url}/u/preview",
        channel=action.channel,
        own=own,
        is_last=ends_with(action.step, actions),
    )
