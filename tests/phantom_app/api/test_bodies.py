"""The one reader of bodies: what it takes, what it refuses, and what it costs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from core.errors import TooLargeError
from phantom_app.api import bodies

Receive = Callable[[], Awaitable[dict[str, Any]]]


def coming(*pieces: bytes, leaves: bool = False) -> Receive:
    """A sender of these pieces, who goes away instead of ending where it `leaves`."""

    def messages() -> Iterator[dict[str, Any]]:
        for number, piece in enumerate(pieces, 1):
            yield {"type": "http.request", "body": piece, "more_body": leaves or number < len(pieces)}
        yield {"type": "http.disconnect"}

    told = messages()

    async def receive() -> dict[str, Any]:
        return next(told)

    return receive


class TestTaken:
    @pytest.mark.parametrize("pieces", [(b"",), (b"abc",), (b"a", b"", b"bc"), (b"", b"")])
    async def test_all_of_it_in_order(self, pieces: tuple[bytes, ...]) -> None:
        assert await bodies.read(coming(*pieces), b"", 3) == b"".join(pieces)

    @pytest.mark.parametrize("announced", [b"", b"3", b"nonsense", b"-1", b"0"])
    async def test_what_it_says_of_its_length_is_not_believed(self, announced: bytes) -> None:
        assert await bodies.read(coming(b"abc"), announced, 3) == b"abc"

    async def test_many_small_pieces_cost_no_more_than_their_sum(self) -> None:
        """What nobody has signed yet is collected in linear time."""

        async def seconds(size: int) -> float:
            left = size

            async def receive() -> dict[str, Any]:
                nonlocal left
                left -= 64
                return {"type": "http.request", "body": b"x" * 64, "more_body": left > 0}

            best = []
            for _ in range(3):
                left, began = size, time.process_time()
                assert len(await bodies.read(receive, b"", size)) == size
                best.append(time.process_time() - began)
            return min(best)

        # eight times as much: eightfold if it is linear, sixty-four-fold if each piece copies all before it
        assert await seconds(1 << 20) < 24 * await seconds(1 << 17)


class TestRefused:
    @pytest.mark.parametrize("pieces", [(b"abcd",), (b"ab", b"cd"), (b"abc", b"", b"d")])
    async def test_too_large_whatever_its_pieces(self, pieces: tuple[bytes, ...]) -> None:
        with pytest.raises(TooLargeError):
            await bodies.read(coming(*pieces), b"", 3)

    @pytest.mark.parametrize("announced", [b"4", b"9" * 5000])
    async def test_too_large_by_its_own_word_is_not_even_asked_for(self, announced: bytes) -> None:
        with pytest.raises(TooLargeError):
            await bodies.read(pytest.fail, announced, 3)

    @pytest.mark.parametrize(("longest", "said"), [(16 * 1024, "16 kB"), (1 << 20, "1 MB"), (32 << 20, "32 MB")])
    async def test_says_how_much_it_may_be(self, longest: int, said: str) -> None:
        with pytest.raises(TooLargeError) as refused:
            await bodies.read(coming(), b"999999999", longest)
        assert said in refused.value.detail

    async def test_a_sender_who_leaves(self) -> None:
        with pytest.raises(ClientDisconnect):
            await bodies.read(coming(b"ab", leaves=True), b"", 3)

    async def test_one_that_takes_longer_than_it_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "LOOK_SECONDS", 0.01)
        async with asyncio.timeout(10):
            with pytest.raises(bodies.TooSlowError):
                await bodies.read(asyncio.Event().wait, b"", 3, seconds=0.02)
        assert not bodies._reads._until

    async def test_each_has_its_own_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "LOOK_SECONDS", 0.01)
        patient = asyncio.create_task(bodies.read(asyncio.Event().wait, b"", 3, seconds=600))
        with pytest.raises(bodies.TooSlowError):
            await bodies.read(asyncio.Event().wait, b"", 3, seconds=0.02)
        assert not patient.done()
        patient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patient

    async def test_a_reader_that_is_told_to_end_is_no_slow_sender(self) -> None:
        reading = asyncio.create_task(bodies.read(asyncio.Event().wait, b"", 3))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not bodies._reads._until
