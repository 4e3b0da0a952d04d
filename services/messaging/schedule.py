"""What comes next for a ghost, when, and why: one pure function of policy, history and now.

What decides, in this order: consent and suppression · fresh state · the merchant's pause · holdout · caps · quiet
hours · Golden Hour, or the hold the merchant set · the Oracle's hour. The first that says no gives the reason; those
that only make it later add theirs. `together` does the same for the ghosts of one customer, who share the week's
places, and `forward` plays it on as if nothing else happened. What is said once and no more, before a charge that may
fail and to who told their bank to stop, is in `once`.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from models.ghost import CHASED_STATES, GhostState, Strategy
from models.messaging import Channel
from services.merchants.policies import RecoveryPolicy
from services.messaging import once, places
from services.messaging.advice import Oracle, morning
from services.messaging.history import (
    EXHAUST,
    HOLD,
    NO_EMAIL,
    PROTECTION_STEP,
    SEND,
    SMS_IS_OFF,
    Action,
    Charge,
    History,
)
from services.messaging.hours import Country, by_law, within_hours
from services.messaging.places import WEEK

__all__ = [
    "EXHAUST",
    "HOLD",
    "NO_EMAIL",
    "PROTECTION_STEP",
    "SEND",
    "SMS_IS_OFF",
    "WEEK",
    "Action",
    "Charge",
    "History",
    "channel_of",
    "forward",
    "may_go",
    "next_action",
    "together",
    "why_silent",
]


def next_action(
    history: History, policy: RecoveryPolicy, now: datetime, default_zone: str = "UTC", oracle: Oracle = morning
) -> Action:
    """What follows for a ghost; never before `now`. `default_zone` is the merchant's, for who has no country."""
    if history.state not in CHASED_STATES:
        said = once.next_action(history, policy, now, default_zone, oracle)
        return said or Action("", None, _why_nothing(history))
    if history.disconnected:
        return Action("", None, once.DISCONNECTED)
    ends = policy.ends(history.found_at, history.reopened_at)
    silent = why_silent(history)
    if silent:  # nobody's time is over before the merchant's go
        return Action("", None, silent) if policy.paused else Action(EXHAUST, max(ends, now), silent)
    if history.decided and history.strategy is Strategy.HIGH_VALUE_MANUAL:
        return Action(EXHAUST, max(ends, now), DECIDED)
    if nothing := _not_ours(history) or (policy.paused and once.PAUSED):
        return Action("", None, nothing)
    if history.strategy is Strategy.NONE:
        return Action(EXHAUST, max(ends, now), NOTHING_TO_ASK)
    if history.held_out:
        return Action(EXHAUST, max(ends, now), once.HELD_OUT)
    if history.under_way and not history.held:
        at = max(history.planned_at or now, now)
        return _send(at, once.UNDER_WAY, history, channel_of(history))
    if history.messages_got >= policy.messages_per_ghost:
        after = (history.last_message_at or history.found_at) + policy.cooldown
        return Action(EXHAUST, max(min(after, ends), now), ASKED_ENOUGH)
    if now >= ends:
        return Action(EXHAUST, now, f"Its {policy.window_days} days are over.")
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
    is written about once before any is a second time, then who was found first. `week` is the same in all. What one
    of them gets before another's turn takes its place too: a plan moves when something happens, and not before.
    """
    alone = [next_action(each, policy, now, default_zone, oracle) for each in histories]
    if len(alone) == 1 or _all_fit(histories, alone, policy):  # as most do
        return alone
    found: dict[int, Action] = {}
    for actions, turn in _played(histories, policy, now, default_zone, oracle):
        if not found and sum(each.name == SEND for each in actions) < 2:
            return actions
        found = {index: each for index, each in enumerate(actions) if each.name != SEND} | found
        if turn is not None:
            found.setdefault(turn, actions[turn])
        if len(found) == len(histories):
            break
    return [found[index] for index in range(len(histories))]


def _all_fit(histories: Sequence[History], actions: Sequence[Action], policy: RecoveryPolicy) -> bool:
    """Whether the week has a place for all that these could get until the last of them has its turn."""
    turns = [each.at for each in actions if each.name == SEND and each.at is not None]
    if len(turns) < 2:
        return True
    last = max(turns)
    coming = sum(1 + (last - at) // max(policy.cooldown, timedelta(hours=1)) for at in turns)
    return len(histories[0].week) + coming <= policy.messages_per_customer_week


def forward(
    histories: Sequence[History], policy: RecoveryPolicy, now: datetime, until: datetime, default_zone: str = "UTC",
    oracle: Oracle = morning,
) -> list[list[Action]]:  # fmt: skip
    """What one customer's ghosts get until then if nothing else happens: each one's messages, and last what follows.

    The last action of each is the one that comes after `until`, or says why there is none.
    """
    sent: list[list[Action]] = [[] for _ in histories]
    following: list[Action] = []
    for following, turn in _played(histories, policy, now, default_zone, oracle):
        at = following[turn].at if turn is not None else None
        if turn is None or at is None or at > until:
            break
        sent[turn].append(following[turn])
    return [[*mine, last] for mine, last in zip(sent, following, strict=True)]


def _played(
    histories: Sequence[History], policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle
) -> Iterator[tuple[list[Action], int | None]]:
    """One customer's ghosts, message by message: what each would get next, and which goes first; None at the end."""
    present = list(histories)
    while True:
        actions = _sharing(present, policy, now, default_zone, oracle)
        due = [
            (each.at, _turn(present[index]), index)
            for index, each in enumerate(actions)
            if each.name == SEND and each.at is not None
        ]
        if not due:
            yield actions, None
            return
        at, _, turn = min(due)
        yield actions, turn
        now, week = at, present[turn].week
        if not present[turn].under_way:  # else it was counted
            week = tuple(sorted((*week, now)))
        # All plans are kept when a message goes out, and what comes next is decided with them.
        present = [_planned(each, action, week) for each, action in zip(present, actions, strict=True)]
        present[turn] = _written(present[turn], actions[turn].step, now)


