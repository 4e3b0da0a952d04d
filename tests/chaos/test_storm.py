"""A storm of kills under load: whoever dies whenever, nothing is lost or doubled."""

from collections.abc import Callable

import pytest

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Killer, Load
from tests.chaos.ledger import judge

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

EVERYBODY = ("web worker", "web", "worker", "worker", "sentinel", "postgres", "redis")
SECONDS = 25


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_kills(arena: Arena, seed: int, record_property: Callable[[str, object], None]) -> None:
    arena.stage.control("/_sandbox/deliveries/behaviour", {"duplicate": 3, "shuffle": True, "seed": str(seed)})
    try:
        business = Business.open(arena, f"Storm {seed}", customers=60)
        load = Load(business, pause=0.3)
        killer = Killer(arena, seed, EVERYBODY)
        load.run(SECONDS, killer)
        load.finish()
    finally:
        arena.stage.control("/_sandbox/deliveries/behaviour", {})
    arena.wait_until_well()
    record_property("dead letters replayed", arena.replay_the_dead())
    record_property("kills", len(killer.killed))
    arena.wait_until_quiet()
    figures = judge(business)
    assert len(killer.killed) >= SECONDS / 4
    assert figures["ghosts"] == len(business.invoices)
    assert figures["recovered"] == len(business.cards) >= 10
