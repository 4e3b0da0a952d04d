"""Splitting what went back: exact, in proportion, never below zero."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.recovery.credit.shares import due, part_of, split

AMOUNTS = st.integers(0, 10**9)


class TestSplit:
    def test_in_proportion_and_the_rest_to_the_largest_remainder(self):
        assert split(100, [300, 100]) == [75, 25]
        assert split(10, [100, 100, 100]) == [4, 3, 3]
        assert split(5, [4900, 901]) == [4, 1]

    def test_nothing_is_left(self):
        assert split(100, [0, 0]) == [0, 0]
        assert split(100, []) == []

    @given(AMOUNTS, st.lists(AMOUNTS, max_size=6))
    def test_together_it_is_exactly_the_amount_or_all_there_is(self, amount: int, left: list[int]):
        shares = split(amount, left)
        assert sum(shares) == min(amount, sum(left))
        assert all(0 <= share <= each for share, each in zip(shares, left, strict=True))


class TestPart:
    def test_a_payment_of_these_ghosts_alone_falls_on_them_whole(self):
        assert part_of(1000, charged=4900, brought=4900) == 1000
        assert part_of(1000, charged=0, brought=4900) == 1000
        assert part_of(9000, charged=4900, brought=4900) == 4900

    def test_one_that_paid_for_more_falls_on_them_in_proportion(self):
        assert part_of(5000, charged=10_000, brought=4900) == 2450
        assert part_of(10_000, charged=10_000, brought=4900) == 4900
        assert part_of(2, charged=10_000, brought=2000) == Fraction(2, 5)


PIECES = st.lists(st.integers(1, 10**6), min_size=1, max_size=8)


def parts_of(pieces: list[int], brought: int) -> tuple[list[Fraction], int]:
    """What pieces that make up a whole payment are of what it brought, and what that is at most."""
    charged = sum(pieces)
    return [part_of(piece, charged=charged, brought=brought) for piece in pieces], min(brought, charged)


class TestDue:
    def test_each_gives_the_difference_that_it_makes(self):
        assert due([Fraction(2, 5)] * 6, [0] * 6) == [1, 0, 1, 0, 0, 1]

    def test_what_was_taken_before_stays_whoever_took_it(self):
        assert due([Fraction(2, 5)] * 3, [1, 0, 1]) == [0, 0, 0]
        assert due([Fraction(2, 5)] * 2, [0, 1]) == [0, 0]  # an older one came to nothing, and its cent is back
        assert due([Fraction(5), Fraction(10)], [0, 10]) == [5, 0]

    @given(PIECES, st.integers(0, 10**6))
    def test_pieces_that_make_up_the_whole_take_all_of_it(self, pieces: list[int], brought: int):
        parts, whole = parts_of(pieces, brought)
        assert sum(due(parts, [0] * len(parts))) == whole

    @given(PIECES, st.integers(0, 10**6))
    def test_told_one_by_one_they_take_the_same(self, pieces: list[int], brought: int):
        parts, _ = parts_of(pieces, brought)
        taken: list[int] = []
        for told in range(1, len(parts) + 1):
            found = due(parts[:told], [*taken, 0])
            assert not any(found[:-1])
            taken.append(found[-1])
        assert taken == due(parts, [0] * len(parts))

    @given(st.lists(st.tuples(st.fractions(0, 100, max_denominator=20), st.integers(0, 101)), max_size=6))
    def test_never_more_than_its_part_rounded_up_nor_than_all_of_them(self, told: list[tuple[Fraction, int]]):
        parts, taken = [part for part, _ in told], [before for _, before in told]
        found = due(parts, taken)
        assert all(
            more == 0 or 0 < more <= math.ceil(part) - before
            for more, part, before in zip(found, parts, taken, strict=True)
        )
        assert sum(found) <= max(math.ceil(sum(parts)) - sum(taken), 0)
