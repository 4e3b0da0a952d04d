"""Recoveries that went back: the one way in for webhooks, which hear of a refund, and hunts, which find it.

Every refund and every lost dispute is a row of its own, whole or in part, once for each ghost that the payment paid.
A ghost is reversed when nothing is left of what it brought. A refund may fail weeks after it was made: then the ledger
gets the opposite row, the ghost is recovered again, and what had found nothing left takes its part now.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from models.ghost import GhostTarget
from models.money import Recovery, RecoveryKind
from services.integrations.stripe.returns import MoneyBack, Undone
from services.recovery import neighbours, repository
from services.recovery.credit import parts, reversals_repository, settle, shares
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
    for each in sorted(returned, key=lambda one: (one.back.at or now, one.back.source_id)):
        theirs = [ghosts[invoice] for invoice in sorted(set(each.invoice_ids)) if invoice in ghosts]
        changed |= _take(work, each.back, theirs, known)
    work.finish()
    return len(changed)


class _Known:
    """What the ledger says of some ghosts: what each payment brought, and what each source has taken from whom."""

    def __init__(
        self, rows: Sequence[Recovery], parts: Mapping[str, Mapping[str, int]], returned: Sequence[Returned]
    ) -> None:
        self.parts = parts  # by ghost and payment, of those that several paid
        self.sources: dict[str | None, set[str]] = defaultdict(set)  # by payment: what took from it, as far as told
        for each in returned:
            self.sources[each.back.payment_intent_id].add(each.back.source_id)
        self.brought: dict[str, int] = defaultdict(int)
        self.taken: dict[str, Counter[str]] = defaultdict(Counter)  # by source and ghost, whatever became of it
        self.times: Counter[tuple[str, str]] = Counter()  # ... and in how many rows
        self.standing: dict[str, set[str]] = defaultdict(set)  # by ghost: whose part is still gone
        self.regained: set[str] = set()  # ghosts to which something was given back
        for row in rows:
            if row.kind == RecoveryKind.RECOVERED:
                self.brought[row.ghost_id] += row.amount_cents
            elif settle.is_reopening(row):  # what was paid before is undone whole: a payment since then stands alone
                self.brought[row.ghost_id] = 0
                self.standing.pop(row.ghost_id, None)
                self.regained.discard(row.ghost_id)
            elif row.kind == RecoveryKind.REVERSED and row.amount_cents > 0:
                self.gave_back(settle.source_of(row), row.ghost_id)
            elif row.kind == RecoveryKind.REVERSED:
                self.took(settle.source_of(row), row.ghost_id, -row.amount_cents)

    def brought_by(self, payment: str | None, ghost_id: str) -> int:
        """What of a recovery a payment brought; all of it where it was the only one."""
        mine = self.parts.get(ghost_id)
        whole = self.brought[ghost_id]
        return whole if mine is None else min(mine.get(payment or "", 0), whole)

    def left_of(self, payment: str | None, ghost_id: str) -> int:
        """... and what of that nothing has taken yet."""
        gone = self.sources[payment] & self.standing[ghost_id]
        return max(self.brought_by(payment, ghost_id) - sum(self.taken[each][ghost_id] for each in gone), 0)

    def took(self, source: str, ghost_id: str, amount: int) -> None:
        self.taken[source][ghost_id] += amount
        self.times[source, ghost_id] += 1
        self.standing[ghost_id].add(source)

    def gave_back(self, source: str, ghost_id: str) -> None:
        self.standing[ghost_id].discard(source)
        self.regained.add(ghost_id)

    def name(self, source: str, ghost_id: str) -> str:
        """What the next row of a source stands for: one a ghost, and another for what came back since."""
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


def _take(work: Work, back: MoneyBack, paid: Sequence[GhostTarget], known: _Known) -> set[str]:
    source, taken, payment = back.source_id, known.taken[back.source_id], back.payment_intent_id
    brought = sum(known.brought_by(payment, ghost.id) for ghost in paid)
    part = shares.part_of(back.amount, charged=back.charged, brought=brought) - taken.total()
    still = [ghost for ghost in paid if ghost.id not in taken or ghost.id in known.regained]
    left = [min(ghost.recovered_cents, known.left_of(payment, ghost.id)) for ghost in still]
    changed = set()
    for ghost, share in zip(still, shares.split(max(part, 0), left), strict=True):
        if settle.reverse(work, ghost, known.name(source, ghost.id), share, back.reason, back.at or work.now):
            known.took(source, ghost.id, share)
            changed.add(ghost.id)
    return changed
