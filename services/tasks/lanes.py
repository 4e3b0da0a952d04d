"""Which kinds of task wait in which lane."""

from models.work import TaskLane

# Seconds to hours each. What is unknown runs in the quick lane, where that is found out.
LONG_KINDS = frozenset({"hunt", "pulse", "purge_pii", "report_usage"})

# Ordered, because a planner may answer a mere `exists` by reading the table.
LANES_WITH_DUE = """
select mine.lane from unnest(cast(:lanes as text[])) as mine (lane)
where coalesce(
    (select true from scheduled_tasks task where state = 'pending' and due and task.lane = mine.lane
    order by priority desc limit 1),
    (select true from scheduled_tasks task where state = 'pending' and not due and run_at <= :now
        and task.lane = mine.lane order by run_at limit 1),
    false)"""
"""SQL: in which of the lanes (`:lanes`) a task waits that is due or became so (`:now`), and nobody has claimed."""


def lane_of(kind: str) -> TaskLane:
    """The lane a task of `kind` is scheduled into."""
    return TaskLane.LONG if kind in LONG_KINDS else TaskLane.QUICK
