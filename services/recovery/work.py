"""One unit of work on a merchant's ghosts: state, event, sums and plan change together or not at all.

Whoever changes ghosts first takes the shards of their customers (`begin`), so that webhook and hunt never interleave
on one customer: the shadow leakage of a subscription is carried by exactly one of its ghosts, which two writers at
once could not keep. Customers in different shards are worked on at the same time (`analytics/shards.py`). The
transactions are short; nothing external is called while shards are held.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session

from core import db, ids, metrics
from models.ghost import OPEN_STATES, UNPAID_STATES, GhostKind, GhostState, GhostTarget, Strategy
from services.analytics import ledger, shards
from services.merchants import service as merchants
from services.merchants.policies import RecoveryPolicy
from services.messaging.brands import Brand, brand_of
from services.messaging.schedule import Action
from services.recovery import manual, repository
from services.recovery.charging import retry_plans
from services.recovery.credit import funnel
from services.recovery.errors import GhostMovedError
from services.recovery.lifecycle import Trigger, after, can
from services.recovery.plans import plan_repository, planning, upcoming

_WHILE_PAUSED = frozenset({Trigger.MESSAGE_SENT, Trigger.CLICKED})
_SHADOW_ENDS = frozenset({GhostState.LOST, GhostState.STOPPED, GhostState.RECOVERED, GhostState.REVERSED})


@dataclass(frozen=True, slots=True)
class MerchantContext:
    """What decisions and messages need to know of the merchant."""

    id: str
    name: str
    accent: str
    brand: Brand
    reply_to: str
    policy: RecoveryPolicy
    timezone: str
    active: bool


def merchant_context(session: Session, merchant_id: str) -> MerchantContext:
    """The merchant of a tenant session. Raises `MerchantNotFoundError`, `InvalidPolicyError`."""
    merchant = merchants.get_merchant(session, merchant_id)
    return MerchantContext(
        id=merchant.id,
        name=str(merchant.brand.get("name") or merchant.name),
        accent=str(merchant.brand.get("accent") or ""),
        brand=brand_of(merchant.brand, merchant.name),
        reply_to=merchant.reply_to,
        policy=merchant.policy,
        timezone=merchant.timezone or "UTC",
        active=merchant.is_connected,
    )


@dataclass
class Work:
    """Collects what a unit of work adds, and writes it once in `finish`."""

    session: Session
    merchant: MerchantContext
    now: datetime
    held: frozenset[int]
    changes: ledger.Changes = field(default_factory=ledger.Changes)
    _events: list[dict[str, Any]] = field(default_factory=list)
    _touched: dict[str, GhostTarget] = field(default_factory=dict)
    _unplanned: dict[str, GhostTarget] = field(default_factory=dict)
    _new: list[GhostTarget] = field(default_factory=list)

    @classmethod
    def begin(cls, session: Session, merchant: MerchantContext, now: datetime, wanted: frozenset[int]) -> "Work":
        """Take the shards of the ghosts to be changed (`neighbours` knows them) until the transaction ends.

        The second unit of work of a transaction must do with the shards of the first. Raises `GhostMovedError` when
        it cannot: somebody made a ghost of a customer yet unknown since the first one looked.
        """
        try:
            shards.hold(session, merchant.id, wanted)
        except shards.ShardNotHeldError as error:
            raise GhostMovedError from error
        return cls(session, merchant, now, shards.held(session, merchant.id))

    def add(self, ghost: GhostTarget) -> None:
        """A new ghost, written with its plan in `finish`: a page of a hunt is one insert, and no update a ghost."""
        self._new.append(ghost)

    def _write_new(self) -> None:
        self.session.add_all(self._new)
        self.session.flush()
        self._new = []

    def event(
        self,
        ghost: GhostTarget,
        name: str,
        reason: str,
        *,
        former: GhostState | None = None,
        at: datetime | None = None,
        **facts: Any,
    ) -> None:
        """Keep one thing that happened to a ghost, with its reason.

        Raises `GhostMovedError` for a ghost whose shard is not held; the caller's transaction is tried again.
        """
        if not shards.of_customer(ghost.customer_id) <= self.held:
            raise GhostMovedError
        self._touched[ghost.id] = ghost
        self._events.append(
            {
                "merchant_id": ghost.merchant_id,
                "id": ids.new_id("ge"),
                "ghost_id": ghost.id,
                "name": name,
                "from_state": former or "",
                "to_state": ghost.state,
                "reason": reason,
                "facts": facts,
                "occurred_at": at or self.now,
            }
        )

    def move(
        self, ghost: GhostTarget, trigger: Trigger, reason: str, *, at: datetime | None = None, **facts: Any
    ) -> bool:
        """Apply a transition if the table allows it; False when it does not (an old or repeated hint).

        Keeps open totals, shadow leakage, plan and the ghost's dates in step with the state.
        """
        former = GhostState(ghost.state)
        if former is GhostState.PAUSED and trigger in _WHILE_PAUSED:
            return self._go_on_later(ghost, trigger, reason, at=at, **facts)
        if not can(former, trigger, GhostKind(ghost.kind)):
            return False
        ghost.state = after(former, trigger, GhostState(ghost.paused_from) if ghost.paused_from else None)
        ghost.paused_from = former if trigger is Trigger.PAUSED else None
        ghost.updated_at = self.now
        if former in UNPAID_STATES and ghost.state not in UNPAID_STATES:
            self.changes.total(ghost.currency, leakage_cents=-ghost.amount_cents)
        chased = (ghost.state in OPEN_STATES) - (former in OPEN_STATES)
        at_risk = (ghost.state == GhostState.IMPENDING) - (former is GhostState.IMPENDING)
        self.changes.total(
            ghost.currency,
            open_ghosts=chased,
            impending_ghosts=at_risk,
            impending_leakage_cents=at_risk * ghost.amount_cents,
        )
        self.count_in_group(ghost, chased)
        if ghost.state in _SHADOW_ENDS:
            self._hand_over_shadow(ghost)
            ghost.closed_at = ghost.closed_at or at or self.now
        if ghost.state == GhostState.EXHAUSTED:
            ghost.next_action_reason = reason
        if ghost.state not in OPEN_STATES and ghost.strategy == Strategy.HIGH_VALUE_MANUAL:
            manual.end_task(self.session, ghost, self.now, reason)
        self.event(ghost, trigger.value, reason, former=former, at=at, **facts)
        self.plan(ghost)
        return True

    def _go_on_later(
        self, ghost: GhostTarget, trigger: Trigger, reason: str, *, at: datetime | None, **facts: Any
    ) -> bool:
        """What comes of what was done before a pause: the ghost rests, and is resumed where it would stand by now."""
        rested = GhostState(ghost.paused_from or GhostState.OPEN)
        ghost.paused_from, ghost.updated_at = after(rested, trigger), self.now
        self.event(ghost, trigger.value, reason, former=GhostState.PAUSED, at=at, **facts)
        self.plan(ghost)
        return True

    def count_in_group(self, ghost: GhostTarget, times: int) -> None:
        """Add a ghost that is chased to its decline group's sums (1), or take it out as it stands now (-1)."""
        self.changes.group(ghost.currency, ghost.decline_group, amount_cents=times * ghost.amount_cents, ghosts=times)

    def plan(self, ghost: GhostTarget) -> None:
        """Have the ghost's next action and its reason worked out in `finish`, once all that decides is written."""
        self._unplanned[ghost.id] = ghost

    def _hand_over_shadow(self, ghost: GhostTarget) -> None:
        if not ghost.shadow_cents:
            return
        heir = repository.next_shadow_carrier(self.session, ghost)
        if heir is not None and heir.currency == ghost.currency:
            heir.shadow_cents = ghost.shadow_cents
        else:
            self.changes.total(ghost.currency, shadow_leakage_cents=-ghost.shadow_cents)
        ghost.shadow_cents = 0

    def money(self, event: str, currency: str, amount: int, mechanism: str) -> None:
        """Tell the operator's metrics of money, once it is committed."""

        def count() -> None:
            metrics.MONEY.add(event, currency, mechanism, amount=amount)
            metrics.MONEY_EVENTS.add(event, currency, mechanism)

        db.after_commit(self.session, count)

    def finish(self) -> None:
        """Write plans, events and sums; the ghosts themselves are flushed by the session."""
        self._count_in_funnel()
        self._plan()
        self._write_new()
        repository.add_events(self.session, self._events)
        ledger.apply(self.session, self.merchant.id, self.changes)
        self._events = []
        self.changes = ledger.Changes()

    def _count_in_funnel(self) -> None:
        """Bring the cohort's sums in step with each ghost to which anything happened."""
        for ghost in self._touched.values():
            step = funnel.step_of(ghost)
            if step != ghost.funnel_step:
                self.changes.day(ghost.found_on, ghost.currency, **funnel.gained(ghost.funnel_step, step))
                ghost.funnel_step = step.value
        self._touched = {}

    def _plan(self) -> None:
        ghosts, self._unplanned = list(self._unplanned.values()), {}
        if not ghosts:
            return
        for ghost in ghosts:
            retry_plans.plan(self.session, self.merchant, ghost, self.now)
        self.session.flush()
        self._write_plans(ghosts, {})

    def plan_now(self, ghost: GhostTarget, held: str) -> Action:
        """Work out and write the ghost's next action at once; `held` says why a fresh look lets it wait, or nothing."""
        self.session.flush()
        return self._write_plans([ghost], {ghost.id: held})[ghost.id]

    def _write_plans(self, ghosts: list[GhostTarget], held: dict[str, str]) -> dict[str, Action]:
        others = plan_repository.lock_chased_of_customers
        plans = planning.plans(self.session, self.merchant, ghosts, self.now, others, held)
        for ghost, action in plans:
            ghost.next_action_at = planning.lasting_moment(ghost, action, self.now)
            ghost.next_action, ghost.next_action_reason = action.name, action.reason
        upcoming.soon(self.session, self.merchant.id, plans, self.now)
        return {ghost.id: action for ghost, action in plans}
