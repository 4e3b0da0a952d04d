"""How a seed begins: the account at Stripe, PHANTOM connected to it, the ways between, and what will trouble them."""

import contextlib
import functools
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest import mock

from core import db
from core.config import settings
from sandbox.stripe.actions import Actions
from sandbox.stripe.api import Api
from services.handshake.service import HANDLED_TYPES
from services.merchants.joining import FIRST_HUNT
from services.recovery import purge
from services.recovery.charging import retries
from services.recovery.plans import planning
from services.tasks import service as tasks
from services.tasks.schedules import DIGEST, PURGE, USAGE, Schedule
from tests.simulation import ahead, billing, judge, own_words, presence, protection, settling
from tests.simulation.engine import Engine
from tests.simulation.inplace import in_place
from tests.simulation.people import People
from tests.simulation.process import Machine
from tests.simulation.providers import Providers
from tests.simulation.scenario import DAY, HOUR
from tests.simulation.staff import Staff
from tests.simulation.team import Team
from tests.simulation.vendors import SENDER_FAULTS, STRIPE_FAULTS, Line, SenderWire, StripeWire, Trouble, reachable
from tests.simulation.wire import Wire
from tests.support.factories import make_merchant

if TYPE_CHECKING:
    from tests.simulation.play import Play

CRASHES = {"named": 0.004, "commit": 0.001, "call": 0.003}
LOOKED_AT = (8, 14, 20, 26)  # days on which nothing may have been due for this long, whatever went wrong
PATIENCE = timedelta(days=4)
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


@contextlib.contextmanager
def stage(play: "Play") -> Iterator[None]:
    """Everything stands, and everybody has their part; while the block runs PHANTOM reaches these vendors."""
    scenario = play.scenario
    play.actions, play.api = Actions(play.world), Api(play.world)
    made = play.actions.create_account(name="Northwind", email="owner@example.com", shape=scenario.shape)
    play.account = made["id"]
    play.actions.set_rules(play.account, retry_days=scenario.retry_days, after_last=scenario.after_last)
    play.actions.connect(play.account)
    play.machine = play.place.machine.start(Machine(play.ledger, play.streams("crashes")))
    play.people, play.staff, play.providers, play.team = People(play), Staff(play), Providers(play), Team(play)
    for customer in scenario.customers:
        play.shop.join(customer)
    _connect(play)
    ways = reachable(*_vendors(play), play.sleep, play.streams("patience"))
    with ways, in_place(play.engine), _rules_of_the_seed(play):
        _beset(play)
        yield


def _connect(play: "Play") -> None:
    """PHANTOM knows the merchant, and will look at its account first of all."""
    scenario, chance = play.scenario, play.streams("engine")
    play.actions.create_webhook_endpoint(
        play.world.settings.platform_account,
        "https://phantom.example/hook",
        sorted(chance.choice((HANDLED_TYPES, ESSENTIAL, ESSENTIAL))),
        connect=True,
        secret=settings().webhook_secrets(connect=True)[0],
    )
    play.merchant = make_merchant(stripe_user_id=play.account, policy=scenario.policy, timezone=scenario.timezone)
    with db.tenant_session(play.merchant) as session:
        tasks.schedule(session, kind="hunt", merchant_id=play.merchant, payload=FIRST_HUNT)
    own_words.save(play)
    if scenario.has_team:
        play.team.join()
    if scenario.is_billed:
        billing.begin(play)
    play.wire = Wire(play.world, play.ledger, play.streams("wire"))
    play.wire.repeat = chance.choice((0.02, 0.05, 0.3))
    play.engine = Engine(
        play.machine,
        play.ledger,
        play.wire,
        chance,
        play.place.owner,
        play.place.intake,
        play.sleep,
        functools.partial(judge.events_are_stored, play),
        lambda: next(reversed(play.space.table("event").objects), ""),
        play.providers.callbacks,
        merchant=play.merchant,
        seldom=_seldom(play),
        on_begin=lambda kind: play.team.begins() if kind == DIGEST.kind else None,
    )
    play.providers.connect()


