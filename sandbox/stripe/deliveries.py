"""Webhook deliveries: signed, retried with back-off, and misbehaving as a test asks.

A delivery is a row that is persisted until it was accepted or given up, so a restart loses none. Either a task
of the server pushes what is due (`due`, `done`, `failed`), or a driver pulls it (`take_deliveries`).
"""

import hashlib
import hmac
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from sandbox.stripe import events
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


@dataclass
class Behaviour:
    """How deliveries go wrong. Delays are seconds on the sandbox's clock; `drop` loses a delivery for good."""

    duplicate: int = 1  # how often each event is sent
    shuffle: bool = False
    delay: tuple[float, float] = (0.0, 0.0)
    drop: float = 0.0
    seed: str = "deliveries"


@dataclass(frozen=True)
class SignedRequest:
    """One webhook ready to be posted."""

    id: str
    url: str
    headers: dict[str, str]
    body: bytes
    event_id: str
    event_type: str
    account: str
    attempt: int
    row: Json = field(repr=False, default_factory=dict)


@dataclass
class Counters:
    """What became of all deliveries since the start."""

    enqueued: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    given_up: int = 0


class Deliveries:
    """The queue of one world. Callers hold the world's lock (each public method takes it)."""

    RETRY_SECONDS = (10, 60, 300, 1800, 7200, 18000, 36000, 43200, 43200, 43200, 43200)  # about three days

    def __init__(self, world: "World") -> None:
        self._world = world
        self.behaviour = Behaviour()
        self.retry_seconds: tuple[int, ...] = self.RETRY_SECONDS
        self.counters = Counters()
        self.in_flight: set[str] = set()
        self._random = random.Random(self.behaviour.seed)
        self._rows = world.root.table("_delivery").objects
        self._recount()

    def _recount(self) -> None:
        """After a start: `pending_webhooks` is not written each time, so it is counted again."""
        for space in self._world.store.spaces.values():
            for event in space.table("event").objects.values():
                event["pending_webhooks"] = 0
        for row in self._rows.values():
            waiting = self._world.store.space(row["space"]).get("event", row["event"])
            if waiting:
                waiting["pending_webhooks"] += 1

    def configure(self, behaviour: Behaviour) -> None:
        """Behave so from the next event on."""
        self.behaviour = behaviour
        self._random = random.Random(behaviour.seed)

    def enqueue(self, space: Space, event: Json, owner: Space, endpoint: Json) -> None:
        """Queue an event for an endpoint of `owner` (the account itself, or the platform)."""
        behaviour = self.behaviour
        event["pending_webhooks"] += behaviour.duplicate
        for _ in range(behaviour.duplicate):
            self.counters.enqueued += 1
            if behaviour.drop and self._random.random() < behaviour.drop:
                self.counters.dropped += 1
                event["pending_webhooks"] -= 1
                continue
            delay = self._random.uniform(*behaviour.delay) if behaviour.delay[1] else 0.0
            self._save(
                {
                    "id": self._world.ids.new("dlv", 16),
                    "space": space.key,
                    "event": event["id"],
                    "owner": owner.key,
                    "endpoint": endpoint["id"],
                    "attempt": 1,
                    "due": self._world.now() + int(delay),
                }
            )

    def _save(self, row: Json) -> None:
        self._world.root.save("_delivery", row)

    # -- taking -------------------------------------------------------------------------------------------------

    def due(self, limit: int | None = None) -> list[SignedRequest]:
        """What is due now and not in flight, signed; the caller must settle each by `done` or `failed`."""
        with self._world.transaction():
            now = self._world.now()
            rows = [row for row in self._rows.values() if row["due"] <= now and row["id"] not in self.in_flight]
            if self.behaviour.shuffle:
                self._random.shuffle(rows)
            signed: list[SignedRequest] = []
            for row in rows:
                if limit is not None and len(signed) >= limit:
                    break
                request = self._sign(row, now)
                if request is None:
                    self._settle(row)
                    continue
                self.in_flight.add(row["id"])
                signed.append(request)
            return signed

    def take_deliveries(self, limit: int | None = None) -> list[SignedRequest]:
        """Pull mode: what is due now, signed and regarded as delivered (hand back with `failed` if it was not)."""
        with self._world.transaction():
            taken = self.due(limit)
            for request in taken:
                self.done(request)
            return taken

    def done(self, request: SignedRequest) -> None:
        """The receiver answered 2xx."""
        with self._world.transaction():
            self.in_flight.discard(request.id)
            if request.id in self._rows:
                self.counters.delivered += 1
                self._settle(request.row)

    def _settle(self, row: Json) -> None:
        """Nothing more will be sent for this row."""
        if row["id"] in self._rows:
            self._world.root.remove(row["id"])
        event = self._world.store.space(row["space"]).get("event", row["event"])
        if event:
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)  # not worth a write

    def failed(self, request: SignedRequest) -> None:
        """The receiver did not take it: again after the next back-off, or never after the last."""
        with self._world.transaction():
            self.in_flight.discard(request.id)
            row = request.row
            self.counters.failed += 1
            if row["attempt"] > len(self.retry_seconds):
                self.counters.given_up += 1
                self._settle(row)
                return
            row["due"] = self._world.now() + self.retry_seconds[row["attempt"] - 1]
            row["attempt"] += 1
            self._save(row)

    # -- looking ------------------------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When the next delivery that is not in flight falls due."""
        return min((row["due"] for row in self._rows.values() if row["id"] not in self.in_flight), default=None)

    def pending(self) -> dict[str, int]:
        """How many are due now or in flight, and how many wait for a later time."""
        with self._world.lock:
            now = self._world.now()
            waiting = sum(1 for row in self._rows.values() if row["due"] > now and row["id"] not in self.in_flight)
            return {"due": len(self._rows) - waiting, "waiting": waiting}

    # -- signing ------------------------------------------------------------------------------------------------

    def _sign(self, row: Json, now: int) -> SignedRequest | None:
        space = self._world.store.space(row["space"])
        owner = self._world.store.space(row["owner"])
        event, endpoint = space.get("event", row["event"]), owner.get("webhook_endpoint", row["endpoint"])
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            return None  # expired, or the endpoint was deleted or disabled meanwhile
        version = endpoint["api_version"] or self._world.default_version(owner)
        connect = owner.private(endpoint["id"]).get("connect")
        body = orjson.dumps(events.body(space, event, version, account=space.account if connect else None))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(body, now, self.secrets(owner, endpoint["id"], now)),
        }
        return SignedRequest(
            row["id"], endpoint["url"], headers, body, event["id"], event["type"], space.account, row["attempt"], row
        )

    @staticmethod
    def secrets(owner: Space, endpoint_id: str, now: int) -> list[str]:
        """The endpoint's secrets in force: the newest, and older ones while a roll is under way."""
        rows = owner.private(endpoint_id).get("secrets", [])
        return [row["secret"] for row in rows if row["until"] is None or row["until"] > now]


def signature(body: bytes, moment: int, secrets: list[str]) -> str:
    """A Stripe-Signature header: HMAC-SHA256 over `{t}.{body}`, one `v1=` for each secret."""
    signed = str(moment).encode() + b"." + body
    parts = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={moment}", *parts])
