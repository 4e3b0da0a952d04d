"""Posts to addresses that are nobody's: whoever has a genuine one neither waits for them nor is forgotten over them."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from core import db
from core.clock import ManualClock
from core.config import settings
from core.errors import NotFoundError
from models.messaging import Channel
from phantom_app.api import guessing, sender_keys, senders
from phantom_app.api.app import create_api
from phantom_app.api.sender_keys import SenderKeys
from sandbox.outbox.signing import twilio_signature
from services.messaging.senders import service
from services.messaging.senders.given import OwnText
from tests.support.factories import make_merchant

ACCOUNT, TOKEN = "AC" + "a" * 32, "0123456789abcdef" * 2
CROWD = 2000


@pytest.fixture
def url(database: object, redis_url: str, clock: ManualClock) -> Iterator[str]:
    """A merchant's own address at Twilio."""
    merchant = make_merchant()
    senders.keys.forget()
    guessing.misses.forget()
    with db.tenant_session(merchant) as session:
        found = service.set_text(session, merchant, OwnText.read(ACCOUNT, TOKEN, "+12025550143"), "usr_1").webhook_url
    yield found
    senders.keys.forget()
    guessing.misses.forget()


def forged(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(18)).decode()


async def outcome(keys: SenderKeys, token: str) -> str:
    try:
        return (await keys.of(token, Channel.SMS)).merchant_id
    except NotFoundError:
        return ""


class Asked:
    """What the database was asked: for many at once, and for one alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.many: list[int] = []
        self.alone: list[str] = []
        are_there, look_up = sender_keys._are_there, sender_keys._look_up

        def counted(keys: Any) -> list[bool]:
            self.many.append(len(keys))
            return are_there(keys)

        def noted(token: str, channel: Channel) -> Any:
            self.alone.append(token)
            return look_up(token, channel)

        monkeypatch.setattr(sender_keys, "_are_there", counted)
        monkeypatch.setattr(sender_keys, "_look_up", noted)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_a_genuine_address_passes_a_crowd_of_forged_ones(url: str, asked: Asked) -> None:
    async def play() -> tuple[str, int]:
        keys = SenderKeys()
        crowd = [asyncio.create_task(outcome(keys, forged(number))) for number in range(CROWD)]
        await asyncio.sleep(0)  # all of them ask before the genuine one does
        found = await outcome(keys, url.rsplit("/", 1)[-1])
        assert set(await asyncio.gather(*crowd)) == {""}
        return found, len(crowd)

    found, _ = asyncio.run(play())
    assert found.startswith("mer_")
    assert asked.alone == [url.rsplit("/", 1)[-1]]  # for nobody's address there is no query of its own
    assert (sum(asked.many), len(asked.many) <= 12) == (CROWD + 1, True)


def test_what_is_known_neither_waits_for_strangers_nor_is_forgotten_over_them(
    url: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_keys, "_REMEMBERED", 100)
    monkeypatch.setattr(sender_keys, "SECONDS", 600.0)
    token = url.rsplit("/", 1)[-1]

    async def play() -> None:
        keys = SenderKeys()
        assert await outcome(keys, token)
        await asyncio.gather(*(outcome(keys, forged(number)) for number in range(CROWD)))
        crowd = [asyncio.create_task(outcome(keys, forged(CROWD + number))) for number in range(CROWD)]
        await asyncio.sleep(0)
        asked_before = len(asked.many)
        assert await outcome(keys, token)
        assert len(asked.many) - asked_before == 0
        await asyncio.gather(*crowd)
        assert (len(keys._known), len(keys._nothing), len(keys._locks)) == (1, 100, 0)

    asyncio.run(play())
    assert asked.alone == [token]


def test_what_was_genuine_a_moment_ago_is_asked_for_past_the_crowd(
    url: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_keys, "SECONDS", 0.0)
    token = url.rsplit("/", 1)[-1]

    async def play() -> None:
        keys = SenderKeys()
        for _ in range(3):
            assert await outcome(keys, token)

    asyncio.run(play())
    assert (asked.many, asked.alone) == ([1], [token] * 3)


def test_many_at_once_at_one_address_ask_once(url: str, asked: Asked) -> None:
    token = url.rsplit("/", 1)[-1]

    async def play() -> list[str]:
        keys = SenderKeys()
        assert await asyncio.gather(*(outcome(keys, forged(7)) for _ in range(50))) == [""] * 50
        return await asyncio.gather(*(outcome(keys, token) for _ in range(50)))

    assert len(set(asyncio.run(play()))) == 1
    assert (asked.many, asked.alone) == ([1, 1], [token])


@pytest.mark.parametrize("token", ["", "x", "A" * 23, "A" * 25, "A" * 23 + "!", "A" * 23 + "é", "A" * 24 + "\n", "%00"])
def test_what_does_not_look_like_one_of_ours_asks_nobody(database: object, asked: Asked, token: str) -> None:
    assert asyncio.run(outcome(SenderKeys(), token)) == ""
    assert (asked.many, asked.alone) == ([], [])


def test_who_guesses_is_told_to_wait_and_a_stop_from_the_same_address_is_heard(url: str) -> None:
    path = url.removeprefix(settings().public_url)
    form = {"MessageSid": "SM1", "From": "+15005550010", "Body": "STOP"}

    async def play() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=create_api())
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            guesses = [
                await client.post(f"/api/webhooks/twilio/{forged(number)}") for number in range(guessing.MISSES + 2)
            ]
            headers = {
                "content-type": "application/x-www-form-urlencoded",
                "x-twilio-signature": twilio_signature(TOKEN, url, form),
            }
            return [*guesses, await client.post(path, content=urlencode(form), headers=headers)]

    *guesses, stop = asyncio.run(play())
    assert [each.status_code for each in guesses] == [404] * guessing.MISSES + [429] * 2
    assert guesses[-1].headers["retry-after"] == str(guessing.RETRY_AFTER_SECONDS)
    assert stop.status_code == 200
