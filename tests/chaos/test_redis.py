"""Redis is killed, emptied and restarted empty: no work is lost, and open pages go on."""

import shutil

import pytest
import redis

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Load
from tests.chaos.ledger import judge
from tests.phantom_app.served import Tab

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def finish(arena: Arena, business: Business, load: Load) -> None:
    load.finish()
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert figures["ghosts"] == len(business.invoices)
    assert figures["recovered"] == len(business.cards)


def test_killed(arena: Arena) -> None:
    business = Business.open(arena, "Redis killed", customers=24)
    load = Load(business)
    for _ in range(3):
        load.run(1)
        arena.kill_and_wait("redis")
    finish(arena, business, load)


def test_emptied_under_load(arena: Arena) -> None:
    business = Business.open(arena, "Redis emptied", customers=24)
    load = Load(business)
    with redis.Redis.from_url(arena.told["REDIS_URL"]) as client:
        load.run(5, client.flushall)
    finish(arena, business, load)


def test_away_and_back_empty(arena: Arena) -> None:
    business = Business.open(arena, "Redis restarted empty", customers=24)
    load = Load(business)
    with arena.without("redis"):
        load.run(6)
        kept = list((arena.home.folder / "redis").glob("appendonly*"))
        assert kept
        for path in kept:  # one file, or since Redis 7 a folder of them
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finish(arena, business, load)


async def test_an_open_page_goes_on(arena: Arena) -> None:
    """Its state was in Redis and is gone; the next change shows on it all the same."""
    business = Business.open(arena, "Redis under a page", customers=3)
    async with Tab(arena.home.url, business.cookie) as tab:
        await tab.load()
        await tab.until(lambda: business.name in tab.heard(), timeout=30)
        for number, invoice in enumerate(business.invoices[:2], 1):
            with redis.Redis.from_url(arena.told["REDIS_URL"]) as client:
                client.flushall()
            tab.received.clear()
            business.announce(invoice)
            expected = f"${number * 49}"
            await tab.until(lambda expected=expected: expected in tab.heard(), timeout=30)
    arena.wait_until_quiet()
    judge(business)
