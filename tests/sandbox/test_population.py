"""The population: the same from the same seed, believable in its numbers, hidden from whoever asks Stripe's API."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from email_validator import validate_email

from core import clock
from core.money import exponent
from sandbox.people import Seen
from sandbox.population.bank import days_since_payday, funds_lack
from sandbox.population.business import Agenda, Business
from sandbox.population.draws import Draws
from sandbox.population.living import BURST, PER_HOUR, Life
from sandbox.population.persons import DAY, Nature, Person, Population
from sandbox.population.plans import CURRENCIES, PLANS, amount
from sandbox.stripe import lookups
from sandbox.stripe.api import Api, Request
from sandbox.stripe.cards import Attempt, Outcome
from sandbox.stripe.world import Settings, World
from services.merchants.usual_lines import usual_line

ORIGIN = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
SPAN = 215 * DAY


def people(seed: str = "phantom", number: int = 300) -> list[Person]:
    population = Population(seed, ORIGIN, SPAN)
    return [population.person(index) for index in range(number)]


def looks(person: Person) -> tuple[object, ...]:
    return (person.name, person.email, person.plan, person.currency, person.card(0), person.joins_at, person.leaves_at)


@dataclass
class Months:
    """A business that lived its span without PHANTOM, and what its banks said."""

    business: Business
    first: dict[str, Outcome] = field(default_factory=dict)
    retries: list[Outcome] = field(default_factory=list)

    @classmethod
    def live(cls, seed: str, customers: int = 300, span: int = SPAN) -> "Months":
        manual = clock.ManualClock(clock.from_timestamp(ORIGIN))

        def move(moment: int) -> None:
            manual.current = clock.from_timestamp(moment)

        with clock.using(manual):
            world = World(Settings(deliver=False), move_clock=move)
            months = cls(Business.open(world, seed=seed, customers=customers, span=span))
            months.watch()
            agenda = Agenda()
            months.business.plan(agenda)
            while (moment := agenda.next_at()) is not None and moment < ORIGIN + span:
                world.clockwork.advance_to(moment)
                _, what, person = agenda.take()
                assert isinstance(person, Person)
                months.business.join(person) if what == "join" else months.business.leave(person)
            world.clockwork.advance_to(ORIGIN + span)
            world.close()
        return months

    def watch(self) -> None:
        decide = self.business.world.decide

        def watched(attempt: Attempt) -> Outcome:
            outcome = decide(attempt)
            if attempt.invoice and attempt.invoice["billing_reason"] == "subscription_cycle":
                if attempt.invoice["id"] in self.first:
                    self.retries.append(outcome)
                else:
                    self.first[attempt.invoice["id"]] = outcome
            return outcome

        self.business.world.decide = watched

    @property
    def failure_rate(self) -> float:
        return sum(not outcome.approved for outcome in self.first.values()) / len(self.first)


@pytest.fixture(scope="module")
def months() -> Months:
    return Months.live("phantom")


class TestDraws:
    def test_a_draw_depends_on_its_subject_and_on_nothing_before(self):
        assert Draws("a").unit("x", 1) == Draws("a").of("x").unit(1)
        assert len({Draws("a").unit(number) for number in range(1000)}) == 1000

    def test_draws_are_spread_evenly(self):
        tenths = Counter(int(Draws("even").unit(number) * 10) for number in range(10_000))
        assert all(850 < count < 1150 for count in tenths.values())

    def test_options_come_as_often_as_they_weigh(self):
        found = Counter(Draws("w").weighted((("a", 3), ("b", 1)), number) for number in range(4000))
        assert 2.7 < found["a"] / found["b"] < 3.3


class TestPersons:
    def test_the_same_seed_makes_the_same_people_in_any_order(self):
        population = Population("phantom", ORIGIN, SPAN)
        backwards = [looks(population.person(index)) for index in reversed(range(300))]
        assert backwards[::-1] == [looks(person) for person in people()]

    def test_another_seed_makes_others(self):
        pairs = zip(people("one"), people("two"), strict=True)
        assert sum(looks(one) == looks(two) for one, two in pairs) == 0

    def test_they_come_from_everywhere_and_pay_in_many_currencies(self):
        everyone = people(number=1000)
        assert len({person.country for person in everyone}) >= 8
        currencies = Counter(person.currency for person in everyone)
        assert set(currencies) == set(CURRENCIES)
        assert currencies["usd"] > 600
        assert {exponent(currency) for currency in currencies} == {0, 2, 3}
        assert {person.plan.interval for person in everyone} == {"month", "year"}
        assert {person.card(0).brand for person in everyone} >= {"visa", "mastercard", "amex", "jcb"}
        assert {person.card(0).funding for person in everyone} == {"credit", "debit", "prepaid"}

    def test_some_are_above_the_high_value_line(self):
        plans, line = [person.plan for person in people()], usual_line("usd")
        assert line is not None
        assert 3 <= sum(amount(plan, "usd") >= line for plan in plans) <= 30

    def test_every_address_is_legal_its_owners_alone_and_nobodys_in_the_world(self):
        everyone = people(number=1000)
        assert len({person.email for person in everyone}) == 1000
        for person in everyone:
            validate_email(person.email, check_deliverability=False, test_environment=True)
            assert person.email.endswith((".com", ".org", ".net"))
            assert person.email.rpartition("@")[2].split(".")[-2] == "example"
        odd = [person.email for person in everyone if set("/'!#{}$*?=%~") & set(person.email.partition("@")[0])]
        assert len(odd) > 50

    def test_some_names_look_like_html(self):
        assert any("<" in person.name for person in people())

    def test_a_card_that_expires_expires_within_the_books(self):
        for person in people():
            look = person.card(0)
            expires = datetime(look.exp_year, look.exp_month, 28, tzinfo=UTC).timestamp()
            assert (expires < ORIGIN + SPAN + 28 * DAY) == (person.nature is Nature.EXPIRING)
            assert (look.exp_year, look.exp_month) >= (
                datetime.fromtimestamp(person.joins_at, UTC).year,
                datetime.fromtimestamp(person.joins_at, UTC).month if look.exp_year == 2026 else 1,
            )


class TestPrices:
    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_stripe_takes_every_price(self, currency: str):
        for plan in PLANS:
            price = amount(plan, currency)
            assert price > 0
            assert exponent(currency) != 3 or price % 10 == 0, "three-decimal amounts end in a zero at Stripe"


class TestFunds:
    @pytest.mark.parametrize(
        ("day", "payday", "since"),
        [(1, 1, 0), (31, 1, 30), (14, 15, 27), (15, 15, 0), (28, 28, 0), (27, 28, 27), (2, 25, 5)],
    )
    def test_days_are_counted_from_the_last_payday(self, day: int, payday: int, since: int):
        assert days_since_payday(datetime(2026, 3, day, tzinfo=UTC), payday) == since

    def test_it_is_worst_before_payday_and_better_in_the_morning(self):
        person = next(one for one in people() if one.nature is Nature.PAYDAY and one.payday == 15)
        start = datetime(2026, 5, 1, tzinfo=person.zone)

        def at(day: int, hour: int) -> float:
            return funds_lack(person, int(start.replace(day=day, hour=hour).timestamp()))

        assert at(14, 10) > at(25, 10) > at(16, 10)
        assert at(10, 3) > at(10, 20) > at(10, 9)


class TestSixMonths:
    def test_renewals_fail_as_often_as_in_the_field(self, months: Months):
        assert len(months.first) > 1000
        assert 0.055 < months.failure_rate < 0.1

    @pytest.mark.parametrize("seed", ["one", "two"])
    def test_whatever_the_seed(self, seed: str):
        assert 0.045 < Months.live(seed).failure_rate < 0.11

    def test_there_is_a_reason_of_every_kind(self, months: Months):
        codes = {outcome.decline_code for outcome in months.first.values()}
        assert {"insufficient_funds", "expired_card", "processing_error"} <= codes
        assert codes & {"generic_decline", "do_not_honor"}
        assert codes & {"lost_card", "stolen_card", "pickup_card", "fraudulent", "restricted_card"}
        assert any(outcome.requires_action for outcome in months.first.values())

    def test_retries_help_some(self, months: Months):
        approved = sum(outcome.approved for outcome in months.retries)
        assert 0.15 < approved / len(months.retries) < 0.6

    def test_the_business_grows_and_churns(self, months: Months):
        table = months.business.space.table("subscription")
        assert 250 < len(table) <= 300
        created = Counter(subscription["created"] > ORIGIN + DAY for subscription in table.objects.values())
        assert created[True] > 60
        assert 20 < table.count("status", "canceled") < 110
        assert table.count("status", "incomplete_expired") == 0

    def test_the_same_seed_lives_the_same_months(self):
        one, two = (Months.live("again", customers=25, span=80 * DAY) for _ in range(2))
        assert one.first == two.first
        assert one.retries == two.retries
        assert one.first

    def test_no_answer_of_the_api_tells_a_trait(self, months: Months):
        business = months.business
        key = f"sk_test_{business.account.removeprefix('acct_')}"
        api = Api(business.world)
        shown = ""
        for path in ("customers", "payment_methods", "subscriptions", "invoices", "events", "charges"):
            headers = {"authorization": f"Bearer {key}"}
            shown += api.handle(Request("GET", f"/v1/{path}", "limit=100", headers)).body.decode()
        assert len(json.dumps(shown)) > 100_000
        words = [*(f'"{nature}"' for nature in Nature), "payday", "nature", "tightness", "serial"]
        assert [word for word in words if word in shown] == []


class Nobody:
    """A browser that goes nowhere."""

    def open(self, method: str, url: str) -> Seen:
        return Seen(404, "", b"")


class TestLiving:
    @pytest.fixture
    def manual(self) -> Iterator[clock.ManualClock]:
        with clock.using(clock.ManualClock(clock.from_timestamp(ORIGIN + SPAN))) as installed:
            assert isinstance(installed, clock.ManualClock)
            yield installed

    @pytest.fixture
    def life(self, manual: clock.ManualClock) -> Iterator[Life]:
        def move(moment: int) -> None:
            manual.current = clock.from_timestamp(moment)

        world = World(Settings(deliver=False), move_clock=move)
        business = Business.open(world, seed="phantom", customers=120, span=SPAN)
        for index in range(120):
            business.join(business.population.person(index))
        yield Life.of(business, Nobody())
        world.close()

    def beat(self, life: Life, seconds: int, every: int = 5) -> None:
        world = life.business.world
        for _ in itertools.repeat(None, seconds // every):
            world.clockwork.advance_to(world.now() + every)
            life.beat()

    def test_ghosts_appear_within_minutes(self, life: Life):
        self.beat(life, 600)
        invoices = life.business.space.table("invoice").objects.values()
        cycles = [one for one in invoices if one["billing_reason"] == "subscription_cycle"]
        failed = [one for one in cycles if one["status"] == "open" and one["attempted"]]
        assert 12 <= len(cycles) <= 35
        assert len(failed) >= 4
        assert any(lookups.intent_of(life.business.space, one) for one in failed)

    def test_a_machine_left_alone_does_not_drown(self, life: Life):
        before = len(life.business.space.table("invoice"))
        days = 2
        self.beat(life, days * DAY, every=30)
        allowed = BURST + days * 24 * PER_HOUR
        # besides, everybody's ordinary renewals go on
        ordinary = len(life.business.space.table("subscription")) * (days / 28 + 0.05)
        assert len(life.business.space.table("invoice")) - before <= allowed + ordinary

    def test_a_world_without_a_population_is_left_alone(self):
        world = World(Settings(deliver=False))
        assert Business.resume(world) is None
        world.close()
