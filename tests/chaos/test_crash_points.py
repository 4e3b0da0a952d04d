"""SIGKILL at every named crash point: the death happens, and nothing is lost or doubled by it."""

import pytest

from core.crash_points import POINTS
from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.ledger import judge
from tests.support.wait import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HUNT_EVERY = 12 * 3600


def play(arena: Arena, name: str) -> Business:
    """A failed payment's whole way: connect, webhook, mail, click, new card, charge; and one that only a hunt finds."""
    business = Business.open(arena, name, customers=2)
    told, untold = business.invoices
    business.announce(told)
    business.click(told)
    business.new_card(told)
    business.wait_until_paid(told)
    arena.wait_until_quiet()
    arena.pass_time(HUNT_EVERY)
    business.wait_for_hunts(2)
    business.wait_for_mail(untold)
    arena.wait_until_quiet()
    return business


@pytest.mark.parametrize("point", POINTS)
def test_a_death_there_loses_and_doubles_nothing(arena: Arena, point: str) -> None:
    arena.arm(point)
    business = play(arena, f"Death at {point}")
    wait_until(lambda: not arena.armed(), what=f"somebody died at {point}")
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert figures["recovered"] == 1
    assert figures["ghosts"] == figures["mails"] == 2
