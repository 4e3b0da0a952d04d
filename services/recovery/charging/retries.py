"""Whether and when PHANTOM itself charges a ghost's card again: a pure function of policy, ghost and now.

Stripe's own schedule comes first: by default PHANTOM begins when it is over. A card that Stripe would not charge again
is never charged by us either (FACTS §1). The networks' limits are another matter (`budget.py`) and are looked at
immediately before a charge, when all attempts are known.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.ghost import COLLECTIBLE_STATES, GhostState, GhostTarget, Strategy
from services.integrations.stripe.facts import DeclineFacts
from services.merchants.policies import OwnRetries, RecoveryPolicy
from services.messaging.advice import Holdout, nobody
from services.messaging.hours import zones_for
from services.recovery.strategy import ADVISED_AGAINST, DeclineGroup, advised_against, group_of, retried_by_stripe

APART = timedelta(hours=24)  # from any other attempt, Stripe's next one included
PERSON_PAYING = timedelta(hours=1)
LOOK_AGAIN = timedelta(days=1)
LATE = timedelta(hours=3)  # a charge whose moment was missed by more gets another
LOCAL_HOUR = time(10, 0)
GAPS = (timedelta(days=3), timedelta(days=5), timedelta(days=7))
ONE_ATTEMPT_COUNTRIES = frozenset({"in"})  # India's rules want each charge announced: the first one was it

# Closed to messages is not closed to money: Stripe's own schedule is often over only after the last message.
_CHARGEABLE = COLLECTIBLE_STATES - {GhostState.PAUSED}
_SOFT = frozenset({DeclineGroup.FUNDS, DeclineGroup.ISSUER_VAGUE, DeclineGroup.UNKNOWN})
# What is wrong with the number itself: the same card typed in once more is declined once more.
_ENDED_GROUPS = frozenset({DeclineGroup.LOST_STOLEN_FRAUD, DeclineGroup.CUSTOMER_STOPPED})
_ENDED_CODES = frozenset(
    {
        *("incorrect_number", "invalid_number", "invalid_account", "do_not_try_again"),
        *("card_not_supported", "transaction_not_allowed"),
    }
)

SPARE_CARD = "The customer has a newer card on file: it is charged at once."
_WANTS_CONFIRMING = "The bank wants the customer to confirm: no charge without them passes."
_DECLINED_AGAIN = "The same card would be declined again."
_LEFT_TO_STRIPE = "After a technical fault only Stripe tries again by itself; PHANTOM asks the customer."


@dataclass(frozen=True, slots=True)
class Case:
    """What the decision needs to know of a ghost. Times UTC; countries ISO 3166, lower case."""

    state: GhostState
    strategy: Strategy
    decline: DeclineFacts
    decline_group: str
    card_id: str | None
    card_country: str
    country: str
    found_at: datetime
    last_charge_at: datetime | None
    next_payment_attempt: datetime | None
    last_clicked_at: datetime | None
    own_retries: int
    has_spare_card: bool = False
    held_out: bool = False
    reopened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """When PHANTOM charges next (UTC), None for not at all as things stand, and the sentence that explains it.

    `look_at` is when to decide again at the latest: what the policy or Stripe's schedule forbids may be allowed then.
    """

    at: datetime | None
    reason: str
    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """What a timing chooses a moment for: from `earliest` on, the `number`-th own retry of a ghost."""

    earliest: datetime
    last_charge_at: datetime
    number: int
    zone: ZoneInfo
    decline_group: str


Timing = Callable[[Slot], datetime]
"""Chooses the moment of an own retry, `earliest` or later. The Oracle will be one."""


def ten_oclock(slot: Slot) -> datetime:
    """The default timing: 10:00 of the customer's day, some 3, 5, then 7 days after the charge before."""
    wanted = max(slot.earliest, slot.last_charge_at + GAPS[min(slot.number, len(GAPS)) - 1] - APART / 2)
    day = wanted.astimezone(slot.zone).date()
    at = datetime.combine(day, LOCAL_HOUR, slot.zone).astimezone(UTC)
    return at if at >= wanted else datetime.combine(day + timedelta(days=1), LOCAL_HOUR, slot.zone).astimezone(UTC)


