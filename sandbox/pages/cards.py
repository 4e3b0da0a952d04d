"""The sandbox's cards a person may choose from. Nowhere is there a field for a card number."""

from dataclasses import dataclass

from sandbox.stripe.cards import TOKENS
from sandbox.stripe.store import Json

_CHOICES = (
    ("visa", "succeeds"),
    ("mastercard", "succeeds"),
    ("amex", "succeeds"),
    ("threeDSecure2Required", "asks for 3-D Secure"),
    ("chargeDeclinedInsufficientFunds", "insufficient funds"),
    ("chargeDeclinedExpiredCard", "expired card"),
    ("chargeDeclined", "declined without a reason"),
    ("chargeDeclinedLostCard", "lost card"),
    ("chargeDeclinedProcessingError", "processing error"),
    ("chargeCustomerFail", "can be saved, declined when charged"),
    ("authenticationRequiredChargeDeclinedInsufficientFunds", "3-D Secure, then insufficient funds"),
)
_BRANDS = {"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}


@dataclass(frozen=True)
class Choice:
    """One line of the select."""

    token: str
    label: str


def shown(brand: str, last4: str) -> str:
    """`Visa •••• 4242`"""
    return f"{_BRANDS.get(brand, brand.capitalize())} •••• {last4}"


CHOICES = tuple(Choice(token, f"{shown(TOKENS[token][1], TOKENS[token][0])} – {what}") for token, what in _CHOICES)
BY_TOKEN = {choice.token: choice for choice in CHOICES}


def method_label(method: Json) -> str:
    """A saved payment method as its owner knows it."""
    card = method.get("card")
    if not card:
        return str(method["type"]).replace("_", " ").capitalize()
    return shown(card["brand"], card["last4"])


def method_expiry(method: Json) -> str:
    """`12/2034`, or nothing for what is no card."""
    card = method.get("card")
    return f"{card['exp_month']:02d}/{card['exp_year']}" if card else ""
