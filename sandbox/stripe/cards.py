"""Cards: Stripe's test tokens, what a decline code means on the wire, and who decides whether a charge succeeds."""

from dataclasses import dataclass

from sandbox.stripe.store import Json

# Codes after which Stripe still schedules retries but does not execute them on the same card.
NOT_RETRIED = frozenset(
    [
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "stolen_card",
        "revocation_of_authorization",
        "revocation_of_all_authorizations",
        "authentication_required",
        "highest_risk_level",
        "transaction_not_allowed",
    ]
)

# decline code -> (error code, advice code, ISO 8583 response); absent: card_declined, try_again_later, 05
_DETAILS: dict[str, tuple[str, str | None, str | None]] = {
    "authentication_required": ("authentication_required", "confirm_card_data", "1A"),
    "authentication_not_handled": ("authentication_required", "confirm_card_data", "65"),
    "mobile_device_authentication_required": ("authentication_required", "confirm_card_data", "65"),
    "processing_error": ("processing_error", "try_again_later", "96"),
    "issuer_not_available": ("card_declined", "try_again_later", "91"),
    "reenter_transaction": ("card_declined", "try_again_later", "19"),
    "try_again_later": ("card_declined", "try_again_later", "91"),
    "insufficient_funds": ("card_declined", "try_again_later", "51"),
    "card_velocity_exceeded": ("card_declined", "try_again_later", "61"),
    "withdrawal_count_limit_exceeded": ("card_declined", "try_again_later", "65"),
    "pin_try_exceeded": ("card_declined", "try_again_later", "75"),
    "do_not_honor": ("card_declined", "try_again_later", "05"),
    "call_issuer": ("card_declined", "try_again_later", "01"),
    "do_not_try_again": ("card_declined", "do_not_try_again", "04"),
    "expired_card": ("expired_card", "confirm_card_data", "54"),
    "incorrect_number": ("incorrect_number", "confirm_card_data", "14"),
    "invalid_number": ("invalid_number", "confirm_card_data", "14"),
    "incorrect_cvc": ("incorrect_cvc", "confirm_card_data", "N7"),
    "invalid_cvc": ("invalid_cvc", "confirm_card_data", "N7"),
    "incorrect_zip": ("incorrect_zip", "confirm_card_data", "05"),
    "incorrect_address": ("incorrect_address", "confirm_card_data", "05"),
    "invalid_expiry_month": ("invalid_expiry_month", "confirm_card_data", "54"),
    "invalid_expiry_year": ("invalid_expiry_year", "confirm_card_data", "54"),
    "invalid_account": ("card_declined", "do_not_try_again", "14"),
    "new_account_information_available": ("card_declined", "confirm_card_data", "05"),
    "card_not_supported": ("card_declined", "do_not_try_again", "57"),
    "transaction_not_allowed": ("card_declined", "do_not_try_again", "57"),
    "lost_card": ("card_declined", "do_not_try_again", "41"),
    "stolen_card": ("card_declined", "do_not_try_again", "43"),
    "pickup_card": ("card_declined", "do_not_try_again", "04"),
    "restricted_card": ("card_declined", "do_not_try_again", "62"),
    "fraudulent": ("card_declined", "do_not_try_again", "59"),
    "merchant_blacklist": ("card_declined", "do_not_try_again", None),
    "highest_risk_level": ("card_declined", "do_not_try_again", None),
    "security_violation": ("card_declined", "do_not_try_again", "63"),
    "stop_payment_order": ("card_declined", "do_not_try_again", "R0"),
    "revocation_of_authorization": ("card_declined", "do_not_try_again", "R1"),
    "revocation_of_all_authorizations": ("card_declined", "do_not_try_again", "R3"),
    "testmode_decline": ("card_declined", "do_not_try_again", None),
}
_MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "incorrect_number": "Your card number is incorrect.",
    "invalid_number": "The card number is not a valid credit card number.",
    "invalid_expiry_month": "Your card's expiration month is invalid.",
    "invalid_expiry_year": "Your card's expiration year is invalid.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


