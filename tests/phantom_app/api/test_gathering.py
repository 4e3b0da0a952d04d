"""What comes together is stored together; an error is the batch's that met it, and nobody else's."""

import asyncio
from collections.abc import Sequence

import pytest

from phantom_app.api.gathering import MOST, Gathering


class OddError(ValueError):
    """What nobody foresaw."""


def outcomes(items: int, refuse: Sequence[int]) -> tuple[list[bool | BaseException], list[int]]:
    """What became of so many at once, and the sizes of their batches, of which those named (from 0) meet an error."""
    sizes: list[int] = []

    def commit(batch: Sequence[int]) -> list[bool]:
        sizes.append(len(batch))
        if len(sizes) - 1 in refuse:
            raise OddError
        return [True] * len(batch)

    async def play() -> list[bool | BaseException]:
        gathering = Gathering(commit)
        storing = asyncio.gather(*map(gathering.store, range(items)), return_exceptions=True)
        return await asyncio.wait_for(storing, timeout=30)

    return asyncio.run(play()), sizes


def test_what_comes_together_is_committed_together() -> None:
    assert outcomes(MOST + 50, refuse=()) == ([True] * (MOST + 50), [MOST, 50])


@pytest.mark.parametrize("refused", [0, 1])
def test_an_error_strands_nobody_who_waits_behind(refused: int) -> None:
    found, sizes = outcomes(2 * MOST + 50, refuse=[refused])
    met = [isinstance(each, OddError) for each in found]
    assert sizes == [MOST, MOST, 50]
    assert met == [refused * MOST <= number < (refused + 1) * MOST for number in range(2 * MOST + 50)]
    assert [each for each in found if each is not True] == [each for each in found if isinstance(each, OddError)]
