"""What people ask of and do to ghosts: the list, one ghost's whole story, pause, resume, mark as lost."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from models.ghost import GhostKind, GhostState, GhostTarget, Strategy
from services.analytics import shards
from services.audit import service as audit
from services.integrations.stripe.dashboard import invoice_address
from services.merchants import service as merchants
from services.messaging import service as messaging
from services.messaging.once import DISCONNECTED
from services.messaging.schedule import SEND
from services.recovery import neighbours, repository
from services.recovery.credit import settle
from services.recovery.errors import GhostNotFoundError, InvalidQueryError
from services.recovery.lifecycle import Trigger
from services.recovery.plans import plan_repository, pulse
from services.recovery.schemas import (
    ForensicFact,
    GhostDetail,
    GhostPage,
    GhostQuery,
    GhostRow,
    NextHour,
    TimelineEntry,
)
from services.recovery.work import Work, merchant_context
from services.tasks import service as tasks

MAX_PAGE_SIZE = 100
EXPORT_PAGE = 500
REPLANNED_AT_ONCE = pulse.REPLANNED
MOST_COUNTED, SHOWN_NEXT = 1_000, 5
SORTS = ("found", "amount", "next", "active")


def list_ghosts(session: Session, merchant_id: str, query: GhostQuery) -> GhostPage:
    """One page of the merchant's ghosts. A page past the end answers the last one.

    Raises `InvalidQueryError` for an unknown sort or a page size outside 1–100.
    """
    if query.sort not in SORTS:
        raise InvalidQueryError(f"sort is one of {', '.join(SORTS)}")
    if not 1 <= query.page_size <= MAX_PAGE_SIZE:
        raise InvalidQueryError(f"page_size is 1 to {MAX_PAGE_SIZE}")
    total = repository.count_ghosts(session, merchant_id, query)
    pages = max(1, -(-total // query.page_size))
    page = min(max(1, query.page), pages)
    rows = repository.list_ghosts(session, merchant_id, _at_page(query, page))
    return GhostPage(tuple(ghost_row(row) for row in rows), total, page, pages)


def export_ghosts(session: Session, merchant_id: str, query: GhostQuery, before: str = "") -> tuple[GhostRow, ...]:
    """The next of all ghosts that the query's filters match, newest first, for a CSV; none when there are no more.

    `before` is the id of the last one so far. Going by ids, each comes once, whatever is found or changes meanwhile and
    in however many transactions it is read.
    """
    rows = repository.list_ghosts_before(session, merchant_id, _at_page(query, 1), before, EXPORT_PAGE)
    return tuple(ghost_row(row) for row in rows)


def _at_page(query: GhostQuery, page: int) -> GhostQuery:
    return GhostQuery(
        states=query.states,
        strategies=query.strategies,
        search=query.search.strip()[:200],
        sort=query.sort,
        ascending=query.ascending,
        page=page,
        page_size=query.page_size,
    )


def ghost_detail(session: Session, merchant_id: str, ghost_id: str) -> GhostDetail:
    """One ghost with forensics, timeline (oldest first) and messages. Raises `GhostNotFoundError`."""
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        raise GhostNotFoundError
    merchant = merchants.get_merchant(session, merchant_id)
    return GhostDetail(
        row=ghost_row(ghost),
        invoice_id=ghost.invoice_id if ghost.kind == GhostKind.FAILED else "none yet",
        subscription_id=ghost.subscription_id or "",
        subscription_status=ghost.subscription_status,
        mechanism=ghost.mechanism,
        close_reason=ghost.close_reason,
        phone=ghost.customer_phone or "",
        at_stripe=invoice_address(merchant.stripe_user_id or "", ghost.invoice_id, livemode=merchant.livemode),
        forensics=_forensics(ghost),
        timeline=tuple(
            TimelineEntry(
                name=event.name,
                from_state=event.from_state,
                to_state=event.to_state,
                reason=event.reason,
                occurred_at=event.occurred_at,
                facts=event.facts,
            )
            for event in repository.list_events(session, merchant_id, ghost_id)
        ),
        messages=messaging.messages_of_ghost(session, merchant_id, ghost_id),
    )


def pause(session: Session, merchant_id: str, ghost_ids: Sequence[str], actor_id: str) -> int:
    """Stop messages to these ghosts until resumed. Returns how many were paused; unknown and closed ones are not."""
    return _by_person(session, merchant_id, ghost_ids, actor_id, Trigger.PAUSED, "Paused by a person.")


def resume(session: Session, merchant_id: str, ghost_ids: Sequence[str], actor_id: str) -> int:
    """Go on with paused ghosts where they were. Returns how many were."""
    return _by_person(session, merchant_id, ghost_ids, actor_id, Trigger.RESUMED, "Resumed by a person.")


def mark_lost(session: Session, merchant_id: str, ghost_ids: Sequence[str], actor_id: str) -> int:
    """Write ghosts off: no more messages; a payment still counts. Returns how many were."""
    return _by_person(session, merchant_id, ghost_ids, actor_id, Trigger.LOST, "Written off by a person.")


def _by_person(
    session: Session, merchant_id: str, ghost_ids: Sequence[str], actor_id: str, trigger: Trigger, reason: str
) -> int:
    wanted = sorted(set(ghost_ids[:MAX_PAGE_SIZE]))
    needed = neighbours.of_ghosts(session, merchant_id, wanted)
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)
    moved = []
    for ghost_id in wanted:
        ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
        if ghost is None:
            continue
        if trigger is Trigger.LOST:
            done = settle.lose(work, ghost, reason, trigger, still_open=True)
        else:
            done = work.move(ghost, trigger, reason)
        moved += [ghost_id] * done
    work.finish()
    if moved:
        audit.record_audit(session, merchant_id, f"ghosts.{trigger.value}", actor_id=actor_id, facts={"ghosts": moved})
    return len(moved)


def start_messages(session: Session, merchant_id: str, actor_id: str) -> int:
    """Switch messages on: every open ghost gets its plan and what is due goes out. Returns how many are open."""
    merchants.change_policy(session, merchant_id, {"paused": False}, actor_id=actor_id)
    number = replan_open(session, merchant_id)
    tasks.schedule(session, kind="pulse", merchant_id=merchant_id, payload={"trigger": "start"}, priority=5)
    audit.log_event(session, merchant_id, "recovery.messages_started", "Recovery messages were switched on.")
    return number


def stop_messages(session: Session, merchant_id: str, actor_id: str) -> int:
    """Switch messages off for the whole merchant; links already sent go on working."""
    merchants.change_policy(session, merchant_id, {"paused": True}, actor_id=actor_id)
    number = replan_open(session, merchant_id)
    audit.log_event(
        session, merchant_id, "recovery.messages_stopped", "Recovery messages were switched off.", level="warning"
    )
    return number


def messages_are_on(session: Session, merchant_id: str) -> bool:
    """Whether the merchant has switched messages on."""
    return not merchants.get_policy(session, merchant_id).paused


def next_hour(session: Session, merchant_id: str) -> NextHour:
    """The messages that are planned for the next hour, those that wait for their task included.

    None while the account is disconnected, whatever was planned before.
    """
    if not merchants.get_merchant(session, merchant_id).is_connected:
        return NextHour(0, False, (), DISCONNECTED)
    until = clock.now() + timedelta(hours=1)
    number = plan_repository.count_due(session, merchant_id, SEND, until, MOST_COUNTED)
    first = plan_repository.list_next(session, merchant_id, SEND, until, SHOWN_NEXT)
    return NextHour(number, number == MOST_COUNTED, tuple(ghost_row(ghost) for ghost in first))


def replan_open(session: Session, merchant_id: str) -> int:
    """Have every open ghost's next action worked out again, after the policy changed. Returns how many are open.

    A few at once; of many in pages, by a pulse: nobody waits while a hundred thousand are planned, and none of them is
    sent by the old plan meanwhile, because a message is decided anew before it goes.
    """
    number, policy = plan_repository.count_open(session, merchant_id), merchants.get_policy(session, merchant_id)
    if plan_repository.count_plannable(session, merchant_id, policy, clock.now()) <= REPLANNED_AT_ONCE:
        shards.hold(session, merchant_id, shards.ALL)
        after: str | None = ""
        while after is not None:
            after = pulse.replan(session, merchant_id, clock.now(), after)
    else:
        tasks.schedule(session, kind="pulse", merchant_id=merchant_id, payload={"replan": True}, priority=5)
    return number


def ghost_row(ghost: GhostTarget) -> GhostRow:
    """A table row as the frozen value the screens get."""
    return GhostRow(
        id=ghost.id,
        kind=GhostKind(ghost.kind),
        state=GhostState(ghost.state),
        customer_id=ghost.customer_id or "",
        customer_name=ghost.customer_name or "",
        customer_email=ghost.customer_email or "",
        amount=ghost.amount_cents,
        currency=ghost.currency,
        strategy=Strategy(ghost.strategy),
        strategy_reason=ghost.strategy_reason,
        decline_code=ghost.decline_code,
        decline_group=ghost.decline_group,
        card_brand=ghost.card_brand,
        card_last4=ghost.card_last4,
        found_at=ghost.found_at,
        last_action=ghost.last_action,
        last_action_at=ghost.last_action_at,
        next_action=ghost.next_action,
        next_action_at=ghost.next_action_at,
        next_action_reason=ghost.next_action_reason,
        messages_sent=ghost.messages_sent,
        click_count=ghost.click_count,
        recovered=ghost.recovered_cents,
        closed_at=ghost.closed_at,
        last_seen_at=ghost.last_presence_at,
    )


def _forensics(ghost: GhostTarget) -> tuple[ForensicFact, ...]:
    def when(moment: datetime | None) -> str:
        return f"{moment.day} {moment:%b %Y, %H:%M} UTC" if moment else "–"

    brand = ghost.card_brand.capitalize()
    coming = {"Next charge": when(ghost.charge_at), "Risk": ghost.risk.replace("_", " ")} if ghost.risk else {}
    values = coming | {
        "Card": f"{brand or 'Unknown'} •••• {ghost.card_last4}" if ghost.card_last4 else brand,
        "Funding": ghost.card_funding,
        "Card country": ghost.country_code.upper(),
        "3-D Secure wanted": "yes" if ghost.requires_3ds else "no",
        "Stripe error": ghost.stripe_error_code,
        "Decline code": ghost.decline_code,
        "Advice": ghost.advice_code,
        "Invoice date": when(ghost.original_invoice_date),
        "Attempts": str(ghost.attempt_count),
        "Stripe's next attempt": when(ghost.next_payment_attempt),
        "Billing reason": ghost.billing_reason.replace("_", " "),
        "Subscription": ghost.subscription_status.replace("_", " "),
        "Found by": ghost.found_via,
        "API shape": ghost.api_shape,
    }
    return tuple(ForensicFact(label, value or "–") for label, value in values.items())
