"""Is a coming charge likely to fail? Pure: the subscription as it is, the merchant's policy, and now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.integrations.stripe.renewals import RenewalFacts
from services.merchants.policies import RecoveryPolicy
from services.messaging.wording import AHEAD_GROUP, CARD_EXPIRES_GROUP, CARD_MISSING_GROUP

HORIZON = timedelta(days=30)
"""How far ahead a charge is looked at: a card has time to be renewed, and a monthly plan is always in sight."""


class Outlook(StrEnum):
    AT_RISK = "at_risk"
    SAFE = "safe"
    NO_CHARGE = "no_charge"
    NOT_IN_SIGHT = "not_in_sight"


class RiskKind(StrEnum):
    CARD_EXPIRES = "card_expires"
    NO_CARD = "no_card"
    ABOVE_LINE = "above_line"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is to be expected of a charge, and the sentence that says why. `kind` is empty where nothing is at risk."""

    outlook: Outlook
    reason: str
    kind: RiskKind | None = None


def assess(renewal: RenewalFacts, policy: RecoveryPolicy, now: datetime) -> Assessment:
    """What is to be expected of a subscription's next charge. `now` is aware UTC.

    In this order: no charge, no risk · too far away · nothing to charge · a card that ends before it · the merchant's
    alert line. A card is good to the end of its month, and one whose end cannot be read is at no risk that we know.
    """
    if renewal.no_charge:
        return Assessment(Outlook.NO_CHARGE, renewal.no_charge)
    if renewal.due <= 0:
        return Assessment(Outlook.NO_CHARGE, "The next invoice costs nothing.")
    if not now < renewal.charge_at <= now + HORIZON:
        return Assessment(Outlook.NOT_IN_SIGHT, "The next charge is more than 30 days away.")
    if renewal.method is None:
        return Assessment(Outlook.AT_RISK, "There is no card for the next charge.", RiskKind.NO_CARD)
    ends = renewal.method.valid_until
    if ends is not None and ends <= renewal.charge_at:
        reason = "The card is expired." if ends <= now else "The card expires before the next charge."
        return Assessment(Outlook.AT_RISK, reason, RiskKind.CARD_EXPIRES)
    line = policy.alert_lines.get(renewal.currency)
    if line is not None and renewal.due > line:
        return Assessment(Outlook.AT_RISK, "The next charge is above your alert line.", RiskKind.ABOVE_LINE)
    return Assessment(Outlook.SAFE, "The card is good for the next charge.")


_GROUP_OF_RISK = {
    RiskKind.CARD_EXPIRES: CARD_EXPIRES_GROUP,
    RiskKind.NO_CARD: CARD_MISSING_GROUP,
    RiskKind.ABOVE_LINE: AHEAD_GROUP,
}


def group_of_risk(kind: str) -> str:
    """Which words fit a charge at this risk (`RiskKind`); empty where nothing is at risk."""
    return _GROUP_OF_RISK[RiskKind(kind)] if kind else ""
