"""Any order of deliveries, forgeries, outages and deaths, against real PostgreSQL, judged by what senders were told."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from core import clock as core_clock
from core import crash_points, db
from core.config import settings
from services.handshake import intake as module
from services.handshake.errors import NotStoredError, SignatureError
from services.handshake.intake import Intake
from tests.services.handshake.support import body, connect_account, digest, rows, signed
from tests.support import environment
from tests.support.proxy import standing_proxy

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBERS = st.integers(0, 8)
KINDS = ("invoice.paid", "climate.order.created")  # one that has a handler, one that has none
PATIENT: dict[str, Any] = {
    "ACKNOWLEDGE_SECONDS": 30.0,
    "COMMIT_SECONDS": 20.0,
    "CONNECTION_SECONDS": 0.3,
    "LOOK_SECONDS": 0.02,
}
IMPATIENT = {"ACKNOWLEDGE_SECONDS": 0.25, "COMMIT_SECONDS": 0.2}  # while nothing comes anyway


def raw_event(number: int) -> bytes:
    """Events with an even number are handled, the others ignored; the same number is the same event."""
    return body(f"evt_{number}", KINDS[number % 2])


class Deliveries(RuleBasedStateMachine):
    """Senders, who remember what they were told; the database between them and us; and one process that can die."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = core_clock.ManualClock(START)
        self.acknowledged: set[str] = set()
        self.unanswered: set[str] = set()  # genuine, and refused or cut off: may be stored
        self.reachable = True
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(core_clock.using(self.clock))
        self.stack.enter_context(mock.patch.multiple(module, **PATIENT))
        self.proxy = self.stack.enter_context(standing_proxy(settings().database_system_url.get_secret_value()))
        self.runner = self.stack.enter_context(asyncio.Runner())

    def teardown(self) -> None:
        self.proxy.mend()
        self.run(self.intake.stop())
        self.stack.close()
        with db.system_session() as session:
            for table in ("scheduled_tasks", "processed_events", "stripe_accounts"):
                session.execute(text(f"delete from {table}"))  # noqa: S608  # three constants

    def run(self, work: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return self.runner.run(awaited())

    async def begin(self) -> None:
        url = self.proxy.url(settings().database_system_url.get_secret_value())
        with environment.changed(DATABASE_SYSTEM_URL=url):
            self.intake = await Intake(announce=lambda: None).start()
        await self.intake._pool.wait(20)

    @initialize()
    def connect(self) -> None:
        connect_account()
        self.run(self.begin())

    # -- senders ------------------------------------------------------------------------------------------------

    def told(self, number: int, answer: object) -> None:
        """What one sender was told about a genuine delivery."""
        identifier = f"evt_{number}"
        if isinstance(answer, str):
            assert answer == ("stored", "ignored")[number % 2]
            self.acknowledged.add(identifier)
        else:
            assert isinstance(answer, NotStoredError | asyncio.CancelledError), answer
            assert not self.reachable or isinstance(answer, asyncio.CancelledError)
            self.unanswered.add(identifier)

    def accept(self, number: int) -> Awaitable[str]:
        raw = raw_event(number)
        return self.intake.accept(raw, signed(raw), connect=True)

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=12))
    def deliver(self, numbers: list[int]) -> None:
        async def together() -> list[object]:
            return await asyncio.gather(*(self.accept(number) for number in numbers), return_exceptions=True)

        for number, answer in zip(numbers, self.run(together()), strict=True):
            self.told(number, answer)

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=6), turns=st.integers(0, 12), kept=NUMBERS)
    def go_away(self, numbers: list[int], turns: int, kept: int) -> None:
        """Some senders hang up at any moment; one who delivers beside them stays."""

        async def hang_up() -> list[object]:
            leaving = [asyncio.ensure_future(self.accept(number)) for number in numbers]
            staying = asyncio.ensure_future(self.accept(kept))
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            return await asyncio.gather(*leaving, staying, return_exceptions=True)

        for number, answer in zip([*numbers, kept], self.run(hang_up()), strict=True):
            self.told(number, answer)

    @rule(
        how=st.sampled_from(["secret", "empty_secret", "stale", "future", "body", "none", "twice"]),
        number=st.integers(100, 103),
    )
    def forge(self, how: str, number: int) -> None:
        raw, now = raw_event(number), core_clock.now()
        header = {
            "secret": signed(raw, "whsec_guessed"),
            "empty_secret": signed(raw, ""),
            "stale": signed(raw, at=now - timedelta(seconds=301)),
            "future": signed(raw, at=now + timedelta(seconds=301)),
            "body": signed(raw_event(number + 1)),
            "none": "",
            "twice": f"t={int(now.timestamp())},{signed(raw)}",
        }[how]
        with pytest.raises(SignatureError):
            self.run(self.intake.accept(raw, header, connect=True))

    @rule(number=NUMBERS)
    def sign_with_several(self, number: int) -> None:
        """While a secret is rolled Stripe signs with both; one that fits is enough."""
        raw, seconds = raw_event(number), int(core_clock.now().timestamp())
        answer: object
        try:
            header = f"t={seconds},v1={digest(raw, 'whsec_other', seconds)},{signed(raw).partition(',')[2]}"
            answer = self.run(self.intake.accept(raw, header, connect=True))
        except NotStoredError as error:
            answer = error
        self.told(number, answer)

    @rule(seconds=st.sampled_from([-3600, -1, 1, 299, 3600]))
    def jump(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    # -- what goes wrong ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.reachable)
    @rule(how=st.sampled_from(["cut", "hold", "lose_answers"]))
    def database_fails(self, how: str) -> None:
        """It is away, it is silent, or it commits and the answer gets lost."""
        self.reachable = False
        vars(module).update(IMPATIENT)
        if how == "lose_answers":
            self.proxy.cut_answers(1000)
        else:
            getattr(self.proxy, how)()

    @precondition(lambda self: not self.reachable)
    @rule()
    def database_returns(self) -> None:
        """The connections that broke are found broken; from then on every delivery is taken again."""
        self.proxy.mend()
        vars(module).update(PATIENT)

        async def accepted_again() -> None:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(NotStoredError):
                        await self.accept(0)
                        if self.intake._pool.get_stats()["pool_available"] == module.COMMITTERS:
                            return

        self.unanswered.add("evt_0")
        self.run(accepted_again())
        self.acknowledged.add("evt_0")
        self.reachable = True

    @precondition(lambda self: self.reachable)
    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=6), turns=st.integers(0, 20), committed=st.booleans())
    def die(self, numbers: list[int], turns: int, committed: bool) -> None:
        """The process dies, at any moment or right after a commit; another one takes over."""

        async def death() -> list[object]:
            reached = asyncio.Event()
            with crash_points.reached(lambda name: reached.set() if name == "intake.committed" else None):
                senders = [asyncio.ensure_future(self.accept(number)) for number in numbers]
                if committed:
                    await reached.wait()
                else:
                    for _ in range(turns):
                        await asyncio.sleep(0)
            for task in senders:
                task.cancel()
            answers: list[object] = [*await asyncio.gather(*senders, return_exceptions=True)]
            await abandon(self.intake)
            await self.begin()
            return answers

        for number, answer in zip(numbers, self.run(death()), strict=True):
            self.told(number, answer)

    # -- the judge ----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_acknowledged_is_lost_and_nothing_forged_is_stored(self) -> None:
        events = {
            row["id"]: row for row in rows("select id, type, payload, outcome, merchant_id from processed_events")
        }
        keys = sorted(row["key"] for row in rows("select key from scheduled_tasks"))
        assert self.acknowledged <= set(events) <= self.acknowledged | self.unanswered
        assert keys == sorted(f"event:{identifier}" for identifier in events if int(identifier[4:]) % 2 == 0)
        for identifier, row in events.items():
            number = int(identifier[4:])
            expected = (raw_event(number), "") if number % 2 == 0 else (None, "ignored")
            assert (row["payload"] and bytes(row["payload"]), row["outcome"]) == expected


async def abandon(intake: Intake) -> None:
    """As a killed process leaves it: nothing is finished, connections end."""
    intake._stopping = True
    for task in list(intake._tasks):
        task.cancel()
    await asyncio.gather(*intake._tasks, return_exceptions=True)
    await intake._pool.close(timeout=0)


@pytest.fixture
def quiet_pool(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The pool warns of each connection that breaks, which is the point here."""
    with caplog.at_level("CRITICAL", "psycopg.pool"):
        yield


@pytest.mark.usefixtures("database", "quiet_pool")
def test_any_order_of_deliveries_and_failures() -> None:
    run_state_machine_as_test(
        Deliveries,
        settings=hypothesis_settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
