"""The words of each message, by decline group and step; written for people, and never naming a private reason.

A card that was lost, stolen or blocked for fraud gets the same words as any card the bank declines. Nothing is
sold, so that the message stays transactional, and no step promises another charge.
"""

from dataclasses import dataclass
from enum import StrEnum


class Template(StrEnum):
    CONFIRM = "confirm_with_bank"
    TECHNICAL = "technical_fault"
    FUNDS = "payment_did_not_go_through"
    DECLINED = "bank_declined"
    NEW_CARD = "new_card_needed"
    FAREWELL = "payments_stopped"


TEMPLATE_OF_GROUP: dict[str, Template] = {
    "authentication": Template.CONFIRM,
    "technical": Template.TECHNICAL,
    "funds": Template.FUNDS,
    "issuer_vague": Template.DECLINED,
    "card_data": Template.NEW_CARD,
    "not_usable": Template.NEW_CARD,
    "lost_stolen_fraud": Template.DECLINED,
    "unknown": Template.DECLINED,
}


@dataclass(frozen=True, slots=True)
class Wording:
    """Subject, lines and the button's label. `{merchant}` and `{amount}` are filled in by the renderer."""

    subject: str
    heading: str
    lines: tuple[str, ...]
    button: str


_FIRST: dict[Template, Wording] = {
    Template.CONFIRM: Wording(
        "Please confirm your payment to {merchant}",
        "One step left: confirm your payment",
        (
            "Your bank asks you to confirm the payment of {amount} for your subscription.",
            "It takes a minute on a secure page: open it, confirm in your banking app, done.",
        ),
        "Confirm payment",
    ),
    Template.TECHNICAL: Wording(
        "Your payment to {merchant} did not go through",
        "A technical fault stopped your payment",
        (
            "The payment of {amount} for your subscription could not be completed, most likely because of a fault "
            "between the banks.",
            "You can complete it now on a secure page.",
        ),
        "Complete payment",
    ),
    Template.FUNDS: Wording(
        "Your payment to {merchant} did not go through",
        "Your payment did not go through",
        (
            "The payment of {amount} for your subscription was not completed.",
            "You can pay whenever it suits you, with the same card or another one.",
        ),
        "See payment options",
    ),
    Template.DECLINED: Wording(
        "Your payment to {merchant} was declined",
        "Your bank declined the payment",
        (
            "The payment of {amount} for your subscription was declined by your bank.",
            "Another card usually solves it. Your bank can tell you more, if you prefer to keep this one.",
        ),
        "Use another card",
    ),
    Template.NEW_CARD: Wording(
        "Please update your card for {merchant}",
        "Your card needs an update",
        (
            "The payment of {amount} for your subscription could not be made with the card on file.",
            "Add a current card on a secure page and your subscription goes on as before.",
        ),
        "Update card",
    ),
}
_REMINDER_LINE = "This is a reminder: {amount} for your subscription is still open."
_LAST_LINE = "This is our last message about it. {amount} for your subscription is still open."


def wording(template: Template, step: int, last_step: int) -> Wording:
    """The words of a step. Steps count from 1; the last one says that it is the last and promises nothing."""
    first = _FIRST[template]
    if step <= 1:
        return first
    if step >= last_step:
        return Wording(
            "Last notice: your payment to {merchant} is open",
            "Your payment is still open",
            (_LAST_LINE, "If you want to keep your subscription, please complete the payment."),
            first.button,
        )
    return Wording(
        "Reminder: your payment to {merchant} is open", first.heading, (_REMINDER_LINE, first.lines[-1]), first.button
    )
