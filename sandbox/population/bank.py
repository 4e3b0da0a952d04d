"""What the banks answer: the hidden natures of customers turned into outcomes, from the seed and the moment alone.

Funds follow payday and hour of day, so that there is something for a timing model to learn; a second attempt on
the same day meets the same account, not fresh luck.
"""

import calendar
from collections.abc import Callable
from datetime import datetime

from sandbox.population.persons import Nature, Person, Population
from sandbox.stripe.cards import APPROVED, REQUIRES_ACTION, Attempt, Outcome, decide_by_card, declined

_TECHNICAL = (("processing_error", 0.5), ("issuer_not_available", 0.3), ("try_again_later", 0.1),
              ("reenter_transaction", 0.1))  # fmt: skip
_VAGUE = (("generic_decline", 0.45), ("do_not_honor", 0.35), ("call_issuer", 0.1), ("service_not_allowed", 0.05),
          ("do_not_try_again", 0.05))  # fmt: skip
_FUNDS = (("insufficient_funds", 0.88), ("card_velocity_exceeded", 0.08), ("withdrawal_count_limit_exceeded", 0.04))
_FLAGGED = (("lost_card", 0.35), ("stolen_card", 0.3), ("pickup_card", 0.1), ("fraudulent", 0.1),
            ("restricted_card", 0.15))  # fmt: skip
_STOPPED = (("stop_payment_order", 0.5), ("revocation_of_authorization", 0.3),
            ("revocation_of_all_authorizations", 0.2))  # fmt: skip
_UNUSABLE = (("card_not_supported", 0.3), ("transaction_not_allowed", 0.3), ("invalid_account", 0.25),
             ("incorrect_number", 0.15))  # fmt: skip

TECHNICAL_SHARE, VAGUE_SHARE = 0.009, 0.008  # of all attempts, whoever's


def decider(population: Population) -> Callable[[Attempt], Outcome]:
    """The world's `decide` hook. Cards that no customer of the population made follow Stripe's test rules."""

    def decide(attempt: Attempt) -> Outcome:
        told, index = attempt.behaviour, attempt.behaviour.get("person")
        if index is None or told.get("decline_code") or told.get("requires_action"):
            return decide_by_card(attempt)
        by_card = decide_by_card(attempt)
        return by_card if not by_card.approved else answer(population.person(index), attempt)

    return decide


def answer(person: Person, attempt: Attempt) -> Outcome:
    """The bank's answer to one attempt on a card of `person` that is neither expired nor told how to behave."""
    invoice = attempt.invoice
    if invoice is None or invoice["billing_reason"] == "subscription_create":
        return APPROVED  # nobody becomes a customer with a card that does not work
    draws = person.draws.of("bank", invoice["number"] or invoice["id"])
    serial = int(attempt.behaviour.get("serial", 0))
    by_hand = attempt.source == "customer"
    if draws.chance(TECHNICAL_SHARE, "technical", attempt.number):
        return declined(draws.weighted(_TECHNICAL, "technical code"))
    code = _by_nature(person, attempt, serial, by_hand=by_hand)
    if code == "3ds":
        return REQUIRES_ACTION
    if code:
        return declined(code)
    # The customer at the keyboard is the best answer to a bank that merely wonders.
    if draws.chance(VAGUE_SHARE * (0.3 if by_hand else 1), "vague", attempt.number // 2):
        return declined(draws.weighted(_VAGUE, "vague code"))
    return APPROVED


def _by_nature(person: Person, attempt: Attempt, serial: int, *, by_hand: bool) -> str | None:
    draws = person.draws.of("nature", attempt.invoice["number"] if attempt.invoice else "")
    turned = serial == 0 and attempt.now >= person.turns_at
    match person.nature:
        case Nature.PAYDAY:
            ease = 0.35 if by_hand else 0.7 if serial else 1.0
            lack = funds_lack(person, attempt.now) + (0.5 if draws.chance(0.3, "bad month") else 0)
            if lack * ease > draws.unit("funds", person.local(attempt.now).date()):
                return draws.weighted(_FUNDS, "funds code")
        case Nature.VAGUE:
            convinced = by_hand and draws.chance(0.5, "by hand")
            # Six in ten stay with their answer for this invoice, the others may change their mind.
            stays = draws.chance(0.6, "stubborn") or draws.chance(0.6, "again", attempt.number)
            if serial == 0 and not convinced and stays and draws.chance(0.28, "declines"):
                return draws.weighted(_VAGUE, "code")
        case Nature.SECURE:
            if not attempt.authenticated and draws.chance(0.25, "asks"):
                return "authentication_required" if draws.chance(0.35, "as decline") and not by_hand else "3ds"
        case Nature.FLAGGED if turned:
            return person.draws.weighted(_FLAGGED, "flag")
        case Nature.LEAVER if turned:
            return person.draws.weighted(_STOPPED, "stop")
        case Nature.UNUSABLE if turned:
            return person.draws.weighted(_UNUSABLE, "unusable")
        case _:
            pass
    return None


def funds_lack(person: Person, moment: int) -> float:
    """How likely the account is too empty now: rising from payday to payday, better in the morning than at night."""
    local = person.local(moment)
    share = days_since_payday(local, person.payday) / 30
    hour = 0.16 if local.hour < 6 else -0.12 if local.hour < 12 else 0.0 if local.hour < 18 else 0.08
    return min(0.97, max(0.02, person.tightness * (share + 0.08) + hour * person.tightness))


def days_since_payday(local: datetime, payday: int) -> int:
    """Whole days since the last payday; one that a short month does not have falls on its last day."""
    this_month = min(payday, calendar.monthrange(local.year, local.month)[1])
    if local.day >= this_month:
        return local.day - this_month
    year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    length = calendar.monthrange(year, month)[1]
    return local.day + length - min(payday, length)
