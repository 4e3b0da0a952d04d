"""What comes next for a ghost, when, and why: one pure function of policy, history and now.

What decides, in this order: consent and suppression · fresh state · the merchant's pause · holdout · caps · quiet
hours · Golden Hour, or the hold the merchant set · the Oracle's hour. The first that says no gives the reason; those
that only make it later add theirs. `together` does the same for the ghosts of one customer, who share the week's
places, and `forward` plays it on as if nothing else happened.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.ghost import GhostState, Strategy
from models.messaging import Channel
from services.merchants.policies import RecoveryPolicy
from services.messaging.advice import Hour, Oracle, morning
from services.messaging.hours import at_hour, within_hours, zones_for

SEND = "send_message"
EXHAUST = "exhaust"
HOLD = timedelta(hours=6)
"""How long something waits that only another look at Stripe can free."""
WEEK = timedelta(days=7)
CHASED = (GhostState.OPEN, GhostState.CONTACTED, GhostState.CLICKED)
NO_EMAIL = "Stripe knows no email address of this customer."
SMS_IS_OFF = "Messages by SMS are off in the recovery policy."


@dataclass(frozen=True, slots=True)
class History:
    """What happened so far to a ghost, and what may be done about it. Times are aware UTC.

    `no_email` and `no_sms` say why a channel is closed to this customer; empty where it is open.
    """

    state: GhostState
    strategy: Strategy
    decline_group: str
    country: str
    failed_at: datetime
    """When the charge failed: grace counts from here."""
    found_at: datetime
    messages_sent: int
    last_message_at: datetime | None
    ghost_id: str = ""
    no_email: str = ""
    no_sms: str = SMS_IS_OFF
    held_out: bool = False
    held: str = ""
    """Why a fresh look says that it must wait, though nothing is over: a payment is under way."""
    released_at: datetime | None = None
    """When a person released the draft of a message that is theirs to decide."""
    week: tuple[datetime, ...] = ()
    """When this customer was written to, about whatever, oldest first; at least the last seven days."""
    step_refused: bool = False
    """The provider refused the next step for good: nobody got it, and its slot stays taken."""
    under_way: bool = False
    """The next step was handed over, and what came of it is not written down yet."""
    planned_at: datetime | None = None
    """When the message that is next stood planned before."""

    @property
    def step(self) -> int:
        """The number of the next message."""
        return self.messages_sent + (2 if self.step_refused else 1)


@dataclass(frozen=True, slots=True)
class Action:
    """The next thing to do, when, and the sentence that explains it. `name` is empty when nothing is next."""

    name: str
    at: datetime | None
    reason: str
    step: int = 0
    channel: Channel = Channel.EMAIL


def next_action(
    history: History, policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC", oracle: Oracle = morning
) -> Action:
    """What follows for a ghost; never before `now`. `default_zone` is the merchant's, for who has no country."""
    if history.state not in CHASED:
        return Action("", None, _WHY_NOTHING.get(history.state, "This ghost is closed."))
    ends = history.found_at + policy.window
    silent = _silent(history)
    if silent:
        return Action(EXHAUST, max(ends, now), silent)
    if nothing := _not_ours(history) or (policy.paused and "Messages are paused in the recovery policy."):
        return Action("", None, nothing)
    if history.held_out:
        return Action(EXHAUST, max(ends, now), "Held out: without messages, to learn what they are worth.")
    if history.under_way and not history.held:
        return Action(SEND, max(history.planned_at or now, now), "It is being sent.", history.step, channel_of(history))
    if history.messages_sent >= policy.messages_per_ghost:
        after = (history.last_message_at or history.found_at) + policy.cooldown
        return Action(EXHAUST, max(min(after, ends), now), "After the last message's cooldown PHANTOM stops asking.")
    if now >= ends:
        return Action(EXHAUST, now, f"{policy.window_days} days have passed since it was found.")
    action = _message(history, policy, now, default_zone, oracle)
    if action.at is not None and action.at >= ends:
        return Action(EXHAUST, ends, f"{action.reason} Its {policy.window_days} days are over before that.")
    return action