@dataclass(frozen=True)
class Attempt:
    """What the deciding hook sees: one charge about to be made."""

    account: str
    customer: Json | None
    payment_method: Json
    invoice: Json | None
    amount: int
    currency: str
    number: int  # 1 for the first charge on this invoice
    now: int
    behaviour: Json  # the card's hidden part, see `behaviour()`
    source: str  # automatic | api | customer
    authenticated: bool = False  # the customer has just passed 3-D Secure


@dataclass(frozen=True)
class Outcome:
    """The bank's answer. All empty: approved."""

    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None
    requires_action: bool = False
    processing: bool = False  # a bank debit: the word comes in days

    @property
    def approved(self) -> bool:
        return self.decline_code is None and not self.requires_action and not self.processing


APPROVED = Outcome()
REQUIRES_ACTION = Outcome(requires_action=True)
PROCESSING = Outcome(processing=True)
DEBITS = frozenset({"acss_debit", "au_becs_debit", "bacs_debit", "sepa_debit", "us_bank_account"})


def declined(decline_code: str, advice_code: str | None = None) -> Outcome:
    """A decline with the advice and network code that usually come with it."""
    _, advice, network = _DETAILS.get(decline_code, ("card_declined", "try_again_later", "05"))
    return Outcome(decline_code, advice_code or advice, network)


def error_code(decline_code: str) -> str:
    """The `code` beside a `decline_code`."""
    return _DETAILS.get(decline_code, ("card_declined", None, None))[0]


def message(decline_code: str) -> str:
    """The sentence Stripe shows."""
    return _MESSAGES.get(decline_code) or _MESSAGES.get(error_code(decline_code), _MESSAGES["card_declined"])


def decide_by_card(attempt: Attempt) -> Outcome:
    """The default decision: what the card was told to do, then its expiry date, else approved."""
    behaviour, card = attempt.behaviour, attempt.payment_method.get("card")
    if behaviour.get("requires_action") and not attempt.authenticated:
        return REQUIRES_ACTION
    code = behaviour.get("decline_code")
    if code and error_code(code) == "authentication_required" and attempt.source == "customer":
        # What a bank declines while the customer is away, it asks for while the customer is there.
        return APPROVED if attempt.authenticated else REQUIRES_ACTION
    if code:
        return declined(code, behaviour.get("advice_code"))
    if card and _expired(card, attempt.now):
        return declined("expired_card")
    return PROCESSING if attempt.payment_method["type"] in DEBITS else APPROVED


def _expired(card: Json, now: int) -> bool:
    from datetime import UTC, datetime

    today = datetime.fromtimestamp(now, UTC)
    return (card["exp_year"], card["exp_month"]) < (today.year, today.month)


