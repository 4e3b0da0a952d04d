"""Which road leads to the money: a pure function over one table of Stripe's decline codes.

Source: Stripe docs "Decline codes" and "Smart Retries"; the grouping is ours. Limits
and lines come from the merchant's policy, never from here.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.ghost import Strategy
from services.integrations.stripe.facts import DeclineFacts

VAGUE_ATTEMPTS_BEFORE_CARD = 2


class DeclineGroup(StrEnum):
    AUTHENTICATION = "authentication"
    TECHNICAL = "technical"
    FUNDS = "funds"
    ISSUER_VAGUE = "issuer_vague"
    CARD_DATA = "card_data"
    NOT_USABLE = "not_usable"
    LOST_STOLEN_FRAUD = "lost_stolen_fraud"
    CUSTOMER_STOPPED = "customer_stopped"
    NOT_A_FAILURE = "not_a_failure"
    UNKNOWN = "unknown"


_CODES: dict[DeclineGroup, str] = {
    DeclineGroup.AUTHENTICATION: (
        "authentication_required authentication_not_handled mobile_device_authentication_required"
    ),
    DeclineGroup.TECHNICAL: (
        "processing_error issuer_not_available reenter_transaction approve_with_id try_again_later no_action_taken"
    ),
    DeclineGroup.FUNDS: ("insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded pin_try_exceeded"),
    DeclineGroup.ISSUER_VAGUE: (
        "generic_decline do_not_honor call_issuer service_not_allowed not_permitted do_not_try_again"
    ),
    DeclineGroup.CARD_DATA: (
        "expired_card incorrect_number invalid_number incorrect_cvc invalid_cvc incorrect_zip incorrect_address "
        "invalid_expiry_month invalid_expiry_year invalid_account new_account_information_available incorrect_pin "
        "invalid_pin offline_pin_required online_or_offline_pin_required"
    ),
    DeclineGroup.NOT_USABLE: "card_not_supported currency_not_supported transaction_not_allowed invalid_amount",
    DeclineGroup.LOST_STOLEN_FRAUD: (
        "lost_card stolen_card pickup_card restricted_card fraudulent merchant_blacklist security_violation "
        "highest_risk_level"
    ),
    DeclineGroup.CUSTOMER_STOPPED: ("stop_payment_order revocation_of_authorization revocation_of_all_authorizations"),
    DeclineGroup.NOT_A_FAILURE: "duplicate_transaction testmode_decline",
}

GROUP_OF_CODE: dict[str, DeclineGroup] = {code: group for group, codes in _CODES.items() for code in codes.split()}

# What the merchant reads. The customer's words are in the templates and never name a bank's private reason.
GROUP_WORDS: dict[DeclineGroup, str] = {
    DeclineGroup.AUTHENTICATION: "The bank wants the customer to confirm this payment.",
    DeclineGroup.TECHNICAL: "A technical fault between the banks; the same card usually works hours later.",
    DeclineGroup.FUNDS: "Not enough funds or a limit reached; the same card usually works after payday.",
    DeclineGroup.ISSUER_VAGUE: "The bank declined without a reason.",
    DeclineGroup.CARD_DATA: "The card is expired or its data no longer match; only a new card helps.",
    DeclineGroup.NOT_USABLE: "This card cannot be used for this charge.",
    DeclineGroup.LOST_STOLEN_FRAUD: "The bank has blocked this card; only another card helps.",
    DeclineGroup.CUSTOMER_STOPPED: "The customer told the bank to stop these payments.",
    DeclineGroup.NOT_A_FAILURE: "Stripe reports a duplicate or a test; there is nothing to collect.",
    DeclineGroup.UNKNOWN: "Stripe gave a reason we do not know yet; treated as a soft decline.",
}

# Of what passes by itself as a rule, when the bank adds that it will not.
_WORDS_WITHOUT_HOPE = {
    DeclineGroup.FUNDS: "Not enough funds or a limit reached.",
    DeclineGroup.ISSUER_VAGUE: "The bank declined without a reason.",
    DeclineGroup.UNKNOWN: "Stripe gave a reason we do not know yet.",
}
ADVISED_AGAINST = "The bank advises not to try this card again."
_FINAL_ADVICE = frozenset({"do_not_try_again", "confirm_card_data"})

# Codes for which Stripe schedules retries but makes no charge: only a person can end it.
STRIPE_WILL_NOT_RETRY = frozenset(
    {
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "stolen_card",
        "revocation_of_authorization",
        "revocation_of_all_authorizations",
        "authentication_required",
        "highest_risk_level",
        "transaction_not_allowed",
    }
)

_STRATEGY_OF_GROUP: dict[DeclineGroup, Strategy] = {
    DeclineGroup.AUTHENTICATION: Strategy.TECHNICAL_BRIDGE,
    DeclineGroup.TECHNICAL: Strategy.TECHNICAL_BRIDGE,
    DeclineGroup.FUNDS: Strategy.SMART_RETRY,
    DeclineGroup.CARD_DATA: Strategy.CARD_REFRESH,
    DeclineGroup.NOT_USABLE: Strategy.CARD_REFRESH,
    DeclineGroup.LOST_STOLEN_FRAUD: Strategy.CARD_REFRESH,
    DeclineGroup.CUSTOMER_STOPPED: Strategy.STOPPED,
    DeclineGroup.NOT_A_FAILURE: Strategy.NONE,
    DeclineGroup.UNKNOWN: Strategy.SMART_RETRY,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """A strategy, the group it came from, and the sentence that explains it to the merchant."""

    strategy: Strategy
    group: DeclineGroup
    reason: str
    code_known: bool = True


def group_of(decline: DeclineFacts) -> DeclineGroup:
    """The group of a decline; the bank's code says more than Stripe's error code, which is often `card_declined`."""
    for code in (decline.decline_code, decline.error_code):
        group = GROUP_OF_CODE.get(code)
        if group is not None:
            return group
    if decline.requires_3ds:
        return DeclineGroup.AUTHENTICATION
    return DeclineGroup.UNKNOWN


def retried_by_stripe(decline: DeclineFacts) -> bool:
    """Whether Stripe's schedule really charges again; for some codes it counts attempts without making any."""
    return decline.decline_code not in STRIPE_WILL_NOT_RETRY