def _sharing(
    histories: Sequence[History], policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle
) -> list[Action]:
    """What each would get next, as the week's places go round."""
    actions = [next_action(each, policy, now, default_zone, oracle) for each in histories]
    waiting = [index for index, action in enumerate(actions) if action.name == SEND and not histories[index].under_way]
    if len(waiting) < 2:
        return actions
    taken = list(histories[0].week)
    waiting.sort(key=lambda index: (actions[index].at, *_turn(histories[index])))
    for index in waiting:
        mine = replace(histories[index], week=tuple(taken))
        actions[index] = action = next_action(mine, policy, now, default_zone, oracle)
        if action.name == SEND and action.at is not None:
            insort(taken, action.at)
    return actions


def _turn(history: History) -> tuple[int, datetime, str]:
    return history.messages_got, history.found_at, history.ghost_id


def _planned(history: History, action: Action, week: tuple[datetime, ...]) -> History:
    planned_at = action.at if action.name == SEND else None
    return replace(history, planned_at=planned_at, planned_why=action.reason, week=week)


def _written(history: History, step: int, at: datetime) -> History:
    """The history of a ghost after this message."""
    state = GhostState.CONTACTED if history.state in CHASED_STATES else history.state
    return replace(
        history, state=state, messages_sent=step, last_message_at=at, under_way=False, planned_at=None, held="",
    )  # fmt: skip


def channel_of(history: History) -> Channel:
    """By which way the next message goes: mail, and SMS where mail cannot."""
    return Channel.SMS if history.no_email and not history.no_sms else Channel.EMAIL


def may_go(
    channel: Channel,
    step: int,
    country: Country,
    policy: RecoveryPolicy,
    now: datetime,
    default_zone: str = "UTC",
    *,
    by_day: bool = False,
) -> datetime:
    """When a message that was begun may be handed over, counting quiet hours alone: `now`, or the next daytime.

    `by_day`: it waits for the day whatever its step and channel.
    """
    obeys = by_day or _obeys_hours(channel, step, policy)
    hours = by_law(policy, country, default_zone, now) if channel is Channel.SMS else policy
    return within_hours(now, country, hours, default_zone) if obeys else now