def _seldom(play: "Play") -> tuple[Schedule, ...]:
    """What the Sentinel schedules beside pulses and hunts."""
    scenario = play.scenario
    wanted = {DIGEST: scenario.has_team, USAGE: scenario.is_billed, PURGE: bool(scenario.keeps_days)}
    return tuple(schedule for schedule, is_wanted in wanted.items() if is_wanted)


def _beset(play: "Play") -> None:
    """From now on processes die, words are lost, and people act."""
    scenario, chance = play.scenario, play.streams("engine")
    play.engine.hunts_every = chance.choice(HUNTS_EVERY)
    if chance.random() < 0.3:
        begin = chance.uniform(scenario.begins, play.ends)
        play.engine.sentinel_away = (begin, begin + chance.uniform(HOUR, 2 * DAY))
    play.machine.rates = dict(CRASHES)
    play.machine.lose_announcements = 0.05
    play.people.plan_lives()
    play.staff.plan(scenario.begins, play.ends)
    presence.plan(play)
    play.rules.plan(scenario.begins, play.ends)
    settling.plan(play)
    ahead.plan(play)
    outages = [play.engine.sentinel_away, *(each for trouble in play.troubles for each in trouble.outages)]
    play.ledger.down = timedelta(seconds=sum(until - since for since, until in outages))
    for day in protection.ASKED:
        play.plan(scenario.begins + day * DAY, "what is at risk", functools.partial(protection.are_found, play))
    for day in LOOKED_AT:
        waits = functools.partial(judge.nothing_waits, play, PATIENCE)
        play.plan(scenario.begins + day * DAY, "what is due by now", waits)
        play.plan(scenario.begins + day * DAY, "who is active", functools.partial(presence.is_told, play))


def _vendors(play: "Play") -> tuple[StripeWire, SenderWire]:
    scenario, chance = play.scenario, play.streams("outages")
    resend, twilio = play.providers.resend, play.providers.twilio
    lines = []
    for name, kinds, faults in (
        ("stripe", STRIPE_FAULTS, play.world.faults),
        ("mail", SENDER_FAULTS, resend.faults),
        ("text", SENDER_FAULTS, twilio.faults),
    ):
        begin = chance.uniform(scenario.begins, play.ends)
        away = ((begin, begin + chance.uniform(0.1, 8) * HOUR),) if chance.random() < 0.3 else ()
        trouble = Trouble(kinds, play.streams(f"{name} faults"), 0.03, away)
        play.troubles.append(trouble)
        lines.append(Line(name, play.machine, play.ledger, trouble, faults, play.meanwhile))
    play.senders = SenderWire({"/emails": (resend.handle, lines[1]), "/2010": (twilio.handle, lines[2])})
    at_risk = functools.partial(protection.at_risk, play)
    return StripeWire(play.api, lines[0], play.account, at_risk), play.senders


@contextlib.contextmanager
def _rules_of_the_seed(play: "Play") -> Iterator[None]:
    """Who is held out, which is nobody in most seeds; and people whose time is over sooner than in ninety days."""
    held_out = {customer.id for customer in play.scenario.customers if customer.held_out}

    def holdout(_merchant: str, customer: str) -> bool:
        return customer in held_out

    keeps = timedelta(days=play.scenario.keeps_days) if play.scenario.keeps_days else purge.KEEP
    with contextlib.ExitStack() as rules:
        rules.enter_context(mock.patch.object(purge, "KEEP", keeps))
        if held_out:
            given = planning.read_histories.__defaults__ or ()
            rules.enter_context(mock.patch.object(planning.read_histories, "__defaults__", (*given[:-1], holdout)))
            rules.enter_context(mock.patch.object(retries.case_of, "__defaults__", (holdout,)))
        yield
