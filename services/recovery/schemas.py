"""What goes into the recovery engine and what comes out of it; frozen values, never table rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from models.ghost import GhostKind, GhostState, GhostTarget, Strategy
from services.messaging.reach import Reachable
from services.messaging.schemas import MessageView


@dataclass(frozen=True, slots=True)
class GhostRow:
    """One line of the Recoveries list. Money in minor units; times UTC."""

    id: str
    kind: GhostKind
    state: GhostState
    customer_id: str
    customer_name: str
    customer_email: str
    amount: int
    currency: str
    strategy: Strategy
    strategy_reason: str
    decline_code: str
    decline_group: str
    card_brand: str
    card_last4: str
    found_at: datetime
    last_action: str
    last_action_at: datetime | None
    next_action: str
    next_action_at: datetime | None
    next_action_reason: str
    messages_sent: int
    click_count: int
    recovered: int
    closed_at: datetime | None
    last_seen_at: datetime | None  # using the product, while unpaid


@dataclass(frozen=True, slots=True)
class GhostPage:
    """A page of the list; `page` counts from 1."""

    rows: tuple[GhostRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class NextHour:
    """The messages of the next hour: how many (`more`: at least so many), and the ghosts of the first.

    `why_none` says why there can be none; empty where it only depends on what is due.
    """

    messages: int
    more: bool
    first: tuple[GhostRow, ...]
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class GhostQuery:
    """What the list shows. `sort` is one of found, amount, next, active; newest or largest first unless `ascending`."""

    states: tuple[GhostState, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    search: str = ""
    sort: str = "found"
    ascending: bool = False
    page: int = 1
    page_size: int = 25


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One event of a ghost's life."""

    name: str
    from_state: str
    to_state: str
    reason: str
    occurred_at: datetime
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ForensicFact:
    """A label and a value of the ghost's page, already in words."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class GhostDetail:
    row: GhostRow
    invoice_id: str
    subscription_id: str
    subscription_status: str
    mechanism: str
    close_reason: str
    phone: str
    at_stripe: str  # the invoice in Stripe's Dashboard; empty where it has none
    forensics: tuple[ForensicFact, ...]
    timeline: tuple[TimelineEntry, ...]
    messages: tuple[MessageView, ...]


class Planned(Reachable, Protocol):
    """What the plan of a ghost is made from: the entity, or just these columns of it."""

    # Properties, because a protocol's plain attributes could be written to.
    @property
    def id(self) -> str: ...
    @property
    def country_code(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def decline_group(self) -> str: ...
    @property
    def original_invoice_date(self) -> datetime: ...
    @property
    def found_at(self) -> datetime: ...
    @property
    def reopened_at(self) -> datetime | None: ...
    @property
    def messages_sent(self) -> int: ...
    @property
    def contacted_at(self) -> datetime | None: ...
    @property
    def next_action(self) -> str: ...
    @property
    def next_action_at(self) -> datetime | None: ...
    @property
    def next_action_reason(self) -> str: ...


class PlanRow(NamedTuple):
    """The columns of a ghost that its plan is made from; an entity costs ten times as much to load."""

    id: str
    customer_id: str | None
    customer_email: str | None
    customer_phone: str | None
    customer_country: str
    country_code: str
    state: str
    strategy: str
    decline_group: str
    original_invoice_date: datetime
    found_at: datetime
    reopened_at: datetime | None
    messages_sent: int
    contacted_at: datetime | None
    next_action: str
    next_action_at: datetime | None
    next_action_reason: str


class Apart(NamedTuple):
    """What a plan needs to know besides of ghosts that are not chased; read of those alone, for they are few."""

    charge_at: datetime | None
    risk: str
    amount_cents: int
    currency: str
    subscription_status: str

    @classmethod
    def of(cls, ghost: GhostTarget) -> "Apart":
        return cls(*(getattr(ghost, name) for name in cls._fields))