def case_of(ghost: GhostTarget, holdout: Holdout = nobody) -> Case:
    """The values of a ghost that the decision is made of."""
    spare = ghost.spare_card_id
    return Case(
        state=GhostState(ghost.state),
        strategy=Strategy(ghost.strategy),
        decline=DeclineFacts(ghost.stripe_error_code, ghost.decline_code, ghost.advice_code, ghost.requires_3ds),
        decline_group=ghost.decline_group,
        card_id=ghost.payment_method_id,
        card_country=ghost.country_code,
        country=ghost.customer_country or ghost.country_code,
        found_at=ghost.found_at,
        reopened_at=ghost.reopened_at,
        last_charge_at=ghost.last_charge_at,
        next_payment_attempt=ghost.next_payment_attempt,
        last_clicked_at=ghost.last_clicked_at,
        own_retries=ghost.own_retries,
        has_spare_card=bool(spare) and spare not in (ghost.payment_method_id, ghost.passed_over_card_id),
        held_out=holdout(ghost.merchant_id, ghost.customer_id or ""),
    )


def stands(policy: RecoveryPolicy, case: Case, planned: datetime, now: datetime, default_zone: str = "UTC") -> bool:
    """Whether a moment that was kept is still the one for a charge: to come, or come and not long past."""
    if planned > now:
        return next_retry(policy, case, now, default_zone).at == planned
    if planned <= now - LATE:
        return False
    if case.has_spare_card:
        return next_retry(policy, case, now, default_zone).at == now
    return not may_charge(policy, case, now) and next_retry(policy, case, planned, default_zone).at == planned


def next_retry(
    policy: RecoveryPolicy, case: Case, now: datetime, default_zone: str = "UTC", timing: Timing = ten_oclock
) -> Retry:
    """When the next own charge of a ghost is due, and why then or why never."""
    if case.has_spare_card and not why_untouchable(policy, case):
        at = _after_a_person(case, now)
        return Retry(at, SPARE_CARD, at)
    if why := why_never(policy, case):
        return Retry(None, why, _later(policy, case, now + LOOK_AGAIN))
    if waits := _waits_for_stripe(policy, case, now):
        return Retry(None, waits, _later(policy, case, (case.next_payment_attempt or now) + APART))
    last, zone = case.last_charge_at or case.found_at, zones_for(case.country, default_zone)[0]
    slot = Slot(clear_from(case, now), last, case.own_retries + 1, zone, case.decline_group)
    at = timing(slot)
    if (clear := clear_from(case, at)) > at:  # too close to Stripe's own
        at = timing(replace(slot, earliest=clear))
    if at >= policy.ends(case.found_at, case.reopened_at):
        return Retry(None, f"The next would be later than its {policy.window_days} days.")
    return Retry(at, _why_then(policy, case), at)


def _later(policy: RecoveryPolicy, case: Case, at: datetime) -> datetime | None:
    """When to look again at what is forbidden for now; None for what no policy and no schedule will change."""
    done = why_card_is_done(case.decline, case.decline_group, case.card_country) and not case.has_spare_card
    over = at >= policy.ends(case.found_at, case.reopened_at)
    return None if done or over or case.state not in _CHARGEABLE else at


def may_charge(policy: RecoveryPolicy, case: Case, now: datetime) -> str:
    """Why the failed card may not be charged at this moment; empty when it may. The last look before a charge."""
    if why := why_never(policy, case):
        return why
    if waits := _waits_for_stripe(policy, case, now):
        return waits
    if clear_from(case, now) > now:
        return "It is too close to another attempt, or the customer is paying."
    if now >= policy.ends(case.found_at, case.reopened_at):
        return f"Its {policy.window_days} days are over."
    return ""


