"""Recoveries that went back: the one way in for webhooks, which hear of a refund, and hunts, which find it.

Every refund and every lost dispute is a row of its own, whole or in part, once for each ghost that the payment paid.
A ghost is reversed when nothing is left of what it brought. A refund may fail weeks after it was made: then the ledger
gets the opposite row, the ghost is recovered again, and what had found nothing left takes its part now.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlmodel import Session

from models.ghost import GhostTarget
from models.money import Recovery, RecoveryKind
from services.integrations.stripe.returns import MoneyBack, Undone
from services.recovery import neighbours, repository
from services.recovery.credit import parts, reversals_repository, settle, shares
from services.recovery.credit.parts import Part
from services.recovery.work import MerchantContext, Work


@dataclass(frozen=True, slots=True)
class Returned:
    """Money that went back, and the invoices that its payment had paid."""

    back: MoneyBack
    invoice_ids: tuple[str, ...]


def invoices_of(session: Session, merchant_id: str, undone: Sequence[Undone]) -> list[str]:
    """The invoices of the ghosts from which these had taken something; most came to nothing before anybody heard."""
    return reversals_repository.invoices_taken_from(session, merchant_id, [one.source_id for one in undone])


def take_back(
    session: Session,
    merchant: MerchantContext,
    returned: Sequence[Returned],
    now: datetime,
    undone: Sequence[Undone] = (),
    undone_at: datetime | None = None,
) -> int:
    """Take these recoveries back, in the caller's transaction; of how many something was. `now` is aware UTC.

    Each refund or dispute once a ghost, whoever comes first, and never more than was recovered. What the `undone` had
    taken is given back before, as of `undone_at`; those are counted too. In a transaction that worked on ghosts before,
    their shards must be among those it holds, as everywhere.
    """
    paid = {invoice for each in returned for invoice in each.invoice_ids}
    invoice_ids = sorted(paid.union(invoices_of(session, merchant.id, undone)))
    needed = neighbours.of_invoices(session, merchant.id, (), invoice_ids)
    work = Work.begin(session, merchant, now, needed)
    ghosts = repository.lock_by_invoices(session, merchant.id, invoice_ids)
    ids = [ghost.id for ghost in ghosts.values()]
    known = _Known(
        repository.list_recoveries(session, merchant.id, ids), parts.of_ghosts(session, merchant.id, ids), returned
    )
    changed: set[str] = set()
    for one in undone:
        changed |= _give_back(work, one, ghosts.values(), known, undone_at or now)
    backs = {each.back.source_id: each.back for each in returned}
    told = sorted(backs.values(), key=lambda back: (back.at or now, back.source_id))
    theirs = {
        each.back.source_id: [ghosts[invoice] for invoice in sorted(set(each.invoice_ids)) if invoice in ghosts]
        for each in returned
    }
    due = _due(told, theirs, known)
    for back in told:
        changed |= _take(work, back, due[back.source_id], theirs[back.source_id], known)
    work.finish()
    return len(changed)


class _Known:
    """What the ledger says of some ghosts: what each payment brought, and what each source has taken from whom.

    A payment that was undone took everything before it along: what is paid since is told of by the rows since.
    """

    def __init__(
        self, rows: Sequence[Recovery], parts: Mapping[str, Mapping[str | None, Part]], returned: Sequence[Returned]
    ) -> None:
        self.parts = parts  # by ghost and payment, of those that several paid
        self.sources: dict[str | None, set[str]] = defaultdict(set)  # by payment: what took from it, now or before
        for each in returned:
            self.sources[each.back.payment_intent_id].add(each.back.source_id)
        self.brought: dict[str, int] = defaultdict(int)
        self.paid_at: dict[str, datetime] = {}  # by ghost: since when it is paid
        self.undone: set[str] = set()  # ghosts that were paid before, and then owed again
        self.taken: dict[str, Counter[str]] = defaultdict(Counter)  # by source and ghost, whatever became of it
        self.times: Counter[tuple[str, str]] = Counter()  # ... and in how many rows, of all times it was paid
        self.standing: dict[str, set[str]] = defaultdict(set)  # by ghost: whose part is still gone
        self.regained: set[str] = set()  # ghosts to which something was given back
        for row in rows:
            self._read(row)

    def _read(self, row: Recovery) -> None:
        source = settle.source_of(row)
        if row.kind == RecoveryKind.RECOVERED:
            self.brought[row.ghost_id] += row.amount_cents
            self.paid_at[row.ghost_id] = row.occurred_at
        elif settle.is_reopening(row):
            self._begin_anew(row.ghost_id)
        elif row.kind == RecoveryKind.REVERSED and row.amount_cents > 0:
            self.gave_back(source, row.ghost_id)
        elif row.kind == RecoveryKind.REVERSED:
            self.took(source, row.ghost_id, -row.amount_cents)
            if row.payment_intent_id is not None:
                self.sources[row.payment_intent_id].add(source)

    def _begin_anew(self, ghost_id: str) -> None:
        """What was paid is undone whole, so what had gone back of it before has no part in what is paid since.

        But for one that went back of a payment which stayed: that payment counts once more, and so must it.
        """
        self.undone.add(ghost_id)
        self.brought[ghost_id] = 0
        self.standing.pop(ghost_id, None)
        self.regained.discard(ghost_id)
        for taken in self.taken.values():
            taken.pop(ghost_id, None)

    def brought_by(self, back: MoneyBack, ghost: GhostTarget) -> int:
        """What of a recovery the payment that `back` is of brought; all of it where it was the only one."""
        whole = self.brought[ghost.id]
        only: Mapping[str | None, Part] = {ghost.payment_intent_id: Part(whole, self.paid_at.get(ghost.id))}
        part = self.parts.get(ghost.id, only).get(back.payment_intent_id)
        if part is None or (ghost.id in self.undone and _is_before(back.made_at, part.paid_at)):
            return 0  # ... or it is of an earlier charge of that payment, which was undone with it
        return min(part.amount, whole)

    def left_of(self, back: MoneyBack, ghost: GhostTarget) -> int:
        """... and what of that nothing has taken yet."""
        gone = self.sources[back.payment_intent_id] & self.standing[ghost.id]
        return max(self.brought_by(back, ghost) - sum(self.taken[each][ghost.id] for each in gone), 0)

    def took(self, source: str, ghost_id: str, amount: int) -> None:
        self.taken[source][ghost_id] += amount
        self.times[source, ghost_id] += 1
        self.standing[ghost_id].add(source)

    def gave_back(self, source: str, ghost_id: str) -> None:
        self.standing[ghost_id].discard(source)
        self.regained.add(ghost_id)

    def name(self, source: str, ghost_id: str) -> str:
        """What the next row of a source stands for: one a ghost, and another for what came back or was paid since."""
        times = self.times[source, ghost_id]
        return f"{source}:{times + 1}"[-64:] if times else source


def _give_back(work: Work, undone: Undone, ghosts: Iterable[GhostTarget], known: _Known, at: datetime) -> set[str]:
    changed = set()
    for ghost in ghosts:
        if undone.source_id not in known.standing[ghost.id]:
            continue
        amount = known.taken[undone.source_id][ghost.id]
        if settle.give_back(work, ghost, undone.source_id, amount, undone.reason, at):
            known.gave_back(undone.source_id, ghost.id)
            changed.add(ghost.id)
    return changed


def _due(told: Sequence[MoneyBack], theirs: Mapping[str, Sequence[GhostTarget]], known: _Known) -> dict[str, int]:
    """What each has yet to take, by source; `told` the oldest first. Those of one payment are rounded together."""
    of_payment: dict[str | None, dict[str, MoneyBack]] = defaultdict(dict)
    for back in told:
        of_payment[back.payment_intent_id][back.source_id] = back
    due: dict[str, int] = {}
    for backs in of_payment.values():
        parts = [_part_of(back, theirs[source], known) for source, back in backs.items()]
        taken = [known.taken[source].total() for source in backs]
        due |= zip(backs, shares.due(parts, taken), strict=True)
    return due


def _part_of(back: MoneyBack, paid: Sequence[GhostTarget], known: _Known) -> Fraction:
    brought = sum(known.brought_by(back, ghost) for ghost in paid)
    return shares.part_of(back.amount, charged=back.charged, brought=brought)


def _take(work: Work, back: MoneyBack, due: int, paid: Sequence[GhostTarget], known: _Known) -> set[str]:
    source, taken = back.source_id, known.taken[back.source_id]
    still = [ghost for ghost in paid if ghost.id not in taken or ghost.id in known.regained]
    left = [min(ghost.recovered_cents, known.left_of(back, ghost)) for ghost in still]
    changed = set()
    for ghost, share in zip(still, shares.split(due, left), strict=True):
        name, at = known.name(source, ghost.id), back.at or work.now
        if settle.reverse(work, ghost, name, share, back.reason, at, back.payment_intent_id):
            known.took(source, ghost.id, share)
            changed.add(ghost.id)
    return changed


def _is_before(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and other is not None and moment < other - settle.CLOCKS
