"""The sums counted again from the rows they stand for: ghosts, ledger, messages, clicks, events. Nothing is added up
from sums here."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import Session, SQLModel, col, select

from core import db
from models.ghost import OPEN_STATES, UNPAID_STATES, GhostEvent, GhostKind, GhostState, GhostTarget
from models.merchant import BilledInvoice, MerchantTotals, OpenLeakage
from models.merits import DailyMerits, MeritKind
from models.messaging import Click, Message, MessageState
from models.money import DailyMetrics, Recovery, RecoveryKind

_CARRYING = UNPAID_STATES - {GhostState.LOST, GhostState.STOPPED}
_NO_SUM = {"merchant_id", "shard", "updated_at"}
_KEYS: dict[type[SQLModel], tuple[str, ...]] = {
    DailyMetrics: ("day", "currency"),
    DailyMerits: ("day", "currency", "kind", "mechanism"),
    MerchantTotals: ("currency",),
    OpenLeakage: ("currency", "decline_group"),
}


class Sums:
    """Figures by (table, key, column); what is zero is left out."""

    def __init__(self) -> None:
        self._figures: dict[Hashable, int] = defaultdict(int)

    def add(self, table: type, key: tuple[object, ...], **figures: int) -> None:
        for column, figure in figures.items():
            self._figures[str(table.__tablename__), *key, column] += figure  # type: ignore[attr-defined]

    @property
    def figures(self) -> dict[Hashable, int]:
        return {key: figure for key, figure in self._figures.items() if figure}


def assert_sums_agree(merchant_id: str, *, billed: bool = True) -> None:
    """Every figure of the sums is what its rows say, and no subscription's shadow leakage is carried twice.

    `billed` False leaves out what was billed: its rows are pruned after 60 days.
    """
    kept, counted = _both_ways(merchant_id, billed=billed)
    assert kept == counted


def differences(merchant_id: str, *, billed: bool = True) -> list[tuple[str, str]]:
    """The same to be judged elsewhere: the table and, in words, each figure that is not what its rows say."""
    kept, counted = _both_ways(merchant_id, billed=billed)
    wrong = sorted((key for key in {*kept, *counted} if kept.get(key, 0) != counted.get(key, 0)), key=str)
    return [_told(key, counted.get(key, 0), kept.get(key, 0)) for key in wrong]


def _told(key: Hashable, counted: int, kept: int) -> tuple[str, str]:
    assert isinstance(key, tuple)
    return str(key[0]), f"{'/'.join(map(str, key[1:]))} should be {counted} and is {kept}"


def _both_ways(merchant_id: str, *, billed: bool) -> tuple[dict[Hashable, int], dict[Hashable, int]]:
    """What the sums say, and what their rows add up to."""
    with db.tenant_session(merchant_id) as session:
        kept, counted = _kept(session), _counted(session)
        assert_one_carrier_each(session.exec(select(GhostTarget)).all())
    if not billed:
        kept, counted = (
            {key: figure for key, figure in side.items() if not str(key).count("billed_")} for side in (kept, counted)
        )
    return kept, counted


def assert_one_carrier_each(ghosts: Iterable[GhostTarget]) -> None:
    """A subscription's value is carried once while any failed ghost of it is chased, or only closed to messages."""
    known = list(ghosts)
    carriers = [ghost.subscription_id for ghost in known if ghost.shadow_cents]
    assert len(carriers) == len(set(carriers))
    owing = {
        ghost.subscription_id
        for ghost in known
        if ghost.kind == GhostKind.FAILED and ghost.state in _CARRYING and ghost.monthly_value_cents
    }
    assert owing - {None} <= set(carriers)


def _kept(session: Session) -> dict[Hashable, int]:
    sums = Sums()
    for table, key in _KEYS.items():
        for row in session.exec(select(table)):
            figures: dict[str, Any] = row.model_dump(exclude=_NO_SUM | set(key))
            sums.add(table, tuple(getattr(row, name) for name in key), **figures)
    return sums.figures


def _counted(session: Session) -> dict[Hashable, int]:
    sums = Sums()
    ghosts = {ghost.id: ghost for ghost in session.exec(select(GhostTarget))}
    funnel = _Funnel(session)
    for ghost in ghosts.values():
        _count_ghost(sums, ghost, funnel)
    for entry in session.exec(select(Recovery)):
        _count_entry(sums, entry, ghosts[entry.ghost_id])
    for message in session.exec(select(Message)):
        at = message.intent_at if message.state == MessageState.UNCERTAIN else message.sent_at
        if at is not None:
            sums.add(DailyMetrics, (at.date(), ghosts[message.ghost_id].currency), messages_count=1)
    for click in session.exec(select(Click)):
        sums.add(DailyMetrics, (click.confirmed_at.date(), ghosts[click.ghost_id].currency), clicks_count=1)
    _count_lost(sums, session, ghosts)
    for invoice in session.exec(select(BilledInvoice)):
        key = (invoice.billed_on, invoice.currency)
        sums.add(DailyMetrics, key, billed_count=1, billed_cents=invoice.amount_cents)
    return sums.figures


def _count_lost(sums: Sums, session: Session, ghosts: dict[str, GhostTarget]) -> None:
    """What was lost is as much as was open then, whatever is open of it by now."""
    told = select(GhostEvent).where(col(GhostEvent.name).in_(("lost", "amount_changed")))
    open_then = {ghost.id: ghost.found_cents for ghost in ghosts.values()}
    for event in session.exec(told.order_by(col(GhostEvent.id))):
        ghost = ghosts[event.ghost_id]
        if event.name == "amount_changed":
            open_then[ghost.id] = event.facts["amount"]
        elif event.from_state != GhostState.IMPENDING:  # what is called off before it failed was no loss
            day = event.occurred_at.date(), ghost.currency
            sums.add(DailyMetrics, day, lost_count=1, lost_cents=open_then[ghost.id])


