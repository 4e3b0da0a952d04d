"""The way of webhooks from Stripe to PHANTOM: repeated, shuffled, late, or lost for good."""

import heapq
import math
from dataclasses import dataclass, field
from random import Random

from sandbox.stripe.deliveries import Deliveries, signature
from sandbox.stripe.world import World
from tests.simulation.ledger import Ledger

LATE = ((0.10, (30, 7200)), (0.03, (7200, 3 * 86_400)))  # (how likely, seconds)


@dataclass(frozen=True)
class Webhook:
    """One delivery of an event."""

    event_id: str
    event_type: str
    body: bytes
    attempt: int = 1


@dataclass
class Wire:
    """Everything under way. The rates are those of a seed; in the drain they are zero."""

    world: World
    ledger: Ledger
    chance: Random
    drop: float = 0.1
    repeat: float = 0.05
    late: bool = True
    _heap: list[tuple[float, float, int, Webhook]] = field(default_factory=list)
    _count: int = 0

    def collect(self) -> None:
        """Take what Stripe has to say now, and decide what becomes of it."""
        for request in self.world.deliveries.take_deliveries():
            webhook = Webhook(request.event_id, request.event_type, request.body)
            if self.chance.random() < self.drop:
                self.ledger.fault("webhook_dropped")
                self.ledger.trace.say(f"{webhook.event_type} {webhook.event_id} is lost")
                continue
            copies = 1
            if self.chance.random() < self.repeat:
                copies = 5
                self.ledger.fault("webhook_repeated")
            for _ in range(copies):
                self._send(webhook, self.world.now() + self._delay())

    def _delay(self) -> float:
        if self.late:
            for rate, bounds in LATE:
                if self.chance.random() < rate:
                    self.ledger.fault("webhook_late")
                    return self.chance.uniform(*bounds)
        return 0.0

    def _send(self, webhook: Webhook, at: float) -> None:
        self._count += 1
        # Of what is due at one moment any may come first: Stripe promises no order.
        heapq.heappush(self._heap, (at, self.chance.random(), self._count, webhook))

    def next_at(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def take(self, now: float, limit: int) -> list[Webhook]:
        """What arrives now."""
        taken: list[Webhook] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            taken.append(heapq.heappop(self._heap)[3])
        return taken

    def refused(self, webhooks: list[Webhook], now: float) -> None:
        """PHANTOM did not answer 2xx: again after Stripe's back-off."""
        for one in webhooks:
            pause = Deliveries.RETRY_SECONDS[min(one.attempt, len(Deliveries.RETRY_SECONDS)) - 1]
            self._send(Webhook(one.event_id, one.event_type, one.body, one.attempt + 1), now + pause)

    @staticmethod
    def signed(webhook: Webhook, secret: str, now: float) -> str:
        """The signature Stripe makes at each try anew."""
        return signature(webhook.body, int(now), [secret])
