"""The life of a ghost as one explicit, pure state machine."""

from enum import StrEnum

from core.errors import ConflictError
from models.ghost import CHASED_STATES, COLLECTIBLE_STATES, OPEN_STATES, UNPAID_STATES, GhostKind, GhostState


class Trigger(StrEnum):
    """What can happen to a ghost."""

    MESSAGE_SENT = "message_sent"
    CLICKED = "clicked"
    PAUSED = "paused"
    RESUMED = "resumed"
    EXHAUSTED = "exhausted"
    STOPPED = "stopped"
    LOST = "lost"
    PAID = "paid"
    REVERSED = "reversed"
    GIVEN_BACK = "given_back"
    REOPENED = "reopened"
    CHARGE_FAILED = "charge_failed"
    MADE_SAFE = "made_safe"


class TransitionNotAllowedError(ConflictError):
    code, title = "transition_not_allowed", "A ghost in this state cannot do that"


S, T = GhostState, Trigger

TRANSITIONS: dict[tuple[GhostState, Trigger], GhostState] = {
    (S.OPEN, T.MESSAGE_SENT): S.CONTACTED,
    (S.CONTACTED, T.MESSAGE_SENT): S.CONTACTED,
    (S.CLICKED, T.MESSAGE_SENT): S.CLICKED,
    **{(state, T.CLICKED): S.CLICKED for state in CHASED_STATES},
    **{(state, T.PAUSED): S.PAUSED for state in CHASED_STATES},
    # A link still works while paused or closed; the click is recorded without moving the ghost.
    **{(state, T.CLICKED): state for state in UNPAID_STATES - CHASED_STATES},
    **{(state, T.EXHAUSTED): S.EXHAUSTED for state in OPEN_STATES},
    **{(state, T.STOPPED): S.STOPPED for state in COLLECTIBLE_STATES},
    **{(state, T.LOST): S.LOST for state in UNPAID_STATES - {S.LOST}},
    **{(state, T.PAID): S.RECOVERED for state in UNPAID_STATES},
    (S.RECOVERED, T.REVERSED): S.REVERSED,
    (S.REVERSED, T.GIVEN_BACK): S.RECOVERED,  # the refund came to nothing: the money is back
    # Owed again, and the customer has access: a cancellation taken back, a payment undone.
    **{(state, T.REOPENED): S.OPEN for state in (S.STOPPED, S.RECOVERED)},
    (S.IMPENDING, T.CHARGE_FAILED): S.OPEN,
    (S.IMPENDING, T.MADE_SAFE): S.PROTECTED,
    (S.IMPENDING, T.LOST): S.LOST,
    (S.PROTECTED, T.CHARGE_FAILED): S.OPEN,
    (S.LOST, T.CHARGE_FAILED): S.OPEN,  # called off, which is no loss, and it came all the same
}


def can(state: GhostState, trigger: Trigger, kind: GhostKind | None = None) -> bool:
    """Whether `trigger` may happen in `state`, to a ghost of that kind: what has failed does not begin to fail."""
    if kind is GhostKind.FAILED and trigger is T.CHARGE_FAILED:
        return False
    return (trigger is T.RESUMED and state is S.PAUSED) or (state, trigger) in TRANSITIONS


def after(state: GhostState, trigger: Trigger, paused_from: GhostState | None = None) -> GhostState:
    """The state `trigger` leads to. A resumed ghost goes back to where it was paused.

    Raises `TransitionNotAllowedError` for every pair the table does not name.
    """
    if trigger is T.RESUMED and state is S.PAUSED:
        return paused_from or S.OPEN
    target = TRANSITIONS.get((state, trigger))
    if target is None:
        raise TransitionNotAllowedError(f"{trigger} is not possible for a ghost that is {state}")
    return target
