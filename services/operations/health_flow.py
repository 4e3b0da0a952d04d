"""Whether what happens at Stripe reaches PHANTOM: hunts, webhooks, and what could not be read. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from models.health import ReadVia
from models.work import HuntState
from services.audit.unreadable import UnreadableKind
from services.operations.health_access import is_locked_out
from services.operations.health_facts import HealthFacts, HuntFacts, RefusedDeliveries
from services.operations.health_schemas import Finding, Place, Severity

HUNT_OLD = timedelta(hours=13)  # one every twelve, and an hour to run in
HUNT_LONG = timedelta(hours=1)
SILENT = timedelta(hours=24)
REFUSED_FOR = timedelta(hours=1)  # Stripe repeats what it could not deliver within minutes, then within hours
REFUSED_AT_LEAST = 3
OF_FAILURES = ("invoice.payment_failed", "invoice.payment_action_required")
ESSENTIAL = (*OF_FAILURES, "invoice.paid", "customer.subscription.updated", "payment_method.attached")
"""Events without which something is noticed half a day late; the card shows when each was last seen."""
_LOOKS_BACK = frozenset({"connect", "audit"})  # hunts that find what was there before anybody could have told


def of_hunts(facts: HealthFacts) -> Iterator[Finding]:
    """The last hunt: failed, long ago, or long."""
    if is_locked_out(facts):
        return
    ended = next((hunt for hunt in facts.hunts if hunt.state != HuntState.RUNNING), None)
    done = next((hunt for hunt in facts.hunts if hunt.state == HuntState.DONE), None)
    if ended is not None and ended.state == HuntState.FAILED:
        yield Finding(
            "hunt_failed",
            Severity.PROBLEM,
            "The last hunt did not get through",
            "What webhooks did not tell of is not found until one does.",
            "Start one by hand; if it fails again, its reason stands here.",
            Place.HUNTS,
            (ended.error,) if ended.error else (),
        )
    elif (finding := _old(facts, done)) is not None:
        yield finding
    if done is not None and done.seconds >= HUNT_LONG.total_seconds():
        yield Finding(
            "hunt_long",
            Severity.NOTE,
            f"The last hunt took {_span(timedelta(seconds=done.seconds))}",
            "It is complete. Hunts run twice a day, so there is room; a very busy account or Stripe's rate limit "
            "makes them long.",
            "Nothing needs doing while they end before the next one begins.",
            Place.HUNTS,
        )


def _old(facts: HealthFacts, done: HuntFacts | None) -> Finding | None:
    since = (done.finished_at if done else None) or facts.account.connected_at
    if since is None or facts.now - since <= HUNT_OLD:
        return None
    return Finding(
        "hunt_old",
        Severity.ATTENTION,
        f"No hunt has ended for {_span(facts.now - since)}" if done else "No hunt has ended yet",
        "Hunts run every twelve hours and find what webhooks did not tell of.",
        "Look whether one is running or waiting, and whether workers and Sentinel are alive.",
        Place.HUNTS,
    )


def of_webhooks(facts: HealthFacts) -> Iterator[Finding]:
    """Refused deliveries first: they say why nothing arrives."""
    refused = list(_refused(facts))
    yield from refused
    if not refused:
        yield from _silent(facts)


def _refused(facts: HealthFacts) -> Iterator[Finding]:
    if (bad := facts.bad_signatures) is not None and _goes_on(bad, facts.now):
        yield Finding(
            "bad_signatures",
            Severity.PROBLEM,
            "Webhooks arrive with a signature that is not accepted",
            f"{bad.number} were refused and not one was accepted since. Failed payments are found by hunts alone, up "
            "to twelve hours late.",
            "If the endpoint's signing secret was changed in Stripe, whoever runs this PHANTOM has to give it the new "
            "one (STRIPE_CONNECT_WEBHOOK_SECRET; old and new, separated by a comma, while it changes).",
            Place.STRIPE_WEBHOOKS,
        )
    wrong = facts.wrong_mode
    if wrong is not None and _goes_on(wrong, facts.now) and wrong.last_at - wrong.first_at >= SILENT:
        yield Finding(
            "wrong_mode",
            Severity.ATTENTION,
            "Webhooks come from Stripe's other mode",
            "For a day there were test events where live ones are expected, or the other way round, and none of the "
            "right mode.",
            "In Stripe, switch to the mode that PHANTOM works in and look whether the endpoint exists there.",
            Place.STRIPE_WEBHOOKS,
        )


def _goes_on(refused: RefusedDeliveries, now: datetime) -> bool:
    lasted = refused.last_at - refused.first_at >= REFUSED_FOR
    return lasted and refused.number >= REFUSED_AT_LEAST and now - refused.last_at <= SILENT


def _silent(facts: HealthFacts) -> Iterator[Finding]:
    begun = facts.account.connected_at
    if begun is None:
        return
    last = max(facts.seen.values(), default=None)
    since = max(last, begun) if last else begun
    untold = _untold_since(facts, since)
    if facts.now - since > SILENT and untold:
        yield Finding(
            "webhooks_silent",
            Severity.PROBLEM,
            f"No webhook for {_span(facts.now - since)}" if last else "No webhook has ever arrived",
            f"{_hunts(len(untold))} found failed payments meanwhile that Stripe should have told of at once. The "
            "endpoint is missing, switched off, or does not reach PHANTOM.",
            "In Stripe, look whether the webhook endpoint exists, is enabled, and gets answers.",
            Place.STRIPE_WEBHOOKS,
        )
        return
    told = max((facts.seen[each] for each in OF_FAILURES if each in facts.seen), default=begun)
    missed = _untold_since(facts, max(told, begun))
    # Stripe loses a single event now and then; two hunts in a row are no accident.
    if facts.now - told > SILENT and len(missed) > 1:
        yield Finding(
            "failures_untold",
            Severity.ATTENTION,
            "Stripe does not tell of failed payments",
            f"Other webhooks arrive, and {_hunts(len(missed))} found failed payments that none told of. They are found "
            "up to twelve hours late.",
            f"In Stripe, add {OF_FAILURES[0]} and {OF_FAILURES[1]} to the endpoint's events.",
            Place.STRIPE_WEBHOOKS,
        )


def _untold_since(facts: HealthFacts, since: datetime) -> list[HuntFacts]:
    """Hunts that found something new, which a webhook after `since` would have told before."""
    return [
        hunt
        for hunt in facts.hunts
        if hunt.state == HuntState.DONE
        and hunt.found > 0
        and hunt.trigger not in _LOOKS_BACK
        and hunt.started_at > since
    ]


def of_reading(facts: HealthFacts) -> Iterator[Finding]:
    """What could not be read, all kinds together: they are looked at in one go."""
    if not facts.unreadable:
        return
    number = sum(each.number for each in facts.unreadable)
    since = min(each.first_at for each in facts.unreadable)
    yield Finding(
        "unreadable",
        Severity.ATTENTION,
        f"{number:,} {'object' if number == 1 else 'objects'} of Stripe's could not be read",
        f"Since {since:%-d %b %Y}. Nothing is guessed: what cannot be read is left out, neither counted nor chased.",
        "Look at an example in Stripe. If it is complete there, its form is new to PHANTOM, and whoever runs it "
        "should know.",
        Place.STRIPE_INVOICES,
        tuple(_kind(each) for each in facts.unreadable),
    )


def _kind(kind: UnreadableKind) -> str:
    heard = "by hunts" if kind.via is ReadVia.HUNT else "by webhooks"
    form = f", in the {kind.shape} form" if kind.shape else ""
    such = f" (such as {', '.join(kind.examples)})" if kind.examples else ""
    return f"{kind.number:,} {heard}: {kind.reason.replace('_', ' ')}{form}, since {kind.first_at:%-d %b %Y}{such}"


def _hunts(number: int) -> str:
    return "1 hunt" if number == 1 else f"{number} hunts"


def _span(gap: timedelta) -> str:
    hours = int(gap.total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 72 else f"{hours} {'hour' if hours == 1 else 'hours'}"
