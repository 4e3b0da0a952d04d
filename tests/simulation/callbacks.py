"""What the providers of mail and texts post back: late, twice, shuffled, or never; and PHANTOM's door for it.

The door is the product's own routes. What they do with threads and with other webhooks at once is left out: each is
stored by itself, by the same function.
"""

import heapq
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response

from core import clock
from models.messaging import Channel
from phantom_app.api import sender_keys
from phantom_app.api import senders as routes
from sandbox.outbox.store import Json
from sandbox.outbox.webhooks import RETRY_SECONDS, Posting, Postman
from services.messaging.senders.carriers import RESEND_PATH, TWILIO_PATH
from tests.simulation.ledger import Ledger
from tests.simulation.process import Machine

if TYPE_CHECKING:
    from services.messaging.senders.schemas import WebhookSecrets

LATE = ((0.15, (30.0, 7200.0)), (0.05, (7200.0, 3 * 86_400.0)))  # (how likely, seconds)
COMPLAINTS_TAKE = (60.0, 3 * 86_400.0)
SEEN_BY = ("email.bounced", "email.complained", "email.failed", "email.suppressed")
"""What a provider tells in any case; of the others a merchant may have chosen not to hear."""


class _Keys:
    """What signs an address, asked for each time: nothing is remembered from seed to seed."""

    async def of(self, token: str, channel: Channel) -> "WebhookSecrets":
        found = sender_keys._look_up(token, channel)
        assert found is not None
        return found


@dataclass
class _Gathering:
    """Stores at once; remembers what one request brought."""

    brought: list[Any] = field(default_factory=list)

    async def store(self, told: Any) -> bool:
        self.brought.append(told)
        return routes._store([told])[0]


async def _read_body(request: Request, *_: Any) -> bytes:
    """All of it at once: how long a body is waited for is a matter of real time."""
    return await request.body()


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the coroutine waited for an event loop")


def knock(posting: Posting) -> tuple[Response, list[Any]]:
    """One request at the routes; the answer, and what was stored of it."""
    parts = urlsplit(posting.url)
    place = RESEND_PATH if parts.path.startswith(RESEND_PATH) else TWILIO_PATH
    token = parts.path.removeprefix(place).strip("/")
    route: Callable[[Request], Coroutine[Any, Any, Response]]
    if place == RESEND_PATH:
        route = routes.own_resend if token else routes.resend
    else:
        route = routes.own_twilio if token else routes.twilio
    waiting = [{"type": "http.request", "body": posting.body, "more_body": False}]

    async def receive() -> Any:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    headers = [(name.lower().encode(), value.encode()) for name, value in posting.headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": parts.path, "query_string": parts.query.encode(), "headers": headers,
        "path_params": {"token": token}, "scheme": "http", "server": ("phantom.example", 80),
    }  # fmt: skip
    gathering = _Gathering()
    with (
        mock.patch.object(routes, "gathering", gathering),
        mock.patch.object(routes, "keys", _Keys()),
        mock.patch.object(routes, "read_body", _read_body),
    ):
        answer = finish(route(Request(scope, receive)))
    return answer, gathering.brought


@dataclass
class Callbacks:
    """Everything under way from the providers. In the drain nothing is lost, and nothing late."""

    postman: Postman
    machine: Machine
    ledger: Ledger
    chance: Random
    on_told: Callable[[Any, Mapping[str, Any]], None]
    """Asked after an acknowledgement, with what was stored and the body."""
    never: float = 0.1
    untold: float = 0.5  # of what a merchant's endpoint need not hear
    twice: float = 0.1
    late: bool = True
    _heap: list[tuple[float, float, int, Json]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        # Straight from the postman's hand: what waits need not pass through the outbox's file.
        self.postman.outbox.put_delivery = self._posted  # type: ignore[method-assign]

    def _posted(self, identifier: str, due: float, body: Json) -> None:
        kind = body["type"]
        told_always = kind in SEEN_BY or body["vendor"] == "twilio"
        if self.chance.random() < (self.never if told_always else max(self.never, self.untold)):
            self.ledger.fault("callback_lost")
            return
        copies = 1
        if self.chance.random() < self.twice:
            copies = 2
            self.ledger.fault("callback_repeated")
        for _ in range(copies):
            self._push(due + self._delay(kind), body | {"id": identifier})

    def _delay(self, kind: str) -> float:
        if kind == "email.complained":
            return self.chance.uniform(*COMPLAINTS_TAKE)
        if self.late:
            for rate, bounds in LATE:
                if self.chance.random() < rate:
                    self.ledger.fault("callback_late")
                    return self.chance.uniform(*bounds)
        return 0.0

    def _push(self, at: float, row: Json) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self.chance.random(), self._count, row))

    def next_at(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def deliver(self) -> bool:
        """Hand over what arrives now; whether anything did."""
        now, came = clock.now().timestamp(), False
        while self._heap and self._heap[0][0] <= now:
            self._hand_over(heapq.heappop(self._heap)[3], now)
            came = True
        return came

    def _hand_over(self, row: Json, now: float) -> None:
        posting = self.postman._sign(row)
        assert posting is not None
        answers: list[tuple[Response, list[Any]]] = []
        if not self.machine.run("web", lambda: answers.append(knock(posting))):
            self._again(row, now)
            return
        answer, brought = answers[0]
        self.ledger.trace.say(f"{posting.type} answered {answer.status_code}")
        if answer.status_code != 200:
            self.ledger.violated("what a provider tells is taken", f"{posting.type} answered {answer.status_code}")
        body = row["form"] if row["vendor"] == "twilio" else orjson.loads(posting.body)
        for told in brought:
            self.on_told(told, body)

    def _again(self, row: Json, now: float) -> None:
        """Resend posts again until it is taken; Twilio does not."""
        attempt = row["attempt"]
        if row["vendor"] == "resend" and attempt <= len(RETRY_SECONDS):
            self._push(now + RETRY_SECONDS[attempt - 1], row | {"attempt": attempt + 1})
