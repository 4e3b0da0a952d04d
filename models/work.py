"""Durable work: webhook intake, tasks, and the record of each hunt."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, String, text
from sqlmodel import Field

from models.base import Scope, Table, TenantTable, count, enum_text, json_object, long_text, optional_utc, utc_column


class ProcessedEvent(Table, table=True):
    """Every webhook accepted, once. `payload` is emptied when handled; rows go after 30 days, unhandled ones never.

    What nobody could handle for 90 days is emptied too (`given_up`), and its row stays. The application login may do
    one thing here: mark an event of its own merchant handled, when its dead task is laid aside.
    """

    __tablename__ = "processed_events"
    scope = Scope.PLATFORM

    id: str = Field(primary_key=True, max_length=255)
    source: str = Field(default="stripe", max_length=24)
    type: str = Field(max_length=120)
    account: str | None = Field(default=None, max_length=64)
    merchant_id: str | None = Field(default=None, max_length=40)
    livemode: bool = False
    payload: bytes | None = Field(default=None, sa_type=LargeBinary)
    received_at: datetime = utc_column(sa_column_kwargs={"server_default": text("now()")})
    handled_at: datetime | None = optional_utc()
    outcome: str = Field(default="", max_length=48)

    __table_args__ = (
        Index("ix_processed_events_unhandled", "received_at", postgresql_where=text("handled_at is null")),
        Index("ix_processed_events_received", "received_at"),
    )


class TaskState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"  # for a person to look at, and to replay


class TaskLane(StrEnum):
    """Where a task waits: a hunt of minutes must not stand before a webhook."""

    QUICK = "quick"
    LONG = "long"


class ScheduledTask(Table, table=True):
    """The state machine of all work. Finished rows are pruned after a week; dead ones wait for a person.

    `due` says that a pending task's moment has come. It is set when that is noticed and never taken back, so that
    claims walk past nothing that lies in the future, and a clock that jumps back delays nothing that was due.

    `suspect` says that it lay in the hands of a process that died, perhaps of it. Of a suspect it is written down when
    it begins (`begun`), so that the next death is counted to the one that ran.
    """

    __tablename__ = "scheduled_tasks"
    scope = Scope.SHARED

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    kind: str = Field(max_length=48)
    key: str | None = Field(default=None, max_length=200)  # idempotency: one task a key, ever while it is kept
    merchant_id: str | None = Field(default=None, max_length=40)
    payload: dict[str, Any] = json_object()
    state: TaskState = enum_text(TaskState.PENDING)
    lane: TaskLane = Field(
        default=TaskLane.QUICK, sa_type=String(8), nullable=False, sa_column_kwargs={"server_default": "quick"}
    )
    priority: int = count()
    run_at: datetime = utc_column()
    due: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    attempts: int = count()
    max_attempts: int = Field(default=5, sa_column_kwargs={"server_default": "5"})
    deaths: int = count()  # times its process died under it
    suspect: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    begun: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    put_off: int = count()  # times in a row that somebody it needs was away
    lease_owner: str | None = Field(default=None, max_length=64)
    leased_until: datetime | None = optional_utc()
    correlation_id: str = Field(default="", max_length=64)
    result: dict[str, Any] = json_object()
    last_error: str = long_text()
    created_at: datetime = utc_column(sa_column_kwargs={"server_default": text("now()")})
    finished_at: datetime | None = optional_utc()

    __table_args__ = (
        Index("uq_scheduled_tasks_key", "key", unique=True),
        # A claim's walk: each lane's priorities, in each the merchants that have due tasks, of each its oldest.
        Index(
            "ix_scheduled_tasks_claim",
            "lane",
            text("priority desc"),
            text("coalesce(merchant_id, '-')"),
            "run_at",
            "id",
            postgresql_where=text("state = 'pending' and due"),
        ),
        Index("ix_scheduled_tasks_waiting", "run_at", postgresql_where=text("state = 'pending' and not due")),
        Index("ix_scheduled_tasks_dead", "merchant_id", "id", postgresql_where=text("state = 'dead'")),
        Index("ix_scheduled_tasks_lease", "leased_until", postgresql_where=text("state = 'running'")),
        Index("ix_scheduled_tasks_merchant", "merchant_id", "state", "run_at"),
        Index("ix_scheduled_tasks_finished", "finished_at", postgresql_where=text("state = 'done'")),
    )


class HuntState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Hunt(TenantTable, table=True):
    """One scan of a merchant's account: progress while it runs, its cursor if it stops, its figures after.

    Pruned after 180 days.
    """

    __tablename__ = "hunts"

    state: HuntState = enum_text(HuntState.RUNNING)
    trigger: str = Field(default="schedule", max_length=24)
    since: datetime | None = optional_utc()
    until: datetime | None = optional_utc()
    sweep: str = Field(default="", max_length=24)
    cursor: dict[str, Any] = json_object()
    listed: int = count()
    found: int = count()
    updated: int = count()
    unreadable: int = count()
    requests: int = count()
    seconds: float = 0.0
    error: str = long_text()  # of a done one: what it could not look at
    looked_until: dict[str, Any] = json_object()  # Unix seconds: where the next hunt's lists of refunds, … begin
    started_at: datetime = utc_column()
    finished_at: datetime | None = optional_utc()

    __table_args__ = (
        Index("ix_hunts_recent", "merchant_id", text("started_at desc")),
        # What a dashboard asks: when the last one ended.
        Index(
            "ix_hunts_done",
            "merchant_id",
            text("started_at desc"),
            postgresql_include=["finished_at"],
            postgresql_where=text("state = 'done'"),
        ),
    )


class HuntSpool(Table, table=True):
    """What a hunt's first sweeps learnt, kept for its last: memory stays flat.

    Emptied when the hunt ends; that of a hunt nobody goes on with goes with the merchant's next one after a week.
    """

    __tablename__ = "hunt_spool"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    hunt_id: str = Field(primary_key=True, max_length=40)
    object_id: str = Field(primary_key=True, max_length=64)
    facts: dict[str, Any] = json_object()