# Test tokens: last four digits, brand, funding, country, behaviour.
_VISA = ("4242", "visa", "credit", "US")
TOKENS: dict[str, tuple[str, str, str, str, Json]] = {
    "visa": (*_VISA, {}),
    "visa_debit": ("5556", "visa", "debit", "US", {}),
    "mastercard": ("4444", "mastercard", "credit", "US", {}),
    "mastercard_debit": ("8210", "mastercard", "debit", "US", {}),
    "mastercard_prepaid": ("5100", "mastercard", "prepaid", "US", {}),
    "amex": ("8431", "amex", "credit", "US", {}),
    "discover": ("9424", "discover", "credit", "US", {}),
    "diners": ("0004", "diners", "credit", "US", {}),
    "jcb": ("0505", "jcb", "credit", "JP", {}),
    "unionpay": ("0005", "unionpay", "credit", "CN", {}),
    "us": (*_VISA, {}),
    "de": ("0008", "visa", "credit", "DE", {}),
    "gb": ("0000", "visa", "credit", "GB", {}),
    "fr": ("0003", "visa", "credit", "FR", {}),
    "br": ("0002", "visa", "credit", "BR", {}),
    "in": ("0008", "visa", "credit", "IN", {}),
    "chargeDeclined": ("0002", "visa", "credit", "US", {"decline_code": "generic_decline"}),
    "chargeDeclinedInsufficientFunds": ("9995", "visa", "credit", "US", {"decline_code": "insufficient_funds"}),
    "chargeDeclinedLostCard": ("9987", "visa", "credit", "US", {"decline_code": "lost_card"}),
    "chargeDeclinedStolenCard": ("9979", "visa", "credit", "US", {"decline_code": "stolen_card"}),
    "chargeDeclinedExpiredCard": ("0069", "visa", "credit", "US", {"decline_code": "expired_card"}),
    "chargeDeclinedIncorrectCvc": ("0127", "visa", "credit", "US", {"decline_code": "incorrect_cvc"}),
    "chargeDeclinedProcessingError": ("0119", "visa", "credit", "US", {"decline_code": "processing_error"}),
    "chargeDeclinedFraudulent": ("0019", "visa", "credit", "US", {"decline_code": "fraudulent"}),
    "chargeDeclinedVelocityLimitExceeded": ("6975", "visa", "credit", "US", {"decline_code": "card_velocity_exceeded"}),
    "visa_chargeDeclined": ("0002", "visa", "credit", "US", {"decline_code": "generic_decline"}),
    "visa_chargeDeclinedInsufficientFunds": ("9995", "visa", "credit", "US", {"decline_code": "insufficient_funds"}),
    "visa_chargeDeclinedLostCard": ("9987", "visa", "credit", "US", {"decline_code": "lost_card"}),
    "visa_chargeDeclinedStolenCard": ("9979", "visa", "credit", "US", {"decline_code": "stolen_card"}),
    "chargeCustomerFail": ("0341", "visa", "credit", "US", {"decline_code": "generic_decline"}),
    "authenticationRequired": ("3184", "visa", "credit", "US", {"requires_action": True}),
    "authenticationRequiredOnSetup": ("3155", "visa", "credit", "US", {}),
    "authenticationRequiredChargeDeclinedInsufficientFunds": (
        "8260",
        "visa",
        "credit",
        "US",
        {"requires_action": True, "decline_code": "insufficient_funds"},
    ),
    "threeDSecureRequired": ("3220", "visa", "credit", "US", {"requires_action": True}),
    "threeDSecure2Required": ("3220", "visa", "credit", "US", {"requires_action": True}),
    "createDispute": ("0259", "visa", "credit", "US", {"dispute": "fraudulent"}),
    "createDisputeInquiry": ("1976", "visa", "credit", "US", {"dispute": "fraudulent"}),
    "bypassPending": ("0077", "visa", "credit", "US", {}),
}
# Raw test numbers, for clients that still send `card[number]`.
NUMBERS = {
    "4242424242424242": "visa",
    "5555555555554444": "mastercard",
    "378282246310005": "amex",
    "4000000000000002": "chargeDeclined",
    "4000000000009995": "chargeDeclinedInsufficientFunds",
    "4000000000009987": "chargeDeclinedLostCard",
    "4000000000009979": "chargeDeclinedStolenCard",
    "4000000000000069": "chargeDeclinedExpiredCard",
    "4000000000000127": "chargeDeclinedIncorrectCvc",
    "4000000000000119": "chargeDeclinedProcessingError",
    "4000000000000341": "chargeCustomerFail",
    "4000002500003155": "authenticationRequiredOnSetup",
    "4000002760003184": "authenticationRequired",
    "4000000000003220": "threeDSecure2Required",
    "4000000000000259": "createDispute",
}


def known_token(name: str) -> tuple[str, str, str, str, Json] | None:
    """The card behind `pm_card_visa`, `tok_visa` or `pm_card_chargeDeclined...`; None when there is none."""
    for prefix in ("pm_card_", "tok_"):
        if name.startswith(prefix):
            return TOKENS.get(name.removeprefix(prefix))
    return None
