"""How what went back of one payment falls on the ghosts that it paid. Pure; amounts in minor units of one currency."""

from collections.abc import Sequence


def part_of(amount: int, *, charged: int, brought: int) -> int:
    """The part of what went back that was recovered money.

    A payment of `charged` may have paid for more than the ghosts that it `brought` money to: a refund then falls on
    them in proportion. Rounded up, and never more than there is: so pieces that make up the whole take all of it.
    """
    if charged <= brought:
        return min(amount, brought)
    return min(-(-amount * brought // charged), brought)


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
