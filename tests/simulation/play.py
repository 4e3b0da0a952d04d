"""One seed from beginning to end: thirty days with everything that can go wrong, then peace until every ghost ended."""

import contextlib
import functools
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core import clock, db
from core.clock import ManualClock, from_timestamp
from core.config import settings
from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api, Request
from sandbox.stripe.cards import Attempt, Outcome
from sandbox.stripe.store import Json, Space
from sandbox.stripe.world import Settings, World
from services.handshake.service import HANDLED_TYPES
from services.merchants.joining import FIRST_HUNT
from services.tasks import service as tasks
from tests.simulation import judge, merit, protection
from tests.simulation.chance import Streams, seeded
from tests.simulation.engine import Engine
from tests.simulation.ledger import Charge, Ledger
from tests.simulation.people import People
from tests.simulation.place import Place
from tests.simulation.process import Machine
from tests.simulation.providers import Providers
from tests.simulation.scenario import DAY, HOUR, Customer, Scenario, bank, began_at, month_before
from tests.simulation.staff import Staff
from tests.simulation.vendors import SENDER_FAULTS, STRIPE_FAULTS, Line, SenderWire, StripeWire, Trouble, reachable
from tests.simulation.wire import Wire
from tests.support.factories import make_merchant

DAYS = 30
DRAIN_DAYS = 70
CRASHES = {"named": 0.004, "commit": 0.001, "call": 0.003}
MEANWHILE = 0.04
# Between hunts, in most seeds, a Sentinel that is seldom up: what hunts heal may then be days old.
HUNTS_EVERY = (DAY // 2, 4 * DAY, 4 * DAY, 8 * DAY, 8 * DAY)
# What an endpoint needs to hear; the other handled types say the same things again.
ESSENTIAL = frozenset(
    {
        "account.application.deauthorized", "charge.dispute.closed", "charge.refunded", "customer.deleted",
        "customer.subscription.deleted", "invoice.marked_uncollectible", "invoice.paid",
        "invoice.payment_action_required", "invoice.payment_failed", "invoice.voided", "payment_method.attached",
        "payment_method.automatically_updated",
    }
)  # fmt: skip
STILL = 500  # steps without time passing: somebody asks for the same thing for ever


class InvariantError(AssertionError):
    """Something that must hold did not; the text names it."""


@dataclass
class Play:
    """Everything of one seed."""

    seed: int
    place: Place
    days: int = DAYS
    streams: Streams = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    merchant: str = ""
    by_id: dict[str, Customer] = field(default_factory=dict)  # customers by their id at Stripe
    by_address: dict[str, Customer] = field(default_factory=dict)  # and by the ways they are written to
    draining: bool = False
    _still: int = 0
    _agenda: list[tuple[float, int, str, Callable[[], Any]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.streams = Streams(self.seed)
        self.scenario = Scenario.draw(self.streams("scenario"), self.days)
        self.clock = ManualClock(from_timestamp(self.scenario.begins))
        self.ends = self.scenario.begins + self.days * DAY

    # -- time -----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.clock.current.timestamp()

    def move(self, moment: float) -> None:
        """It is `moment` now, unless it is later already; a trifle after it, as rounding may not make it earlier."""
        if moment > self.now():
            self.clock.current = from_timestamp(moment) + timedelta(microseconds=10)

    def sleep(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def plan(self, at: float, what: str, act: Callable[[], Any]) -> None:
        heapq.heappush(self._agenda, (at, next(self._numbers), what, act))

    # -- the whole ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play it. Raises `InvariantError`."""
        with clock.using(self.clock), seeded(self.streams):
            self.world = World(
                Settings(platform_secret_key=_platform_key(), seed=f"simulation-{self.seed}", deliver=False),
                decide=self._decide,
            )
            self.world.move_clock = self.move
            try:
                with self._set_up():
                    self._live(self.ends)
                    self._drain()
                    judge.at_the_end(self)
                    self._check()
            finally:
                self.world.close()

    def forget(self) -> None:
        """The seed is over: everybody lets go of everybody, which is quicker than to have the circles found."""
        for one in (self.world, *vars(self.world).values(), self.people, self.staff, self.providers, self.engine, self):
            if hasattr(one, "__dict__"):
                vars(one).clear()

    @contextlib.contextmanager
    def _set_up(self) -> Iterator[None]:
        scenario = self.scenario
        self.actions, self.api = Actions(self.world), Api(self.world)
        self.account = self.actions.create_account(name="Northwind", email="owner@example.com", shape=scenario.shape)[
            "id"
        ]
        self.actions.set_rules(self.account, retry_days=scenario.retry_days, after_last=scenario.after_last)
        self.actions.connect(self.account)
        self.machine = self.place.machine.start(Machine(self.ledger, self.streams("crashes")))
        self.people, self.staff, self.providers = People(self), Staff(self), Providers(self)
        for customer in scenario.customers:
            self._join(customer)
        self._connect_phantom()
        with reachable(*self._vendors(), self.sleep, self.streams("patience")), self.engine.in_place():
            yield

    def _connect_phantom(self) -> None:
        scenario, chance = self.scenario, self.streams("engine")
        self.actions.create_webhook_endpoint(
            self.world.settings.platform_account,
            "https://phantom.example/hook",
            sorted(chance.choice((HANDLED_TYPES, ESSENTIAL, ESSENTIAL))),
            connect=True,
            secret=settings().webhook_secrets(connect=True)[0],
        )
        self.merchant = make_merchant(stripe_user_id=self.account, policy=scenario.policy, timezone=scenario.timezone)
        with db.tenant_session(self.merchant) as session:
            tasks.schedule(
                session,
                kind="hunt",
                merchant_id=self.merchant,
                payload=FIRST_HUNT,
            )
        self.wire = Wire(self.world, self.ledger, self.streams("wire"))
        self.wire.repeat = chance.choice((0.02, 0.05, 0.3))
        self.engine = Engine(
            self.machine,
            self.ledger,
            self.wire,
            chance,
            self.place.owner,
            self.place.intake,
            self.sleep,
            functools.partial(judge.events_are_stored, self),
            lambda: next(reversed(self.space.table("event").objects), ""),
            self.providers.callbacks,
        )
        self.providers.connect()
        self.engine.hunts_every = chance.choice(HUNTS_EVERY)
        if chance.random() < 0.3:
            begin = chance.uniform(scenario.begins, self.ends)
            self.engine.sentinel_away = (begin, begin + chance.uniform(HOUR, 2 * DAY))
        self.machine.rates = dict(CRASHES)
        self.machine.lose_announcements = 0.05
        self.people.plan_lives()
        self.staff.plan(scenario.begins, self.ends)

    def _vendors(self) -> tuple[StripeWire, SenderWire]:
        scenario, chance = self.scenario, self.streams("outages")
        resend, twilio = self.providers.resend, self.providers.twilio
        self.troubles = []
        lines = []
        for name, kinds, faults in (
            ("stripe", STRIPE_FAULTS, self.world.faults),
            ("mail", SENDER_FAULTS, resend.faults),
            ("text", SENDER_FAULTS, twilio.faults),
        ):
            begin = chance.uniform(scenario.begins, self.ends)
            away = ((begin, begin + chance.uniform(0.1, 8) * HOUR),) if chance.random() < 0.3 else ()
            trouble = Trouble(kinds, self.streams(f"{name} faults"), 0.03, away)
            self.troubles.append(trouble)
            lines.append(Line(name, self.machine, self.ledger, trouble, faults, self.meanwhile))
        self.senders = SenderWire({"/emails": (resend.handle, lines[1]), "/2010": (twilio.handle, lines[2])})
        at_risk = functools.partial(protection.at_risk, self)
        return StripeWire(self.api, lines[0], self.account, at_risk), self.senders

    # -- steps ----------------------------------------------------------------------------------------------------

    def _live(self, until: float) -> None:
        self.machine.wake()
        self.engine.settle()
        while (moment := self._next()) <= until:
            self._step(moment)
            self._check()
        self.move(until)

    def _next(self) -> float:
        planned = self._agenda[0][0] if self._agenda else math.inf
        due = self.world.clockwork.next_due()
        return min(planned, math.inf if due is None else due, self.engine.next_at(), self.engine.told_at())

    def _step(self, moment: float) -> None:
        self._still = self._still + 1 if moment <= self.now() else 0
        if self._still > STILL:
            self.ledger.violated("time goes on", f"{STILL} steps at one moment")
        self.move(moment)
        now = self.now()
        if self._agenda and self._agenda[0][0] <= now:
            _, _, what, act = heapq.heappop(self._agenda)
            self.ledger.trace.say(what)
            act()
        elif (self.world.clockwork.next_due() or math.inf) <= now:
            self.world.clockwork.step(int(now))
        elif self.engine.next_at() <= now:
            self.ledger.trace.say("tick")
            self.engine.tick()
        self.engine.settle()
        self.engine.look_again()

    def _check(self) -> None:
        if self.ledger.violations:
            raise InvariantError(self.ledger.violations[0])

    def meanwhile(self) -> None:
        """While a worker waits for a vendor, others act: seconds pass, people, webhooks, a second worker."""
        chance = self.streams("meanwhile")
        if self.draining or len(self.machine.stack) != 1 or chance.random() >= MEANWHILE:
            return
        self.sleep(chance.uniform(0, 1.5))
        what = chance.choice(("person", "webhooks", "worker", "worker", "nothing"))
        self.ledger.trace.say(f"meanwhile: {what}")
        if what == "person" and self._agenda and self._agenda[0][0] < self.now() + DAY:
            _, _, planned, act = heapq.heappop(self._agenda)
            self.ledger.trace.say(planned)
            act()
        elif what == "webhooks":
            self.wire.collect()
            self.engine.deliver()
        elif what == "worker":
            awake = set(self.machine.awake)
            self.machine.wake()
            self.engine.work(limit=5, name="second worker")
            self.machine.awake |= awake

    # -- the end --------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """No more trouble: what is open must come to its end."""
        self.draining = True
        self.ledger.trace.say("drain")
        self.machine.rates, self.machine.lose_announcements = {}, 0.0
        judge.replay_killed(self)
        self.wire.drop, self.wire.repeat, self.wire.late = 0.0, 0.0, False
        self.providers.peace()
        self.engine.sentinel_away, self.engine.hunts_every = (0.0, 0.0), 10 * DAY
        for trouble in self.troubles:
            trouble.rate, trouble.outages = 0.0, ()
        for customer in self.scenario.customers:
            for subscription in customer.subscription_ids:
                if self.space.table("subscription").objects[subscription]["status"] not in (
                    "canceled",
                    "incomplete_expired",
                ):
                    self.actions.cancel_subscription(self.account, subscription, at_period_end=True)
                    # Nobody's wish, so that what is open goes on to its own end until then.
                    nobody = {"cancellation_details": {"comment": None, "feedback": None, "reason": None}}
                    self.actions.edit_object(self.account, "subscription", subscription, nobody)
        judge.sums_agree(self, billed=True)
        self.staff.tidy_up()
        until = self.now() + DRAIN_DAYS * DAY
        self.engine.look_again()
        while (moment := self._next()) <= until and (self.now() < self.ends + 2 * DAY or not judge.all_ended(self)):
            self._step(moment)
            self._check()
        self._last_hunt()

    def _last_hunt(self) -> None:
        with db.tenant_session(self.merchant) as session:
            tasks.schedule(session, kind="hunt", merchant_id=self.merchant, payload={"trigger": "last"})
        self.staff.tidy_up()
        self.sleep(7)
        for _ in range(40):
            self.machine.wake()
            self.engine.tick()
            self.engine.settle()
            self._check()
            if not judge.busy(self):
                return
            self.engine.look_again()
            self.move(self._next())

    # -- Stripe's side --------------------------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        return self.world.space(self.account)

    def _join(self, customer: Customer) -> None:
        """A customer with a running subscription, before PHANTOM hears of anything."""
        known: Json = {
            "email": customer.email or None,
            "phone": customer.phone or None,
            "address": {"country": customer.country},
            "preferred_locales": [customer.language] if customer.language else [],
        }
        customer.id = self.actions.create_customer(self.account, name=customer.name, **known)["id"]
        self.by_id[customer.id] = customer
        self.by_address |= {address: customer for address in (customer.email, customer.phone) if address}
        month, year = month_before(customer.renews_at) if customer.expires else (12, 2034)
        card = self.actions.create_card(self.account, "visa", country=customer.country, exp_month=month, exp_year=year)
        self.actions.attach_payment_method(self.account, card["id"], customer.id, default=True)
        for _ in range(customer.subscriptions):
            price = self.actions.create_price(
                self.account, unit_amount=customer.amount, currency=customer.currency, interval=customer.interval
            )
            subscription = self.actions.create_subscription(
                self.account, customer.id, price["id"], backdate=began_at(customer)
            )
            customer.subscription_ids.append(subscription["id"])

    def new_card(self, customer: Customer) -> Json:
        """Another card of theirs; most work."""
        card = self.actions.create_card(self.account, "mastercard", country=customer.country)
        told = "good" if self.streams("cards").random() < 0.8 else "bad"
        self.space.private(card["id"])["told"] = told
        return card

    def delete_customer(self, customer: Customer) -> None:
        headers = {"authorization": f"Bearer {_platform_key()}", "stripe-account": self.account}
        self.api.handle(Request("DELETE", f"/v1/customers/{customer.id}", "", headers))

    def open_invoices(self, customer: Customer) -> list[Json]:
        found = self.space.table("invoice").where("customer", customer.id)
        return [invoice for invoice in found if invoice["status"] == "open" and invoice["attempted"]]

    def charges_of(self, invoice: str) -> list[Json]:
        """Every charge that was tried for an invoice."""
        payments = self.space.table("invoice_payment").where("invoice", invoice)
        intents = [payment["payment"].get("payment_intent") for payment in payments]
        return [charge for intent in intents for charge in self.space.table("charge").where("payment_intent", intent)]

    def _decide(self, attempt: Attempt) -> Outcome:
        owner = (attempt.customer or {}).get("id")
        outcome = bank(self.by_id.get(owner or ""), attempt, self.streams("bank"))
        invoice = attempt.invoice or {}
        if invoice.get("billing_reason") != "subscription_create":
            made = Charge(
                clock.now(),
                invoice.get("id", ""),
                attempt.payment_method["id"],
                attempt.source,
                outcome.approved,
                attempt.amount,
                outcome.decline_code or "",
                float(invoice.get("next_payment_attempt") or 0),
                foreseen=outcome.approved and merit.foreseen(self, invoice.get("id", ""), clock.now()),
            )
            self.ledger.charges.append(made)
            if outcome.approved and not self.draining:
                self.people.plan_regret(made.invoice)
            answer = outcome.decline_code or ("3ds" if outcome.requires_action else "approved")
            self.ledger.trace.say(f"bank: {made.invoice} {made.source} {answer}")
        return outcome


def _platform_key() -> str:
    key = settings().stripe_secret_key
    assert key is not None
    return key.get_secret_value()
