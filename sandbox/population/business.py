"""The business in the sandbox: the merchant's account and prices, and customers with subscriptions and cards."""

import heapq
from dataclasses import dataclass, field

from sandbox.population.bank import decider
from sandbox.population.persons import Person, Population
from sandbox.population.plans import CURRENCIES, PLANS, Plan, amount
from sandbox.stripe.actions import Actions
from sandbox.stripe.store import Json, Space
from sandbox.stripe.world import World

NAME, EMAIL = "Fernhollow Analytics", "demo@example.com"
_KIND, _ID = "_population", "population"
# Dunning that gives up cancels, as most merchants have it; nobody then owes for ever.
_RULES: Json = {"after_last": "cancel"}


@dataclass
class Business:
    """One merchant and its customers. What it remembers lives in the world, so that a restart goes on with it."""

    world: World
    account: str
    population: Population
    customers: int
    actions: Actions = field(init=False)

    def __post_init__(self) -> None:
        self.actions = Actions(self.world)
        self.world.decide = decider(self.population)

    @classmethod
    def open(cls, world: World, *, seed: str, customers: int, span: int) -> "Business":
        """A new business whose books open now and are kept for `span` seconds by `customers` customers in all."""
        account = Actions(world).create_account(name=NAME, email=EMAIL, rules=dict(_RULES))["id"]
        business = cls(world, account, Population(seed, world.now(), span), customers)
        with world.transaction():
            prices = {f"{plan.name}/{code}": business._new_price(plan, code) for plan in PLANS for code in CURRENCIES}
            row = {"id": _ID, "account": account, "seed": seed, "origin": world.now(), "span": span}
            world.root.save(_KIND, row | {"customers": customers, "prices": prices})
        return business

    @classmethod
    def resume(cls, world: World) -> "Business | None":
        """The business this world was filled with, if it was."""
        row = world.root.get(_KIND, _ID)
        if row is None:
            return None
        return cls(world, row["account"], Population(row["seed"], row["origin"], row["span"]), row["customers"])

    @property
    def space(self) -> Space:
        return self.world.space(self.account)

    def _new_price(self, plan: Plan, currency: str) -> str:
        price = self.actions.create_price(
            self.account,
            unit_amount=amount(plan, currency),
            currency=currency,
            product=plan.name,
            interval=plan.interval,
        )
        return str(price["id"])

    # -- coming and going ----------------------------------------------------------------------------------------

    def join(self, person: Person, *, today: bool = False) -> Json:
        """A customer signs up and pays for the first time; their subscription. `today`: whatever their past says."""
        row = self.world.root.table(_KIND).objects[_ID]
        since = self.world.now() if today else person.since
        with self.world.transaction():
            customer = self.actions.create_customer(
                self.account,
                name=person.name,
                email=person.email,
                address={"country": person.country.upper()},
                preferred_locales=[person.locale],
                created=since,
            )
            self.space.private(customer["id"])["person"] = person.index
            self.add_card(person, customer["id"])
            price = row["prices"][f"{person.plan.name}/{person.currency}"]
            backdate = since if since < self.world.now() else None
            return self.actions.create_subscription(self.account, customer["id"], price, backdate=backdate)

    def grow(self) -> Json:
        """One customer more than the history planned; their subscription."""
        row = self.world.root.table(_KIND).objects[_ID]
        with self.world.transaction():
            row["customers"] += 1
            self.world.root.save(_KIND, row)
            return self.join(self.population.person(row["customers"] - 1), today=True)

    def leave(self, person: Person) -> bool:
        """They cancel, most of them for the end of the period. False when there is nothing left to cancel."""
        customer = self.customer_of(person)
        subscription = self.subscription_of(customer) if customer else None
        if subscription is None:
            return False
        self.actions.cancel_subscription(
            self.account,
            subscription["id"],
            at_period_end=person.draws.chance(0.7, "until the end"),
            feedback=person.draws.pick(("too_expensive", "unused", "switched_service", "missing_features"), "feedback"),
        )
        return True

    def plan(self, agenda: "Agenda") -> None:
        """Put on the agenda who joins and leaves when."""
        for index in range(self.customers):
            person = self.population.person(index)
            agenda.add(person.joins_at, "join", person)
            if person.leaves_at is not None and person.leaves_at > person.joins_at:
                agenda.add(person.leaves_at, "leave", person)

    # -- cards ---------------------------------------------------------------------------------------------------

    def next_card(self, person: Person, customer: str) -> Json:
        """The customer's next card, not yet saved to them; the first one when there was none."""
        look_at = self.space.private(customer)
        serial = int(look_at.get("cards", 0))
        look = person.card(serial)
        with self.world.transaction():
            look_at["cards"] = serial + 1
            self.space.save("customer", self.space.table("customer").objects[customer])
            card = self.actions.create_card(
                self.account,
                last4=look.last4,
                brand=look.brand,
                funding=look.funding,
                country=look.country,
                exp_month=look.exp_month,
                exp_year=look.exp_year,
                billing_details={"name": person.name, "email": person.email},
            )
            self.space.private(card["id"]).update(person=person.index, serial=serial)
            return self.space.save("payment_method", card)

    def add_card(self, person: Person, customer: str) -> Json:
        """The customer's next card, saved and used from now on."""
        with self.world.transaction():
            card = self.next_card(person, customer)
            self.actions.attach_payment_method(self.account, card["id"], customer, default=True)
            return card

    # -- finding -------------------------------------------------------------------------------------------------

    def customer_of(self, person: Person) -> Json | None:
        found = self.space.table("customer").where("email", person.email)
        return found[0] if found else None

    def person_at(self, email: str) -> tuple[Person, Json] | None:
        """Who reads the mail at an address, and their customer object; None for strangers."""
        for customer in self.space.table("customer").where("email", email):
            index = self.space.private(customer["id"]).get("person")
            if index is not None:
                return self.population.person(index), customer
        return None

    def subscription_of(self, customer: Json) -> Json | None:
        """The customer's running subscription that nobody has cancelled yet."""
        found = self.space.table("subscription").where("customer", customer["id"])
        running = ("active", "past_due", "unpaid", "trialing")
        return next((s for s in found if s["status"] in running and not s["cancel_at_period_end"]), None)


@dataclass
class Agenda:
    """What is planned, in order of time: (moment, what, for whom)."""

    _heap: list[tuple[int, int, str, object]] = field(default_factory=list)
    _count: int = 0

    def add(self, moment: int, what: str, subject: object) -> None:
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, what, subject))

    def next_at(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def take(self) -> tuple[int, str, object]:
        moment, _, what, subject = heapq.heappop(self._heap)
        return moment, what, subject

    def __len__(self) -> int:
        return len(self._heap)