def together(
    histories: Sequence[History], policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC",
    oracle: Oracle = morning,
) -> list[Action]:  # fmt: skip
    """The next actions of one customer's ghosts, in their order: they share the places of each week.

    Who would go first has the first place; at the same moment whose customer heard least of it, so that each invoice
    is written about once before any is a second time, then who was found first. `week` is the same in all.
    """
    actions = [next_action(each, policy, now, default_zone, oracle) for each in histories]
    if len(actions) == 1:
        return actions
    taken = list(histories[0].week) if histories else []
    waiting = [index for index, action in enumerate(actions) if action.name == SEND and not histories[index].under_way]
    if len(waiting) < 2:
        return actions
    waiting.sort(key=lambda index: (actions[index].at, *_turn(histories[index])))
    for index in waiting:
        mine = replace(histories[index], week=tuple(taken))
        actions[index] = action = next_action(mine, policy, now, default_zone, oracle)
        if action.name == SEND and action.at is not None:
            insort(taken, action.at)
    return actions


def _turn(history: History) -> tuple[int, datetime, str]:
    return history.messages_sent, history.found_at, history.ghost_id


def forward(
    histories: Sequence[History], policy: RecoveryPolicy, now: datetime, until: datetime, default_zone: str = "UTC",
    oracle: Oracle = morning,
) -> list[list[Action]]:  # fmt: skip
    """What one customer's ghosts get until then if nothing else happens: each one's messages, and last what follows.

    The last action of each is the one that comes after `until`, or says why there is none.
    """
    present = list(histories)
    played: list[list[Action]] = [[] for _ in histories]
    while True:
        actions = together(present, policy, now, default_zone, oracle)
        due = [
            (each.at, _turn(present[index]), index)
            for index, each in enumerate(actions)
            if each.name == SEND and each.at is not None
        ]
        if not due or min(due)[0] > until:
            return [[*sent, following] for sent, following in zip(played, actions, strict=True)]
        now, _, index = min(due)
        played[index].append(actions[index])
        week = tuple(sorted((*present[index].week, now)))
        present = [replace(each, week=week) for each in present]
        present[index] = replace(
            present[index], state=GhostState.CONTACTED, messages_sent=actions[index].step, last_message_at=now,
            step_refused=False, under_way=False, planned_at=None, held="",
        )  # fmt: skip


def channel_of(history: History) -> Channel:
    """By which way the next message goes: mail, and SMS where mail cannot."""
    return Channel.SMS if history.no_email and not history.no_sms else Channel.EMAIL


def may_go(
    channel: Channel, step: int, country: str, policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC"
) -> datetime:
    """When a message that was begun may be handed over, counting quiet hours alone: `now`, or the next daytime."""
    return within_hours(now, country, policy, default_zone) if _obeys_hours(channel, step, policy) else now


def _silent(history: History) -> str:
    """Why this customer cannot be written to at all; empty where a way is open."""
    if history.no_email and history.no_sms:
        # Where SMS was never a question, mail's reason is all there is to say.
        return history.no_email if history.no_sms == SMS_IS_OFF else f"{history.no_email} {history.no_sms}"
    return ""


def _not_ours(history: History) -> str:
    if history.strategy is Strategy.HIGH_VALUE_MANUAL and not _is_released(history):
        return "A person decides: it is above the high-value line."
    if history.strategy in (Strategy.STOPPED, Strategy.NONE):
        return "No message: there is nothing to ask for."
    return ""


def _is_released(history: History) -> bool:
    """One release is one message."""
    last = history.last_message_at
    return history.released_at is not None and (last is None or last < history.released_at)


