"""When the next message goes, and why: a pure function of policy, history and now.

The hours are the recipient's. A country of several zones is held to the hours that are legal in all of them.
"""

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from models.ghost import GhostState, Strategy
from services.merchants.policies import RecoveryPolicy

SEND = "send_message"
EXHAUST = "exhaust"
_STEP = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class History:
    """What happened so far to a ghost. Times UTC."""

    state: GhostState
    strategy: Strategy
    decline_group: str
    country: str
    found_at: datetime
    messages_sent: int
    last_message_at: datetime | None


@dataclass(frozen=True, slots=True)
class Action:
    """The next thing to do, when (UTC), and the sentence that explains it. `name` is empty when nothing is next."""

    name: str
    at: datetime | None
    reason: str


@functools.cache
def zones_of(country: str) -> tuple[str, ...]:
    """The zones of an ISO 3166 country from the tz database's zone.tab; empty where it names none."""
    wanted = country.upper()
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return tuple(row[2] for row in rows if row[0] == wanted)


def _allowed(moment: datetime, zones: tuple[str, ...], policy: RecoveryPolicy) -> bool:
    return all(
        policy.quiet_until_hour <= moment.astimezone(ZoneInfo(zone)).hour < policy.quiet_from_hour for zone in zones
    )


def within_hours(moment: datetime, country: str, policy: RecoveryPolicy, default_zone: str = "UTC") -> datetime:
    """The first moment from `moment` on that lies in the allowed local hours of the whole country.

    A country so wide that no hour is legal everywhere (with a narrow policy) is held to its first zone in the tz
    database, which is where most people live; else the message would never go.
    """
    zones = zones_of(country) if country else (default_zone,)
    zones = zones or (default_zone,)
    for candidates in (zones, zones[:1]):
        current = moment
        while current <= moment + timedelta(days=2):
            if _allowed(current, candidates, policy):
                return current
            current = _next_half_hour(current)
    return moment


def earliest(step: int, country: str, policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC") -> datetime:
    """When the message of this step may go, counting the recipient's quiet hours alone: `now`, or the next daytime.

    A message is planned into the daytime, but its task may run later: after a pulse's hour, a back-off, an outage.
    """
    if step == 1 and not policy.quiet_first_message:
        return now
    return within_hours(now, country, policy, default_zone)


def _next_half_hour(moment: datetime) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + ((moment - epoch) // _STEP + 1) * _STEP


def next_action(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC") -> Action:
    """What follows for a ghost. Nothing follows for one that is closed, paused, or that a person must decide."""
    if history.state not in (GhostState.OPEN, GhostState.CONTACTED, GhostState.CLICKED):
        return Action("", None, _WHY_NOTHING.get(history.state, "This ghost is closed."))
    if history.strategy is Strategy.HIGH_VALUE_MANUAL:
        return Action("", None, "A person decides: it is above the high-value line.")
    if history.strategy in (Strategy.STOPPED, Strategy.NONE):
        return Action("", None, "No message: there is nothing to ask for.")
    if policy.paused:
        return Action("", None, "Messages are paused in the recovery policy.")
    ends = history.found_at + policy.window
    if history.messages_sent >= policy.messages_per_ghost:
        assert history.last_message_at is not None  # noqa: S101  # a sent message has its time
        at = min(history.last_message_at + policy.cooldown, ends)
        return Action(EXHAUST, max(at, now), "After the last message's cooldown PHANTOM stops asking.")
    if now >= ends:
        return Action(EXHAUST, now, f"{policy.window_days} days have passed since it was found.")
    return _message(history, policy, now, default_zone)


def without_messages(history: History, policy: RecoveryPolicy, now: datetime, reason: str) -> Action:
    """For a ghost that may not be written to: wait for a payment until the window ends, then give up."""
    if history.state not in (GhostState.OPEN, GhostState.CONTACTED, GhostState.CLICKED):
        return Action("", None, _WHY_NOTHING.get(history.state, "This ghost is closed."))
    return Action(EXHAUST, max(history.found_at + policy.window, now), reason)


def _message(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str) -> Action:
    if history.last_message_at is None:
        grace = policy.grace(history.decline_group)
        at = max(now, history.found_at + grace)
        if policy.quiet_first_message:
            at = within_hours(at, history.country, policy, default_zone)
        why = (
            f"Held {grace // timedelta(hours=1)} hours: this kind of fault often passes by itself."
            if grace
            else "Golden Hour: the sooner the customer knows, the likelier they pay."
        )
        return Action(SEND, at, why)
    at = within_hours(max(now, history.last_message_at + policy.cooldown), history.country, policy, default_zone)
    hours = policy.cooldown_hours
    return Action(
        SEND,
        at,
        f"Message {history.messages_sent + 1} of {policy.messages_per_ghost}, {hours} hours after the last one, "
        "in the customer's daytime.",
    )


_WHY_NOTHING = {
    GhostState.PAUSED: "Paused by a person.",
    GhostState.EXHAUSTED: "All messages were sent; a payment still counts.",
    GhostState.STOPPED: "The customer does not want these payments; PHANTOM stopped politely.",
    GhostState.LOST: "The invoice can no longer be collected.",
    GhostState.RECOVERED: "Paid.",
    GhostState.REVERSED: "The payment was reversed.",
}
