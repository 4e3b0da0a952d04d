"""How far a failed ghost has come: found, messaged, clicked, recovered. Pure.

A ghost stands at one step, and is counted at that step and at all before it: so the funnel of any cohort narrows, by
construction and not by luck. What leaves the order out is no step: a payment without a click of ours before it, or a
click on what was said before the failure. Both count elsewhere, as recovered and as clicks.
"""

from models.ghost import FunnelStep, GhostKind, GhostState, GhostTarget
from services.recovery.credit.attribution import STRIPE_GRANULARITY

SUMS = {
    FunnelStep.MESSAGED: "cohort_messaged_count",
    FunnelStep.CLICKED: "cohort_clicked_count",
    FunnelStep.RECOVERED: "cohort_clicked_recovered_count",
}
"""Where each step is counted, on the day on which the ghost was found; found itself is counted by who finds."""


def step_of(ghost: GhostTarget) -> FunnelStep:
    """How far it stands now; what undoes a payment takes it back to clicked, and a refund that fails forth again.

    A click at the second of the payment came before it, because Stripe cuts its times to whole seconds.
    """
    if ghost.kind != GhostKind.FAILED or not ghost.messages_sent:
        return FunnelStep.FOUND
    if ghost.clicked_at is None:
        return FunnelStep.MESSAGED
    paid_at = ghost.closed_at if ghost.state == GhostState.RECOVERED else None
    if paid_at is None or ghost.clicked_at > paid_at + STRIPE_GRANULARITY:
        return FunnelStep.CLICKED
    return FunnelStep.RECOVERED


def gained(former: int, now: FunnelStep) -> dict[str, int]:
    """What the cohort's sums gain by a ghost that was counted at one step and stands at another."""
    return {column: (now >= step) - (former >= step) for step, column in SUMS.items()}
