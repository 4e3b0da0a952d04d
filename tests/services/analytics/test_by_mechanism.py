"""The sums by mechanism are those of the ledger's rows, whatever happened: payments, merit that was moved, refunds."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import TextClause, text
from sqlmodel import Session, select

from core import db, ids
from core.clock import ManualClock
from models.ghost import GhostTarget, Mechanism
from models.money import Recovery, RecoveryKind
from services.analytics import service, shards
from services.analytics.schemas import Merit
from services.integrations.stripe.facts import InvoiceFacts
from services.recovery import repository
from services.recovery.credit import settle
from services.recovery.credit.attribution import Credit
from services.recovery.credit.entries import enter
from services.recovery.work import Work, merchant_context
from tests.services.analytics.test_dashboard import Books
from tests.support.recount import assert_sums_agree
from tests.support.risks import made_safe

STEPS = 80
# What was credited to another mechanism since is the other's.
_CAME_BACK = text("""
select mechanism, sum(amount_cents)::bigint,
    sum(case when kind = 'recovered' then 1 when amount_cents < 0 then -1 else 1 end) as times
from recoveries
where merchant_id = :merchant and currency = :currency and kind in ('recovered', 'credited')
    and (occurred_at at time zone 'utc')::date between :since and :until
group by mechanism having sum(case when kind = 'recovered' then 1 when amount_cents < 0 then -1 else 1 end) <> 0
""")
_MADE_SAFE = text("""
select mechanism, sum(amount_cents)::bigint, count(*) from recoveries
where merchant_id = :merchant and currency = :currency and kind = 'protected' and (amount_cents < 0) = :failed
    and (occurred_at at time zone 'utc')::date between :since and :until
