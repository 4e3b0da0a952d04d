"""What goes into the durable queue and comes out of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models.work import TaskLane, TaskState


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task while somebody holds its lease. (`lease_owner`, `attempts`) is the fence: no two claims share it."""

    id: int
    kind: str
    merchant_id: str | None
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    deaths: int
    correlation_id: str
    lease_owner: str
    run_at: datetime
    key: str | None = None
    suspect: bool = False
    put_off: int = 0

    @property
    def tenant(self) -> str:
        """The merchant's id, for handlers of kinds that always have one."""
        if self.merchant_id is None:
            raise ValueError(f"a {self.kind} task needs a merchant")
        return self.merchant_id


@dataclass(frozen=True, slots=True)
class NewTask:
    """One of many tasks of a kind; its key makes it one task, however often it is scheduled."""

    key: str
    payload: dict[str, Any]
    run_at: datetime


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a handler returned; at most 64 kB as JSON."""

    task: ClaimedTask
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completed:
    """Tasks that were still ours when they were done, and the lanes in which a due task waited after that."""

    kept: frozenset[int]
    waiting: frozenset[TaskLane]


@dataclass(frozen=True, slots=True)
class ExpiredLease:
    """A running task whose lease has not been renewed; its process is dead, stopped or cut off."""

    id: int
    lease_owner: str
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One merchant's period of a schedule: its task, when it began, and whether connecting within it counts for it."""

    kind: str
    priority: int
    merchant_id: str
    number: int
    key: str
    began: datetime
    done_by_connecting: bool


@dataclass(frozen=True, slots=True)
class TaskCount:
    kind: str
    state: TaskState
    count: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as the System page shows it."""

    id: int
    kind: str
    state: TaskState
    attempts: int
    max_attempts: int
    deaths: int
    run_at: datetime
    created_at: datetime
    finished_at: datetime | None
    last_error: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue at a moment. `oldest_due_at` is when the longest-waiting due task should have run, if one waits."""

    counts: tuple[TaskCount, ...]
    oldest_due_at: datetime | None
    recent: tuple[TaskView, ...]

    def count(self, state: TaskState) -> int:
        """How many tasks are in a state, all kinds together."""
        return sum(entry.count for entry in self.counts if entry.state is state)
