"""What is said once and no more: before a charge that may fail, and to who told their bank to stop. Pure.

Neither is urgent, so both go by mail, in the customer's daytime and at the Oracle's hour, and share the week's limit
with everything else the customer gets.

Before a charge (PRODUCT §3.5): off unless the merchant switches it on, because banks and networks renew most cards by
themselves. The message goes a week before the charge, when they have had their time and a person still has some.

To who told their bank to stop (FACTS §1): at most one note, because the subscription goes on and only they or the
merchant can end it. Nobody gets it who was written to about the payment before, whose subscription is over, or who
ever asked for no messages.
"""

from datetime import datetime, timedelta

from models.ghost import GhostState, Strategy
from services.merchants.policies import RecoveryPolicy
from services.messaging import places
from services.messaging.advice import Oracle
from services.messaging.history import SEND, Action, History

BEFORE = timedelta(days=7)
PAUSED = "Messages are paused in the recovery policy."
DISCONNECTED = "The Stripe account is disconnected: nothing goes out until it is connected again."
HELD_OUT = "Held out: without messages, to learn what they are worth."
UNDER_WAY = "It is being sent."
A_PERSON_DECIDES = "A person decides: PHANTOM does nothing here by itself."
ABOVE_THE_LINE = "No message: the charge is above your high-value line. It waits for a person only if it fails."


def next_action(
    history: History, policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle
) -> Action | None:
    """What is still to be said about a ghost that nobody chases; None where its state says all. Never before `now`."""
    if history.state is GhostState.IMPENDING and history.charge is not None and policy.protection_mails:
        return _protection(history, policy, now, default_zone, oracle)
    if history.state is GhostState.STOPPED and history.strategy is Strategy.STOPPED and policy.polite_note:
        return _note(history, policy, now, default_zone, oracle)
    return None


def _protection(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle) -> Action:
    charge = history.charge
    assert charge is not None  # noqa: S101  # the caller has looked
    if history.last_message_at is not None:
        return Action("", None, "The customer was told; PHANTOM waits for the charge.")
    if now >= charge.at:
        return Action("", None, "The charge is due; PHANTOM waits for what comes of it.")
    nothing = history.no_email or ("" if charge.group else "No message fits what is wrong with this charge.")
    if nothing := nothing or (ABOVE_THE_LINE if charge.is_high else "") or _not_now(history, policy):
        return Action("", None, nothing)
    early = charge.at - BEFORE
    when = "A word a week before the charge" if now <= early else "A word before the charge"
    why = f"{when}, while there is time to change the card"
    action = _one(history, policy, now, default_zone, oracle, begins=early, why=why)
    late = action.at is not None and action.at >= charge.at
    return Action("", None, "The charge comes before a message could.") if late else action


def _note(history: History, policy: RecoveryPolicy, now: datetime, default_zone: str, oracle: Oracle) -> Action | None:
    if history.messages_sent or history.last_message_at is not None:
        return None
    # A fresh look that finds the invoice in any other state than failed ends it: there is no need to come back.
    held = f"No note: {history.held}." if history.held else ""
    if nothing := history.wants_none or history.no_email or held or _not_now(history, policy):
        return Action("", None, nothing)
    why = "One polite note and no more: the customer told their bank to stop"
    action = _one(history, policy, now, default_zone, oracle, begins=history.failed_at, why=why)
    late = action.at is not None and action.at >= history.failed_at + policy.window
    return None if late else action


def _not_now(history: History, policy: RecoveryPolicy) -> str:
    if history.disconnected:
        return DISCONNECTED
    return PAUSED if policy.paused else HELD_OUT if history.held_out else ""


def _one(
    history: History,
    policy: RecoveryPolicy,
    now: datetime,
    default_zone: str,
    oracle: Oracle,
    *,
    begins: datetime,
    why: str,
) -> Action:
    if history.under_way and not history.held:
        return Action(SEND, max(history.planned_at or now, now), UNDER_WAY, history.step)
    at, why, _ = places.within_limits(max(begins, now), why, history, policy, now)
    hour = oracle(_group(history), history.country)
    at, why = places.by_day(at, why, history, history.country, policy, now, default_zone, hour)
    return Action(SEND, at, why, history.step)


def _group(history: History) -> str:
    return history.charge.group if history.charge is not None else history.decline_group
