"""Is this invoice a ghost? Pure: the object's own state and the merchant's policy, no event, no memory."""

from dataclasses import dataclass
from enum import StrEnum

from services.integrations.stripe.facts import InvoiceFacts
from services.merchants.policies import RecoveryPolicy


class Verdict(StrEnum):
    GHOST = "ghost"
    PAID = "paid"
    LOST = "lost"
    STOPPED = "stopped"
    NOT_A_GHOST = "not_a_ghost"


@dataclass(frozen=True, slots=True)
class Classification:
    """What the invoice is now, and the sentence that says why."""

    verdict: Verdict
    reason: str


# Of Stripe's reasons the one that is no doing of its own. It stands there for a customer in the portal, for a merchant
# in the dashboard and for a program of theirs alike (an event's `request` tells only that no schedule did it); feedback
# or a comment, which Stripe keeps for what was "canceled explicitly by the user", tells that it was the customer.
ASKED_FOR = "cancellation_requested"
NOBODY_KNOWS_WHO = "Stripe does not say whether by the customer or by you"

_ACCESS = frozenset({"active", "past_due"})
_WHY_IT_ENDED = {
    "payment_failed": "The subscription ended for non-payment.",
    "payment_disputed": "The subscription ended because a payment was disputed.",
}
_ENDED_IN_WORDS = {"void": "The invoice was voided.", "uncollectible": "The invoice was marked uncollectible."}


def classify(facts: InvoiceFacts, policy: RecoveryPolicy) -> Classification:
    """What the invoice's own state says, in this order: money, end of the invoice, end of access, failure."""
    if facts.status == "paid":
        return Classification(Verdict.PAID, "The invoice is paid.")
    if facts.status in _ENDED_IN_WORDS:
        return Classification(Verdict.LOST, _ENDED_IN_WORDS[facts.status])
    if facts.status != "open":
        return Classification(Verdict.NOT_A_GHOST, f"The invoice is {facts.status}.")
    if facts.subscription_status == "canceled":
        if facts.subscription_end == ASKED_FOR:
            return Classification(Verdict.STOPPED, _who_cancelled(facts, "."))
        return Classification(Verdict.LOST, _WHY_IT_ENDED.get(facts.subscription_end, "The subscription ended."))
    if facts.is_ending and facts.subscription_end == ASKED_FOR:
        return Classification(Verdict.STOPPED, _who_cancelled(facts, ", and it ends with its period."))
    reason = _why_not(facts, policy)
    if reason:
        return Classification(Verdict.NOT_A_GHOST, reason)
    return Classification(Verdict.GHOST, "The charge failed and the customer still has access.")


def _who_cancelled(facts: InvoiceFacts, when: str) -> str:
    """True in either case: whoever it was, nobody is asked for a payment of it any more."""
    if facts.customer_said_why:
        return f"The customer cancelled the subscription{when}"
    return f"The subscription was cancelled{when} {NOBODY_KNOWS_WHO}."


def why_not_payable(facts: InvoiceFacts) -> str:
    """Why a new card is not charged for this invoice; empty where it may be.

    Whether there is access left to lose is no matter: who adds a card wants to pay, and of an unpaid subscription's
    invoice Stripe alone never collects.
    """
    if facts.status != "open" or facts.amount_remaining <= 0:
        return "There is nothing left to pay."
    if facts.collection_method == "send_invoice":
        return "It is paid by bank transfer on an invoice, not charged."
    return "The payment is still under way at the bank." if facts.payment_status == "processing" else ""


def _why_not(facts: InvoiceFacts, policy: RecoveryPolicy) -> str:
    if facts.amount_remaining <= 0:
        return "Nothing remains to be paid."
    if facts.subscription_id is None or facts.billing_reason not in policy.billing_reasons:
        return "It is not a recurring charge that this merchant's policy covers."
    if facts.collection_method == "send_invoice":
        return "It is paid by bank transfer on an invoice, not charged."
    if not facts.attempted or facts.attempt_count < 1:
        return "No charge has failed yet."
    allowed = _ACCESS | ({"unpaid"} if policy.unpaid_has_access else set())
    if facts.subscription_status not in allowed:
        return f"The subscription is {facts.subscription_status or 'unknown'}, so there is no access to lose."
    if facts.payment_status == "processing":
        return "The payment is still under way at the bank."
    return ""
