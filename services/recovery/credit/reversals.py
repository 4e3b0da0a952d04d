"""Recoveries that went back: the one way in for webhooks, which hear of a refund, and hunts, which find it.

Every refund and every lost dispute is a row of its own, whole or in part, once for each ghost that the payment paid.
A ghost is reversed when nothing is left of what it brought.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from models.ghost import GhostTarget
from models.money import Recovery, RecoveryKind
from services.integrations.stripe.returns import MoneyBack
from services.recovery import neighbours, repository
from services.recovery.credit import settle, shares
from services.recovery.work import MerchantContext, Work


@dataclass(frozen=True, slots=True)
class Returned:
    """Money that went back, and the invoices that its payment had paid."""

    back: MoneyBack
    invoice_ids: tuple[str, ...]


def take_back(session: Session, merchant: MerchantContext, returned: Sequence[Returned], now: datetime) -> int:
    """Take these recoveries back, in the caller's transaction; of how many something was. `now` is aware UTC.

    Each refund or dispute once a ghost, whoever comes first, and never more than was recovered. In a transaction that
    worked on ghosts before, their shards must be among those it holds, as everywhere.
    """
    invoice_ids = sorted({invoice for each in returned for invoice in each.invoice_ids})
    needed = neighbours.of_invoices(session, merchant.id, (), invoice_ids)
    work = Work.begin(session, merchant, now, needed)
    ghosts = repository.lock_by_invoices(session, merchant.id, invoice_ids)
    known = _Known(repository.list_recoveries(session, merchant.id, [ghost.id for ghost in ghosts.values()]))
    changed: set[str] = set()
    for each in sorted(returned, key=lambda one: (one.back.at or now, one.back.source_id)):
        paid = [ghosts[invoice] for invoice in sorted(set(each.invoice_ids)) if invoice in ghosts]
        changed |= _take(work, each.back, paid, known)
    work.finish()
    return len(changed)


class _Known:
    """What the ledger says of some ghosts: what each payment brought, and what each source has taken from whom."""

    def __init__(self, rows: Sequence[Recovery]) -> None:
        self.brought: dict[str, int] = defaultdict(int)
        self.taken: dict[str, dict[str, int]] = defaultdict(dict)
        for row in rows:
            if row.kind == RecoveryKind.RECOVERED:
                self.brought[row.ghost_id] += row.amount_cents
            elif settle.is_reopening(row):  # what was paid before is undone whole: a payment since then stands alone
                self.brought[row.ghost_id] = 0
            elif row.kind == RecoveryKind.REVERSED:
                self.taken[row.source_id][row.ghost_id] = -row.amount_cents


def _take(work: Work, back: MoneyBack, paid: Sequence[GhostTarget], known: _Known) -> set[str]:
    taken = known.taken[back.source_id]
    brought = sum(known.brought[ghost.id] for ghost in paid)
    part = shares.part_of(back.amount, charged=back.charged, brought=brought) - sum(taken.values())
    still = [ghost for ghost in paid if ghost.id not in taken]
    changed = set()
    for ghost, share in zip(still, shares.split(max(part, 0), [ghost.recovered_cents for ghost in still]), strict=True):
        if settle.reverse(work, ghost, back.source_id, share, back.reason, back.at or work.now):
            taken[ghost.id] = share
            changed.add(ghost.id)
    return changed