class _Funnel:
    """Who was messaged, who clicked after it and who paid after that, from messages, clicks and the ledger."""

    def __init__(self, session: Session) -> None:
        messages = session.exec(select(Message)).all()
        steps = {message.id: message.step for message in messages}
        self.messaged = {
            message.ghost_id
            for message in messages
            if message.step and (message.sent_at or message.state == MessageState.UNCERTAIN)
        }
        self.clicked_at: dict[str, datetime] = {}
        for click in session.exec(select(Click)):
            if steps.get(click.message_id) != 0:  # not what was said before the charge failed
                at = self.clicked_at.get(click.ghost_id, click.confirmed_at)
                self.clicked_at[click.ghost_id] = min(at, click.confirmed_at)
        self.paid_at: dict[str, datetime] = {}
        for entry in session.exec(select(Recovery).where(Recovery.kind == RecoveryKind.RECOVERED)):
            at = self.paid_at.get(entry.ghost_id, entry.occurred_at)
            self.paid_at[entry.ghost_id] = max(at, entry.occurred_at)

    def has_clicked(self, ghost: GhostTarget) -> bool:
        return ghost.id in self.messaged and ghost.id in self.clicked_at

    def has_paid(self, ghost: GhostTarget) -> bool:
        """After the click, to the second; and the money is still there."""
        if ghost.state != GhostState.RECOVERED or not self.has_clicked(ghost):
            return False
        return self.clicked_at[ghost.id] <= self.paid_at[ghost.id] + timedelta(seconds=1)


def _count_ghost(sums: Sums, ghost: GhostTarget, funnel: _Funnel) -> None:
    if ghost.kind == GhostKind.IMPENDING:
        if ghost.state == GhostState.IMPENDING:
            at_risk = {"impending_leakage_cents": ghost.amount_cents, "impending_ghosts": 1}
            sums.add(MerchantTotals, (ghost.currency,), **at_risk)
        return
    sums.add(
        DailyMetrics,
        (ghost.found_on, ghost.currency),
        found_count=1,
        found_cents=ghost.found_cents,
        cohort_messaged_count=int(ghost.id in funnel.messaged),
        cohort_clicked_count=int(funnel.has_clicked(ghost)),
        cohort_clicked_recovered_count=int(funnel.has_paid(ghost)),
    )
    chased = ghost.state in OPEN_STATES
    sums.add(
        MerchantTotals,
        (ghost.currency,),
        leakage_cents=ghost.amount_cents if ghost.state in UNPAID_STATES else 0,
        shadow_leakage_cents=ghost.shadow_cents,
        open_ghosts=int(chased),
    )
    if chased:
        key = (ghost.currency, ghost.decline_group)
        sums.add(OpenLeakage, key, amount_cents=ghost.amount_cents, ghosts=1)


def _count_entry(sums: Sums, entry: Recovery, ghost: GhostTarget) -> None:
    on, found = (entry.occurred_at.date(), entry.currency), (ghost.found_on, ghost.currency)
    _count_merit(sums, on, entry)
    if entry.kind == RecoveryKind.PROTECTED:
        times = 1 if entry.amount_cents >= 0 else -1
        sums.add(DailyMetrics, on, protected_count=times, protected_cents=entry.amount_cents)
        sums.add(MerchantTotals, (entry.currency,), protected_cents=entry.amount_cents)
        return
    sums.add(MerchantTotals, (entry.currency,), recovered_cents=entry.amount_cents)
    if entry.kind == RecoveryKind.CREDITED:  # from one mechanism to another: of all sums those by merit know them
        return
    if entry.kind == RecoveryKind.REVERSED:
        times = 1 if entry.amount_cents < 0 else -1  # a refund that failed is given back
        sums.add(DailyMetrics, on, reversed_count=times, reversed_cents=-entry.amount_cents)
        if entry.source_id.startswith("reopened:"):  # owed again: not recovered, which is more than given back
            sums.add(DailyMetrics, found, cohort_recovered_count=-1, cohort_recovered_cents=entry.amount_cents)
            return
        sums.add(DailyMetrics, found, cohort_reversed_cents=-entry.amount_cents)
    else:
        sums.add(DailyMetrics, on, recovered_count=1, recovered_cents=entry.amount_cents)
        sums.add(DailyMetrics, found, cohort_recovered_count=1, cohort_recovered_cents=entry.amount_cents)


def _count_merit(sums: Sums, on: tuple[date, str], entry: Recovery) -> None:
    """A payment moved to another mechanism is taken off the one and counted for the other."""
    taken = entry.amount_cents < 0
    kind, times = {
        RecoveryKind.RECOVERED: (MeritKind.RECOVERED, 1),
        RecoveryKind.CREDITED: (MeritKind.RECOVERED, -1 if taken else 1),
        RecoveryKind.PROTECTED: (MeritKind.FAILED if taken else MeritKind.PROTECTED, 1),
        RecoveryKind.REVERSED: (MeritKind.RECOVERED, 0),
    }[RecoveryKind(entry.kind)]
    if times:
        sums.add(DailyMerits, (*on, kind.value, entry.mechanism), amount_cents=entry.amount_cents, times=times)
