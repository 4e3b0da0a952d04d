"""Splitting what went back: exact, in proportion, never below zero."""

from hypothesis import given
from hypothesis import strategies as st

from services.recovery.credit.shares import part_of, split

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

    @given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, 10**6))
    def test_pieces_that_make_up_the_whole_take_all_of_it(self, pieces: list[int], brought: int):
        charged = max(sum(pieces), brought)
        left = brought
        for piece in pieces if charged == sum(pieces) else [charged]:
            left -= min(part_of(piece, charged=charged, brought=brought), left)
        assert left == 0
