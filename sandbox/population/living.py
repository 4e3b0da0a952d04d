"""The business goes on living while somebody watches: renewals come early, some fail, mails are answered in minutes.

Bounded: a lively half hour after each start, then a few renewals an hour, so that a machine left alone for a month
does not drown. Runs inside the sandbox's server (`--living`), and only where a history left a population.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
from starlette.routing import Route

from sandbox.people import Browser, Letter, People, Seen
from sandbox.population.business import Agenda, Business
from sandbox.stripe import billing
from sandbox.stripe.cards import Attempt
from sandbox.stripe.store import Json

if TYPE_CHECKING:
    from sandbox.stripe.world import World

log = logging.getLogger(__name__)

TICK = 1.0
PAUSE = (20, 40)  # seconds between two renewals while there is budget
BURST, PER_HOUR = 60.0, 6.0  # renewals brought forward: at once after a start, and from then on
FAILING = 0.6  # how many of them fail, as far as there are customers whose bank will refuse
LOOKED_AT = 60  # customers asked for each choice
DRAFT_SECONDS = 4
ANSWER_SECONDS = (40, 160)
RETRY_SECONDS, GIVE_UP_SECONDS = 30, 900  # a PHANTOM that does not answer
EAGER = 2.2  # who watches has less patience than six months


@dataclass
class HttpBrowser:
    """A customer's browser on the real network: `sandbox.people.Browser`."""

    client: httpx.Client

    def open(self, method: str, url: str) -> Seen:
        answer = self.client.request(method, url)
        return Seen(answer.status_code, answer.headers.get("location", ""), answer.content)


@dataclass(frozen=True)
class Soon:
    """When a letter is answered while somebody watches."""

    random: random.Random

    def __call__(self, letter: Letter) -> int:
        return int(letter.message.created) + self.random.randint(*ANSWER_SECONDS)


@dataclass
class Life:
    """What happens by itself. Synchronous: `run` calls it from a thread, because people wait for answers."""

    business: Business
    people: People
    random: random.Random
    _size: int
    _budget: float = BURST
    _filled_at: int = 0
    _next_at: int = 0

    @classmethod
    def of(cls, business: Business, browser: Browser) -> "Life":
        now = business.world.now()
        chance = random.Random(f"{business.population.seed}:{now}")
        people = People(business, browser, Agenda(), Soon(chance), eager=EAGER, since=float(now))
        business.actions.set_rules(business.account, draft_seconds=DRAFT_SECONDS)
        running = business.space.table("subscription").count("status", "active")
        return cls(business, people, chance, running, _filled_at=now, _next_at=now + 10)

    def beat(self) -> None:
        """One look at the clock: a renewal if it is time for one, and whatever people have planned."""
        now = self.business.world.now()
        self._budget = min(BURST, self._budget + (now - self._filled_at) * PER_HOUR / 3600)
        self._filled_at = now
        if now >= self._next_at and self._budget >= 1:
            self._budget -= 1
            self._next_at = now + self.random.randint(*PAUSE)
            self.go_on()
        self.people.read_mail()
        agenda = self.people.agenda
        while (planned := agenda.next_at()) is not None and planned <= now:
            self._act(*agenda.take(), now)

    def _act(self, moment: int, what: str, subject: object, now: int) -> None:
        try:
            if isinstance(subject, Letter):
                self.people.act(what, subject)
            elif isinstance(subject, str):
                self.people.regret(what, subject)
        except httpx.HTTPError as error:
            log.warning("a customer could not reach PHANTOM: %s", type(error).__name__)
            if isinstance(subject, Letter) and now - subject.message.created < GIVE_UP_SECONDS:
                self.people.agenda.add(now + RETRY_SECONDS, what, subject)

    # -- renewals ------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """A renewal, or somebody new in the place of those who left."""
        running = self.business.space.table("subscription").count("status", "active")
        if running < self._size and self.random.random() < 0.5:
            self.business.grow()
        else:
            self.bring_forward()

    def bring_forward(self) -> Json | None:
        """Let one customer's next period begin now; the subscription, None when there is nobody."""
        world, space = self.business.world, self.business.space
        with world.transaction():
            running = space.table("subscription").where("status", "active")
            settled = [one for one in running if not one["cancel_at_period_end"] and not self._drafted(one)]
            if not settled:
                return None
            asked = self.random.sample(settled, min(LOOKED_AT, len(settled)))
            asked.sort(key=lambda one: billing.period_of(one)[0])  # whoever was not billed for longest
            refused = [one for one in asked if self._would_fail(one)] if self.random.random() < FAILING else []
            chosen = (refused or asked)[0]
            start, now = billing.period_of(chosen)[0], world.now()
            billing.set_period(chosen, start, now)
            chosen["billing_cycle_anchor"] = now
            space.save("subscription", chosen)
            billing.renew(world, space, chosen)
            return chosen

    def _drafted(self, subscription: Json) -> bool:
        latest = self.business.space.get("invoice", subscription["latest_invoice"])
        return latest is not None and latest["status"] != "paid"

    def _would_fail(self, subscription: Json) -> bool:
        """Ask the bank beforehand: its answer depends on the invoice's number and the hour only."""
        world, space = self.business.world, self.business.space
        customer = space.table("customer").objects[subscription["customer"]]
        method = space.get("payment_method", customer["invoice_settings"]["default_payment_method"])
        if method is None:
            return False
        number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        attempt = Attempt(
            account=space.account,
            customer=customer,
            payment_method=method,
            invoice={"id": "", "number": number, "billing_reason": "subscription_cycle"},
            amount=0,
            currency=subscription["currency"],
            number=1,
            now=world.now(),
            behaviour=space.private(method["id"]),
            source="automatic",
        )
        return not world.decide(attempt).approved


def routes(world: "World") -> list[Route]:
    """No routes; a world that a history filled gets its banks back."""
    Business.resume(world)
    return []


async def run(world: "World") -> None:
    """Live until cancelled, where there is somebody to live."""
    business = Business.resume(world) if world.settings.living else None
    if business is None:
        return
    with httpx.Client(timeout=15, follow_redirects=False, trust_env=False) as client:
        life = Life.of(business, HttpBrowser(client))
        while True:
            await asyncio.to_thread(life.beat)
            await asyncio.sleep(TICK)
