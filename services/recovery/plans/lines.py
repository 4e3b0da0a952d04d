"""A high-value line that was moved reaches what is open: who decides about it is decided anew, from what is stored."""

from collections.abc import Sequence

from models.ghost import OPEN_STATES, GhostTarget, Strategy
from services.integrations.stripe.facts import DeclineFacts
from services.recovery import manual
from services.recovery.plans import plan_repository
from services.recovery.strategy import Decision, decide
from services.recovery.work import Work


def draw_anew(work: Work, ghosts: Sequence[GhostTarget]) -> None:
    """Give what is above the line now to a person, and back to the engine what no longer is; the caller plans them.

    What a person closed stays as they left it: their word was that nobody is written to any more.
    """
    moved = [(ghost, decision) for ghost in ghosts if (decision := _crossed(work, ghost)) is not None]
    if not moved:
        return
    by_people = plan_repository.list_by_people(work.session, work.merchant.id, [ghost.id for ghost, _ in moved])
    for ghost, decision in moved:
        _, is_done = by_people.get(ghost.id, (None, False))
        if not is_done:
            _move(work, ghost, decision)


def _crossed(work: Work, ghost: GhostTarget) -> Decision | None:
    """The new decision about a ghost that is on the line's other side by now; None where the line changes nothing."""
    line = work.merchant.policy.high_value_line(ghost.currency)
    above = line is not None and ghost.amount_cents > line
    by_person = ghost.strategy == Strategy.HIGH_VALUE_MANUAL
    if ghost.state not in OPEN_STATES or above == by_person:
        return None
    told = DeclineFacts(ghost.stripe_error_code, ghost.decline_code, ghost.advice_code, bool(ghost.requires_3ds))
    decision = decide(told, attempts=ghost.attempt_count, amount=ghost.amount_cents, high_value_line=line)
    return decision if (decision.strategy is Strategy.HIGH_VALUE_MANUAL) == above else None


def _move(work: Work, ghost: GhostTarget, decision: Decision) -> None:
    former = ghost.strategy
    work.count_in_group(ghost, -1)
    ghost.strategy, ghost.decline_group, ghost.strategy_reason = decision.strategy, decision.group, decision.reason
    work.count_in_group(ghost, 1)
    ghost.updated_at = work.now
    work.event(ghost, "strategy_changed", ghost.strategy_reason, strategy=ghost.strategy, before=former)
    if ghost.strategy == Strategy.HIGH_VALUE_MANUAL:
        manual.open_task(work.session, ghost, work.now)
    else:
        manual.no_person_needed(work.session, ghost, work.now)
