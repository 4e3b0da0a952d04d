"""What became of deliveries at an endpoint: a few rows, begun anew by every genuine one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import ManualClock
from services.handshake import intake as module
from services.handshake.errors import SignatureError
from services.handshake.intake import Intake
from tests.services.handshake.support import PLATFORM_SECRET, body, connect_account, rows, signed
from tests.support import environment
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Intake]:
    intake = await Intake(announce=lambda: None).start()
    try:
        yield intake
    finally:
        await intake.stop()


async def forge(intake: Intake, times: int = 1, *, connect: bool = True) -> None:
    for _ in range(times):
        with pytest.raises(SignatureError):
            await intake.accept(body(), "t=1,v1=" + "0" * 64, connect=connect)


async def deliver(intake: Intake, identifier: str = "evt_1", **fields: Any) -> str:
    raw = body(identifier, **fields)
    return await intake.accept(raw, signed(raw), connect=True)


def kept() -> dict[tuple[str, str], tuple[int, Any, Any]]:
    return {
        (row["endpoint"], row["outcome"]): (row["number"], row["first_at"], row["last_at"])
        for row in rows("select * from intake_outcomes")
    }


async def test_refusals_add_up_over_processes_since_the_first(clock: ManualClock) -> None:
    began = clock.now()
    for _ in range(2):
        async with running() as intake:
            await forge(intake, 3)
        clock.advance(timedelta(hours=1))
    assert kept() == {("connect", "bad_signature"): (6, began, began + timedelta(hours=1))}


async def test_a_genuine_delivery_of_our_mode_ends_them(clock: ManualClock) -> None:
    connect_account()
    async with running() as intake:
        await forge(intake, 3)
        await deliver(intake, livemode=True)
        await intake._write_outcomes()
        assert set(kept()) == {("connect", "bad_signature"), ("connect", "wrong_mode")}
        await deliver(intake, "evt_2")
    assert kept() == {("connect", "accepted"): (1, clock.now(), clock.now())}


async def test_forgeries_beside_genuine_ones_are_nobodys_trouble(clock: ManualClock) -> None:
    connect_account()
    async with running() as intake:
        await forge(intake, 500)
        await deliver(intake)
        await forge(intake, 500)
    assert set(kept()) == {("connect", "accepted")}


async def test_endpoints_are_told_apart(clock: ManualClock) -> None:
    connect_account()
    raw = body("evt_own")
    async with running() as intake:
        await forge(intake)
        await intake.accept(raw, signed(raw, PLATFORM_SECRET), connect=False)
    assert set(kept()) == {("connect", "bad_signature"), ("platform", "accepted")}


async def test_what_cannot_be_written_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_SECONDS", 0.2)
    with environment.changed(DATABASE_SYSTEM_URL="postgresql://nobody:x@127.0.0.1:1/none"):
        async with running() as intake:
            await forge(intake)
            await intake._write_outcomes()
            assert intake._outcomes


async def test_it_is_told_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLD_SECONDS", 0.01)
    async with running() as intake:
        await forge(intake)
        await asyncio.to_thread(wait_until, kept, timeout=20, what="the refusal is written down")