group by mechanism
""")


class Life:
    """What may happen to a merchant's money, in any order."""

    def __init__(self, clock: ManualClock, seed: int) -> None:
        self.clock, self.chance = clock, random.Random(seed)  # noqa: S311
        self.books = Books(clock)
        self.merchant = self.books.merchant
        self.owed: list[InvoiceFacts] = []
        self.paid: list[InvoiceFacts] = []
        self.safe: list[tuple[datetime, tuple[int, int, str]]] = []
        self.number = 0

    def step(self) -> None:
        often = (self.fails, self.is_paid, self.is_made_safe)
        seldom = (self.is_settled, self.is_anothers, self.is_refunded, self.is_undone, self.fails_after_all)
        with pytest.MonkeyPatch.context() as patched:
            mechanism = self._any()
            patched.setattr(settle, "credit_of", lambda _evidence: Credit(mechanism))
            self.chance.choice((*often, *often, *seldom))()
        self.clock.advance(timedelta(hours=self.chance.randrange(1, 40)))

    def fails(self) -> None:
        self.owed.append(self.books.fail(*self._drawn()))

    def is_paid(self) -> None:
        if self.owed:
            self.paid.append(self.owed.pop(self.chance.randrange(len(self.owed))))
            self.books.pay(self.paid[-1])

    def is_settled(self) -> None:
        """Without any money."""
        if self.owed:
            self.books.see(replace(self.owed.pop(), status="paid", amount_remaining=0))

    def is_anothers(self) -> None:
        """What was thought to be one mechanism's merit was another's: an attempt of ours made it, or did not."""

        def move(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> None:
            ours = ghost.mechanism == Mechanism.OWN_ATTEMPT
            with pytest.MonkeyPatch.context() as patched:
                found = Credit(Mechanism.CLICK if ours else Mechanism.OWN_ATTEMPT)
                patched.setattr(settle, "credit_of", lambda _evidence: found)
                settle.credit_anew(work, ghost, facts, ids.new_id("pa"))

        self._to_one_paid(move)

    def is_refunded(self) -> None:
        amount = self.chance.randrange(1, 9_000)
        self._to_one_paid(
            lambda work, ghost, _: settle.reverse(work, ghost, ids.new_id("re"), amount, "Refunded.", work.now)
        )

    def is_undone(self) -> None:
        if facts := self._to_one_paid(settle.reopen):
            self.paid.remove(facts)
            self.owed.append(facts)

    def is_made_safe(self) -> None:
        drawn = self._drawn()
        made_safe(self.merchant, *drawn, by=self._any())
        self.safe.append((self.clock.now() + timedelta(days=10), drawn))

    def fails_after_all(self) -> None:
        self.safe = [each for each in self.safe if each[0] > self.clock.now()]
        if self.safe:
            due, drawn = self.safe.pop()
            self.clock.advance(due - self.clock.now())
            self.owed.append(self.books.fail(*drawn))

    def _any(self) -> Mechanism:
        return self.chance.choice(list(Mechanism))

    def _drawn(self) -> tuple[int, int, str]:
        self.number += 1
        return self.number, self.chance.randrange(100, 9_000), self.chance.choice(("usd", "eur"))

    def _to_one_paid(self, act: Callable[[Work, GhostTarget, InvoiceFacts], object]) -> InvoiceFacts | None:
        """Do it to the ghost of a paid invoice, as a unit of work; the invoice, if there was one and it was done."""
        if not self.paid:
            return None
        facts = self.chance.choice(self.paid)
        with db.tenant_session(self.merchant) as session:
            shard = shards.of_customer(facts.customer.id if facts.customer else None)
            work = Work.begin(session, merchant_context(session, self.merchant), self.clock.now(), shard)
            ghost = repository.lock_by_invoices(session, self.merchant, [facts.id])[facts.id]
            done = act(work, ghost, facts)
            work.finish()
        return facts if done else None


def by_the_ledger(
    session: Session, merchant: str, currency: str, since: date, until: date
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]], tuple[int, int]]:
    """By mechanism, what came back and what was made safe; and what of it failed: added up row by row."""
    asked = {"merchant": merchant, "currency": currency, "since": since, "until": until}

    def ask(statement: TextClause, **more: object) -> dict[str, tuple[int, int]]:
        return {name: (amount, times) for name, amount, times in session.execute(statement, asked | more)}

    gone = ask(_MADE_SAFE, failed=True).values()
    failed = -sum(amount for amount, _ in gone), sum(times for _, times in gone)
    return ask(_CAME_BACK), ask(_MADE_SAFE, failed=False), failed


def as_table(merits: Iterable[Merit]) -> dict[str, tuple[int, int]]:
    return {each.mechanism.value: (each.amount, each.count) for each in merits}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_they_are_what_the_ledgers_rows_add_up_to(
    database: object, clock: ManualClock, seed: int
) -> None:
    began, life = clock.now().date(), Life(clock, seed)
    for _ in range(STEPS):
        life.step()
    today = clock.now().date()
    with db.tenant_session(life.merchant) as session:
        for currency in ("usd", "eur"):
            for since, until in (
                (began, today),
                (today - timedelta(days=6), today),
                (began, began + timedelta(days=9)),
            ):
                came_by, safe = service.by_mechanism(session, life.merchant, currency, since, until)
                found = as_table(came_by), as_table(safe.merits), (safe.failed, safe.failed_count)
                assert found == by_the_ledger(session, life.merchant, currency, since, until)
        kinds = {(row.kind, row.amount_cents < 0) for row in session.exec(select(Recovery))}
    assert_sums_agree(life.merchant)
    assert kinds >= {("recovered", False), ("protected", False), ("reversed", True), ("credited", True)}


def test_an_entry_told_of_again_adds_nothing(database: object, clock: ManualClock) -> None:
    """Whoever makes an entry that is there already has said nothing new, to the sums neither."""
    life = Life(clock, 1)
    life.fails()
    facts = life.owed[0]
    life.is_paid()

    def again(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> bool:
        return enter(work, ghost, RecoveryKind.RECOVERED, facts.id, 100, work.now)

    assert life._to_one_paid(again) is None
    assert facts in life.paid
    assert_sums_agree(life.merchant)
