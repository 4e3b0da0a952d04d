"""A PHANTOM with a rule broken out of it, and the seeds in which that rule matters."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.simulation import staff
from tests.simulation.chance import Streams
from tests.simulation.place import Place
from tests.simulation.scenario import DAY, Scenario
from tests.simulation.seeds import play_seed

DAYS, MOST_SEEDS = 30, 6
HOPELESS = ("expired_card", "lost_card", "requires_action", "fraudulent")


# -- seeds in which a rule matters --------------------------------------------------------------------------------


def anyhow(_: Scenario) -> bool:
    return True


def somebody_is(*codes: str) -> Callable[[Scenario], bool]:
    return lambda scenario: any(customer.code in codes for customer in scenario.customers)


def needs_a_person(scenario: Scenario) -> bool:
    return any(customer.needs_a_person for customer in scenario.customers)


def dead_boxes(scenario: Scenario) -> bool:
    """Somebody whose mail comes back at the first of several messages."""
    several = scenario.policy["messages_per_ghost"] > 1
    return several and any(one.bounces and one.code in HOPELESS for one in scenario.customers)


def texted_after_mail(scenario: Scenario) -> bool:
    """Somebody whose one message comes back, and whom a text reaches then."""
    back = [one for one in scenario.customers if one.email and one.bounces and one.phone and one.agrees]
    reached = any(one.code in HOPELESS and not one.high and not one.held_out for one in back)
    return reached and scenario.policy["sms"] and scenario.policy["messages_per_ghost"] == 1


def texted(scenario: Scenario) -> bool:
    """Somebody whom only texts reach."""
    reached = [one for one in scenario.customers if one.code in HOPELESS and one.phone and one.agrees]
    return scenario.policy["sms"] and any(not one.email for one in reached)


def not_texted(scenario: Scenario) -> bool:
    """Somebody whom only texts would reach, and who never agreed to any."""
    asked = [one for one in scenario.customers if one.code in HOPELESS and one.phone and not one.agrees]
    return scenario.policy["sms"] and any(not one.email for one in asked)


def own_mail(scenario: Scenario) -> bool:
    return scenario.own_mail and any(one.email and one.code in HOPELESS for one in scenario.customers)


def two_at_once(scenario: Scenario) -> bool:
    """Somebody with two invoices of one moment, each worth a message at once."""
    several = scenario.policy["messages_per_customer_week"] > 1
    return several and any(one.subscriptions > 1 and one.email and one.code in HOPELESS for one in scenario.customers)


def held_out(scenario: Scenario) -> bool:
    """Somebody who would be written to, and is not."""
    return any(one.held_out and one.email and not one.high and one.code in HOPELESS for one in scenario.customers)


def held_out_from_charges(scenario: Scenario) -> bool:
    """Somebody held out whose card is worth another charge of ours."""
    charged = scenario.policy["own_retries"] == "after_stripe" and len(scenario.retry_days) < 4
    return charged and any(one.held_out and one.code == "insufficient_funds" for one in scenario.customers)


def in_their_words(scenario: Scenario) -> bool:
    reads = {one.reads for one in scenario.customers if one.email and one.code in HOPELESS}
    return bool(reads & set(scenario.own_words))


def a_promise_too_late(scenario: Scenario) -> bool:
    return scenario.promises and scenario.policy["messages_per_ghost"] == 1 and in_their_words(scenario)


def a_word_ahead(scenario: Scenario) -> bool:
    """Somebody who may be told of a card that ends, and give another one."""
    return scenario.policy["protection_mails"] and any(one.expires and one.email for one in scenario.customers)


def no_word_ahead(scenario: Scenario) -> bool:
    """Somebody whose card ends, of a merchant that wants nobody told of that."""
    told = [one for one in scenario.customers if one.expires and one.email and not one.high and not one.held_out]
    return bool(told) and not scenario.policy["protection_mails"]


def written_to_twice(scenario: Scenario) -> bool:
    """Several to whom more than one mail goes."""
    reached = [one for one in scenario.customers if one.email and one.code in HOPELESS and not one.high]
    return scenario.policy["messages_per_ghost"] > 1 and len(reached) > 2


def withdraws_from_texts(scenario: Scenario) -> bool:
    return scenario.policy["messages_per_ghost"] > 1 and texted(scenario)


def ends_soon(scenario: Scenario) -> bool:
    return any(one.expires and not one.code for one in scenario.customers)


def nobody_reaches(scenario: Scenario) -> bool:
    """Somebody whom no message reaches: nothing but the window ends it."""
    hopeless = [one for one in scenario.customers if one.code in HOPELESS and not one.email]
    return any(not (scenario.policy["sms"] and one.phone and one.agrees) for one in hopeless)


def stripe_first(scenario: Scenario) -> bool:
    """A card that is charged again, for so long that PHANTOM could do so between Stripe's own tries."""
    late = [one for one in scenario.customers if one.cured_at - one.renews_at > 12 * DAY and not one.high]
    broke = any(one.code == "insufficient_funds" for one in late)
    return broke and scenario.policy["own_retries"] == "after_stripe" and len(scenario.retry_days) == 4


def charged_after_stripe(scenario: Scenario) -> bool:
    """A card that the bank has ended, and a merchant for whom PHANTOM charges once Stripe is done."""
    ended = any(one.code in ("expired_card", "lost_card", "fraudulent") for one in scenario.customers)
    return ended and scenario.policy["own_retries"] == "after_stripe" and len(scenario.retry_days) < 4


def charged_by_us(scenario: Scenario) -> bool:
    """A card that is short of money until long after Stripe has given up, well within the days of its ghost."""
    late = [one for one in scenario.customers if one.cured_at - one.renews_at > 16 * DAY and not one.high]
    short = any(one.code == "insufficient_funds" and not one.held_out for one in late)
    policy = scenario.policy
    return short and policy["own_retries"] != "off" and len(scenario.retry_days) < 3 and policy["window_days"] > 20


def between_stripes(scenario: Scenario) -> bool:
    """A card that PHANTOM charges between Stripe's own tries."""
    broke = any(one.code == "insufficient_funds" for one in scenario.customers)
    return broke and scenario.policy["own_retries"] == "with_stripe"


@dataclass(frozen=True)
class Broken:
    """What is put in the place of `owner.name`, the invariant (or one of several) that sees it, and in which seeds."""

    owner: Any
    name: str
    instead: Any
    invariant: str | tuple[str, ...]
    matters: Callable[[Scenario], bool] = anyhow
    begin: int = 1  # of the seeds: where it is seen soon
    staff: str = ""  # what somebody at the merchant's does in these seeds
    more: tuple[tuple[Any, str, Any], ...] = ()  # what else has to be replaced for the rule to be gone

    def matters_in(self, seed: int) -> bool:
        streams = Streams(seed)
        if not self.matters(Scenario.draw(streams("scenario"), DAYS)):
            return False
        return not self.staff or self.staff in [what for what, _ in staff.drawn(streams("staff"), 0, 1)]

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name, instead in ((self.owner, self.name, self.instead), *self.more):
            monkeypatch.setattr(owner, name, instead)


def is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, asked: Broken) -> None:
    """The first seed of a few that finds anything finds what is broken."""
    asked.put_in_place(monkeypatch)
    seeds = (seed for seed in itertools.count(asked.begin) if asked.matters_in(seed))
    played = (play_seed(where, seed, DAYS) for seed in itertools.islice(seeds, MOST_SEEDS))
    found = next((one.violation for one in played if one.violation), "")
    assert found.startswith(asked.invariant), found
