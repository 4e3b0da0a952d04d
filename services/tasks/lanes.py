"""Which kinds of task wait in which lane."""

from models.work import TaskLane

# Seconds to hours each. What is unknown runs in the quick lane, where that is found out.
LONG_KINDS = frozenset({"hunt", "pulse", "purge_pii", "report_usage"})


def lane_of(kind: str) -> TaskLane:
    """The lane a task of `kind` is scheduled into."""
    return TaskLane.LONG if kind in LONG_KINDS else TaskLane.QUICK
