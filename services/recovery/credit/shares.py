"""How what went back of one payment falls on the ghosts that it paid. Pure; amounts in minor units of one currency."""

import math
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from services.integrations.stripe.facts import PaymentFacts


def brought_by_each(
    payments: Sequence[PaymentFacts], *, recovered: int, paid_before: int, found_at: datetime
) -> list[tuple[PaymentFacts, int]]:
    """What each payment brought of what was `recovered` of an invoice, the oldest first.

    What had been paid before it was found (`paid_before`) was no loss, and counts for nothing. The rest is counted from
    the newest on: of a payment that came back before all was paid, something is left over for which others came in.
    """
    since = []
    for each in sorted(payments, key=lambda one: one.paid_at):
        early = min(each.amount, paid_before) if each.paid_at <= found_at else 0
        paid_before -= early
        since.append((each, each.amount - early))
    parts = []
    for each, amount in reversed(since):
        parts.append((each, min(amount, recovered)))
        recovered -= parts[-1][1]
    return parts[::-1]


def part_of(amount: int, *, charged: int, brought: int) -> Fraction:
    """The part of what went back that was recovered money, exactly.

    A payment of `charged` may have paid for more than the ghosts that it `brought` money to: a refund then falls on
    them in proportion, and never for more than there is.
    """
    if charged <= brought:
        return Fraction(min(amount, brought))
    return min(Fraction(amount * brought, charged), Fraction(brought))


def due(parts: Sequence[Fraction], taken: Sequence[int]) -> list[int]:
    """What each refund of one payment has yet to take, the oldest first: its part, less what it has `taken` before.

    Their sum is rounded up, and each gives the difference that it makes: so pieces that make up the whole take all of
    it, and many small ones no more than one of their size.
    """
    left = math.ceil(sum(parts)) - sum(taken)
    exact, gone, found = Fraction(), 0, []
    for part, before in zip(parts, taken, strict=True):
        exact, gone = exact + part, gone + before
        found.append(max(min(math.ceil(part) - before, math.ceil(exact) - gone, left), 0))
        gone, left = gone + found[-1], left - found[-1]
    return found


def split(amount: int, left: Sequence[int]) -> list[int]:
    """`amount` in proportion to what is left of each, none below zero; together exactly `amount`, or all that is left.

    What rounding leaves over goes to the largest remainders, the first of equals.
    """
    total = sum(left)
    if total <= 0:
        return [0] * len(left)
    amount = min(amount, total)
    shares = [amount * each // total for each in left]
    by_remainder = sorted(range(len(left)), key=lambda place: (-(amount * left[place] % total), place))
    for place in by_remainder[: amount - sum(shares)]:
        shares[place] += 1
    return shares