def why_silent(history: History) -> str:
    """Why this customer cannot be written to at all; empty where a way is open."""
    if history.no_email and history.no_sms:
        # Where SMS was never a question, or is closed for the same reason, mail's is all there is to say.
        same = history.no_sms in (SMS_IS_OFF, history.no_email)
        return history.no_email if same else f"{history.no_email} {history.no_sms}"
    return ""


def _not_ours(history: History) -> str:
    if history.strategy is Strategy.HIGH_VALUE_MANUAL and not _is_released(history):
        return once.A_PERSON_DECIDES
    return NOTHING_TO_ASK if history.strategy is Strategy.STOPPED else ""


def _why_nothing(history: History) -> str:
    if history.state is GhostState.STOPPED and history.strategy is Strategy.STOPPED:
        return "The customer does not want these payments; PHANTOM stopped politely."
    if history.state is GhostState.EXHAUSTED and history.ended not in ("", ASKED_ENOUGH):
        return f"{history.ended.removesuffix(STILL_COUNTS)}{STILL_COUNTS}"
    return _WHY_NOTHING.get(history.state, "This ghost is closed.")


def _is_released(history: History) -> bool:
    """One release is one message."""
    last = history.last_message_at
    return history.released_at is not None and (last is None or last < history.released_at)


def _message(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle) -> Action:
    channel, step = channel_of(history), history.step
    begins, why = _begins(history, policy)
    at, why, limited = places.within_limits(max(begins, now), why, history, policy, now)
    if history.last_message_at is None and not limited:
        if begins <= now and places.waited(history, now):  # it has the hour of what waits, or two would go for a place
            limited, why = True, f"{places.limit_of(policy)}: it waited for a place."
        elif not _obeys_hours(channel, step, policy):
            return _send(at, why + _by(channel, history), history, channel)
    country, golden = history.where(channel), history.last_message_at is None and not limited
    hour = None if golden else oracle(history.decline_group, history.country)
    hours = by_law(policy, country, default_zone, at) if channel is Channel.SMS else policy
    at, why = places.by_day(at, why, history, country, hours, now, default_zone, hour)
    return _send(at, why + _by(channel, history), history, channel)


def _send(at: datetime, why: str, history: History, channel: Channel) -> Action:
    return Action(SEND, at, why, history.step, channel, len(history.never_got))


def _begins(history: History, policy: RecoveryPolicy) -> tuple[datetime, str]:
    """From when on the next message may go if nothing else decides, and why then."""
    if history.last_message_at is not None:
        last = "the last one" if history.messages_got else "one that did not arrive"
        number = f"Message {history.messages_got + 1} of {policy.messages_per_ghost}"
        why = f"{number}, {_hours(policy.cooldown)} after {last}"
        return history.last_message_at + policy.cooldown, why
    wait = policy.grace(history.decline_group)
    why = f"Held {_hours(wait)}: this kind of fault often passes by itself." if wait else _GOLDEN
    return history.failed_at + wait, why


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


DECIDED = "A person closed the task: nobody is written to any more."
ASKED_ENOUGH = "After the last message's cooldown PHANTOM stops asking."
STILL_COUNTS = " A payment still counts."
NOTHING_TO_ASK = "No message: there is nothing to ask for."
_GOLDEN = "Golden Hour: the sooner the customer knows, the likelier they pay."
_WHY_NOTHING = {
    GhostState.PAUSED: "Paused by a person.",
    GhostState.EXHAUSTED: "All messages were sent; a payment still counts.",
    GhostState.STOPPED: "The subscription was cancelled; PHANTOM stopped politely.",
    GhostState.LOST: "The invoice can no longer be collected.",
    GhostState.RECOVERED: "Paid.",
    GhostState.REVERSED: "The payment was reversed.",
    GhostState.IMPENDING: "Nothing has failed yet.",
    GhostState.PROTECTED: "It was made safe before anything failed.",
}