def _message(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle) -> Action:
    channel, step = channel_of(history), history.step
    last = history.last_message_at
    first = last is None
    if last is None:
        wait = policy.grace(history.decline_group)
        begins, why = history.failed_at + wait, _GOLDEN
        if wait:
            why = f"Held {_hours(wait)}: this kind of fault often passes by itself."
    else:
        begins = last + policy.cooldown
        why = f"Message {step} of {policy.messages_per_ghost}, {_hours(policy.cooldown)} after the last one"
    at = max(begins, now)
    if history.held:
        at, why = max(at, now + HOLD), f"Held: {history.held}."
    free = _place(at, history.week, policy.messages_per_customer_week)
    limited = free > at
    if limited:
        most = policy.messages_per_customer_week
        why = (
            f"This customer gets at most {most} {'message' if most == 1 else 'messages'} a week: it waits for a place."
        )
    at = free
    if first and not limited and not _obeys_hours(channel, step, policy):
        return Action(SEND, at, why + _by(channel, history), step, channel)
    hour = None if first and not limited else oracle(history.decline_group, history.country)
    due = history.planned_at is not None and history.planned_at <= now
    at = _settled(at, history, policy, now if due else None, default_zone, hour.hour if hour else None)
    words = _when(at, history, default_zone, hour)
    ending = f" Then {words}." if why.endswith(".") else f", {words}."
    return Action(SEND, at, why + ending + _by(channel, history), step, channel)


def _when(at: datetime, history: History, default_zone: str, hour: Hour | None) -> str:
    """What is special about the moment, in words: the preferred hour, where it could be had."""
    zones = zones_for(history.country, default_zone)
    if hour is not None and at.astimezone(zones[0]).hour == hour.hour:
        return hour.why
    return "when it is daytime in the whole country" if len(zones) > 1 else "in the customer's daytime"


def _settled(
    at: datetime, history: History, policy: RecoveryPolicy, due: datetime | None, default_zone: str, hour: int | None
) -> datetime:
    """`at` moved into the allowed hours, to the preferred one, and to where the week has a place still.

    A message whose planned moment has come (`due`) was at its hour, whatever made its task late.
    """
    cap = policy.messages_per_customer_week
    while True:
        legal = within_hours(at, history.country, policy, default_zone)
        if hour is not None and (due is None or legal > due):
            legal = at_hour(legal, hour, history.country, policy, default_zone)
        at = _place(legal, history.week, cap)
        if at == legal:
            return at


def _place(at: datetime, taken: Sequence[datetime], most: int) -> datetime:
    """The first moment from `at` on at whose end of seven days fewer than `most` of `taken` (ascending) lie."""
    while True:
        inside = [each for each in taken if at - WEEK < each <= at]
        if len(inside) < most:
            return at
        at = inside[-most] + WEEK


def _obeys_hours(channel: Channel, step: int, policy: RecoveryPolicy) -> bool:
    return channel is Channel.SMS or step > 1 or policy.quiet_first_message


def _by(channel: Channel, history: History) -> str:
    return f" By SMS: {_lower(history.no_email)}" if channel is Channel.SMS else ""


def _lower(sentence: str) -> str:
    """A sentence after a colon; names keep their capital."""
    return sentence if sentence.startswith("Stripe") else sentence[:1].lower() + sentence[1:]


def _hours(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    return f"{hours} {'hour' if hours == 1 else 'hours'}"


_GOLDEN = "Golden Hour: the sooner the customer knows, the likelier they pay."
_WHY_NOTHING = {
    GhostState.PAUSED: "Paused by a person.",
    GhostState.EXHAUSTED: "All messages were sent; a payment still counts.",
    GhostState.STOPPED: "The customer does not want these payments; PHANTOM stopped politely.",
    GhostState.LOST: "The invoice can no longer be collected.",
    GhostState.RECOVERED: "Paid.",
    GhostState.REVERSED: "The payment was reversed.",
    GhostState.IMPENDING: "Nothing has failed yet.",
    GhostState.PROTECTED: "It was made safe before anything failed.",
}