def advised_against(decline: DeclineFacts) -> bool:
    """Whether the bank says that this card, as it is on file, will be declined again."""
    return decline.advice_code in _FINAL_ADVICE or decline.decline_code == "do_not_try_again"


def decide(decline: DeclineFacts, *, attempts: int, amount: int, high_value_line: int | None) -> Decision:
    """The strategy for a ghost.

    `attempts` counts the charges tried so far, Stripe's included. `amount` and `high_value_line` are minor units of
    one currency; a line of None means that nothing is high value. Precedence: the customer stopped it, then the
    merchant's high-value line, then the table of codes.
    """
    group = group_of(decline)
    known = group is not DeclineGroup.UNKNOWN
    words = GROUP_WORDS[group]
    if not retried_by_stripe(decline):
        words = f"{words} Stripe will not charge this card again by itself."
    if group in (DeclineGroup.CUSTOMER_STOPPED, DeclineGroup.NOT_A_FAILURE):
        return Decision(_STRATEGY_OF_GROUP[group], group, words)
    if high_value_line is not None and amount > high_value_line:
        return Decision(
            Strategy.HIGH_VALUE_MANUAL, group, f"{words} It is above your high-value line, so a person decides.", known
        )
    if decline.decline_code == "invalid_amount":
        return Decision(
            Strategy.HIGH_VALUE_MANUAL, group, "The bank refuses the amount itself; no message can mend that."
        )
    if group in _WORDS_WITHOUT_HOPE and advised_against(decline):
        reason = f"{_WORDS_WITHOUT_HOPE[group]} {ADVISED_AGAINST}"
        return Decision(Strategy.CARD_REFRESH, group, reason, known)
    if group is DeclineGroup.ISSUER_VAGUE:
        return _vague(attempts, words)
    return Decision(_STRATEGY_OF_GROUP[group], group, words, known)


def _vague(attempts: int, words: str) -> Decision:
    if attempts >= VAGUE_ATTEMPTS_BEFORE_CARD:
        return Decision(
            Strategy.CARD_REFRESH,
            DeclineGroup.ISSUER_VAGUE,
            f"{words} After {attempts} attempts another card is the likelier way.",
        )
    return Decision(
        Strategy.SMART_RETRY, DeclineGroup.ISSUER_VAGUE, f"{words} A first refusal often passes on a later day."
    )
