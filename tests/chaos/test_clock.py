"""The clock jumps while everything runs: a day forward, an hour back."""

from datetime import timedelta

import pytest

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Load
from tests.chaos.ledger import judge

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    "jump",
    [timedelta(days=1), timedelta(hours=-1), timedelta(minutes=-5)],
    ids=["a day on", "an hour back", "5 min back"],
)
def test_a_jump_under_load(arena: Arena, jump: timedelta) -> None:
    business = Business.open(arena, f"Jump of {jump.total_seconds():.0f} s", customers=24)
    load = Load(business, pause=0.05)
    load.run(1.5)
    with arena.without("worker"):  # what came in before the jump is still to be done after it
        load.run(1)
        arena.wait_until_delivered()
        arena.shift_clock(jump)
    arena.wait_until_handled(timeout=60)
    load.finish()
    arena.wait_until_quiet()
    figures = judge(business, clock_went_back=jump < timedelta())
    assert (figures["ghosts"], figures["mails"]) == (24, 24)
    assert figures["recovered"] == len(business.cards)