def why_never(policy: RecoveryPolicy, case: Case) -> str:
    """Why PHANTOM does not charge this card again, whatever the time; empty when it may."""
    if why := why_untouchable(policy, case):
        return why
    if case.state not in _CHARGEABLE:
        return "There is nothing to charge."
    if policy.own_retries is OwnRetries.OFF:
        return "Own retries are switched off in the recovery policy."
    if case.strategy is Strategy.HIGH_VALUE_MANUAL:
        return "A person decides: PHANTOM does nothing here by itself."
    if case.strategy is Strategy.TECHNICAL_BRIDGE:
        return _WANTS_CONFIRMING if case.decline_group == "authentication" else _LEFT_TO_STRIPE
    if case.strategy is not Strategy.SMART_RETRY:
        return _DECLINED_AGAIN
    return why_card_is_done(case.decline, case.decline_group, case.card_country) or (
        "" if case.card_id else "It is not known which card failed."
    )


def why_card_is_done(decline: DeclineFacts, decline_group: str, card_country: str) -> str:
    """Why a card that was declined like this is not charged again by anybody but its owner; empty when it may be."""
    if not retried_by_stripe(decline):
        return "Stripe does not charge a card again after this decline, and neither does PHANTOM."
    if decline.requires_3ds:
        return _WANTS_CONFIRMING
    if advised_against(decline):
        return ADVISED_AGAINST
    if decline_group not in _SOFT:
        return _DECLINED_AGAIN
    if card_country in ONE_ATTEMPT_COUNTRIES:
        return "Cards issued in India get one attempt, and it was made."
    return ""


def why_number_is_done(decline: DeclineFacts) -> str:
    """Why a card that was declined like this is not charged again even if its owner saves it once more, under a new id.

    What new data mend (a date, a CVC, a confirmation) and what passes (funds) is not among it.
    """
    if group_of(decline) in _ENDED_GROUPS or decline.decline_code in _ENDED_CODES:
        return "The bank has ended this card: saving it again does not mend it."
    return ""


def clear_from(case: Case, now: datetime) -> datetime:
    """The first moment from `now` on with 24 hours to every other attempt, and nobody in the middle of paying."""
    at = _after_a_person(case, now)
    if case.last_charge_at is not None:
        at = max(at, case.last_charge_at + APART)
    due = case.next_payment_attempt
    if due is not None and abs(at - due) < APART:
        at = due + APART
    return at


def why_untouchable(policy: RecoveryPolicy, case: Case) -> str:
    """What forbids any charge of ours, whichever card it would be made to; empty when nothing does."""
    if policy.paused:
        return "Recovery is paused in the policy."
    if case.state is GhostState.PAUSED:
        return "Paused by a person."
    if case.state not in COLLECTIBLE_STATES:
        return "There is nothing to charge."
    if case.held_out:
        return "This customer is in the control group: nothing is charged by us."
    if case.strategy is Strategy.STOPPED:
        return "The customer does not want these payments."
    return "There is nothing to collect." if case.strategy is Strategy.NONE else ""


def _waits_for_stripe(policy: RecoveryPolicy, case: Case, now: datetime) -> str:
    due = case.next_payment_attempt
    if policy.own_retries is OwnRetries.AFTER_STRIPE and due is not None and due > now:
        return "Stripe's own schedule comes first; PHANTOM begins when it is over."
    return ""


def _after_a_person(case: Case, now: datetime) -> datetime:
    return max(now, case.last_clicked_at + PERSON_PAYING) if case.last_clicked_at else now


def _why_then(policy: RecoveryPolicy, case: Case) -> str:
    whose = "between Stripe's own attempts" if policy.own_retries is OwnRetries.WITH_STRIPE else "after Stripe's own"
    return f"Attempt {case.own_retries + 1} by PHANTOM, {whose}: 10:00 in the customer's time, days after the last one."
