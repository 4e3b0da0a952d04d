"""Proof for the rules of recovery: an engine that breaks one is found out, in a seed where the rule matters."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from models.ghost import Mechanism
from models.messaging import Channel
from services.analytics import ledger
from services.merchants.policies import RecoveryPolicy
from services.messaging import reach, render, schedule
from services.recovery import strategy
from services.recovery.charging import retries
from services.recovery.credit import settle
from services.recovery.credit.attribution import Credit
from services.recovery.messages import composing, outreach
from services.recovery.messages.composing import Composed
from services.recovery.protection import impending
from tests.simulation.chance import Streams
from tests.simulation.place import Place, place
from tests.simulation.scenario import DAY, Scenario
from tests.simulation.seeds import play_seed
from tests.support.database import WorkerDatabase

DAYS, MOST_SEEDS = 30, 6
# Whichever of what one break breaks comes first.
NO_MAIL_TO = ("no mail to a dead address", "nothing after a complaint", "nothing after an unsubscribe")
NO_TEXT_TO = ("no text without consent", "nothing after an unsubscribe", "a text only where mail cannot")
HOPELESS = ("expired_card", "lost_card", "requires_action", "fraudulent")


@pytest.fixture
def where(database: WorkerDatabase, redis_url: str) -> Iterator[Place]:
    with place(database) as found:
        yield found


# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_day = ledger.Changes.day


def _no_losses(self: ledger.Changes, day: Any, currency: str, **figures: int) -> None:
    _day(self, day, currency, **{name: figure for name, figure in figures.items() if not name.startswith("lost_")})


def _nobodys(*_: Any) -> Credit:
    return Credit(Mechanism.ORGANIC)


def _nothing_in_the_way(*_: Any) -> str:
    return ""


def _for_ever(*_: Any) -> timedelta:
    return timedelta(days=4000)


_shut, _compose = reach._shut, composing.compose


def _blind_to_mailboxes(session: Any, merchant_id: str, channel: Channel, hashes: Any) -> dict[str, str]:
    return {} if channel is Channel.EMAIL else _shut(session, merchant_id, channel, hashes)


def _deaf_to_stop(session: Any, merchant_id: str, channel: Channel, hashes: Any) -> dict[str, str]:
    return {} if channel is Channel.SMS else _shut(session, merchant_id, channel, hashes)


def _nothing_said(*_: Any, **__: Any) -> bool:
    return False


def _one_for_all(*_: Any) -> str:
    return "fr"


def _promising(*given: Any, **named: Any) -> Composed:
    said = _compose(*given, **named)
    return replace(said, plain=f"{said.plain}\nWe will charge your card again tomorrow.")


_debts = {code: group for code, group in strategy.GROUP_OF_CODE.items() if code != "stop_payment_order"}


# -- seeds in which it matters ------------------------------------------------------------------------------------


def _any(_: Scenario) -> bool:
    return True


def _somebody_is(*codes: str) -> Callable[[Scenario], bool]:
    return lambda scenario: any(customer.code in codes for customer in scenario.customers)


def _needs_a_person(scenario: Scenario) -> bool:
    return any(customer.needs_a_person for customer in scenario.customers)


def _dead_boxes(scenario: Scenario) -> bool:
    """Somebody whose mail comes back at the first of several messages."""
    several = scenario.policy["messages_per_ghost"] > 1
    return several and any(one.bounces and one.code in HOPELESS for one in scenario.customers)


def _texted(scenario: Scenario) -> bool:
    """Somebody whom only texts reach."""
    reached = [one for one in scenario.customers if one.code in HOPELESS and one.phone and one.agrees]
    return scenario.policy["sms"] and any(not one.email for one in reached)


def _not_texted(scenario: Scenario) -> bool:
    """Somebody whom only texts would reach, and who never agreed to any."""
    asked = [one for one in scenario.customers if one.code in HOPELESS and one.phone and not one.agrees]
    return scenario.policy["sms"] and any(not one.email for one in asked)


def _ends_soon(scenario: Scenario) -> bool:
    return any(one.expires and not one.code for one in scenario.customers)


def _nobody_reaches(scenario: Scenario) -> bool:
    """Somebody whom no message reaches: nothing but the window ends it."""
    hopeless = [one for one in scenario.customers if one.code in HOPELESS and not one.email]
    return any(not (scenario.policy["sms"] and one.phone and one.agrees) for one in hopeless)


def _stripe_first(scenario: Scenario) -> bool:
    """A card that is charged again, for so long that PHANTOM could do so between Stripe's own tries."""
    late = [one for one in scenario.customers if one.cured_at - one.renews_at > 12 * DAY and not one.high]
    broke = any(one.code == "insufficient_funds" for one in late)
    return broke and scenario.policy["own_retries"] == "after_stripe" and len(scenario.retry_days) == 4


@dataclass(frozen=True)
class Broken:
    """What is put in the place of `owner.name`, the invariant (or one of several) that sees it, and in which seeds."""

    owner: Any
    name: str
    instead: Any
    invariant: str | tuple[str, ...]
    matters: Callable[[Scenario], bool] = _any
    begin: int = 1  # of the seeds: where it is seen soon


BROKEN: dict[str, Broken] = {
    "nobody's merit": Broken(settle, "credit_of", _nobodys, "whose merit"),
    "nobody is asked first": Broken(
        schedule, "_not_ours", _nothing_in_the_way, "no message before a person lets it go", _needs_a_person
    ),
    "who stopped is chased": Broken(
        strategy, "GROUP_OF_CODE", _debts, "no message to who told their bank to stop",
        _somebody_is("stop_payment_order"),
    ),
    "Stripe's turn is ours": Broken(
        retries, "_waits_for_stripe", _nothing_in_the_way, "own retries are what the merchant chose", _stripe_first, 23
    ),
    "mail to dead boxes": Broken(reach, "_shut", _blind_to_mailboxes, NO_MAIL_TO, _dead_boxes, 19),
    "deaf to STOP": Broken(reach, "_shut", _deaf_to_stop, "no text after a STOP", _texted, 80),
    "texts unasked": Broken(reach, "_no_sms", _nothing_in_the_way, NO_TEXT_TO, _not_texted, 30),
    "everybody reads French": Broken(render, "language_of", _one_for_all, "messages are in the customer's language"),
    "promises": Broken(outreach, "compose", _promising, "the last message promises nothing"),
    "at risk for ever": Broken(impending, "protect", _nothing_said, "every risk ends", _ends_soon, 4),
    "losses are not added up": Broken(ledger.Changes, "day", _no_losses, "daily_metrics equal a recount"),
    "no end": Broken(RecoveryPolicy, "window", property(_for_ever), "every ghost ends", _nobody_reaches, 2),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    asked = BROKEN[broken]
    monkeypatch.setattr(asked.owner, asked.name, asked.instead)
    seeds = (
        seed for seed in itertools.count(asked.begin) if asked.matters(Scenario.draw(Streams(seed)("scenario"), DAYS))
    )
    played = (play_seed(where, seed, DAYS) for seed in itertools.islice(seeds, MOST_SEEDS))
    found = next((one.violation for one in played if one.violation), "")
    assert found.startswith(asked.invariant), found
