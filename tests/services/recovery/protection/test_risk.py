"""Whether a coming charge is at risk: cards' last months, ends of subscriptions, trials, yearly plans, alert lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.integrations.stripe.facts import CustomerFacts
from services.integrations.stripe.renewals import MethodFacts, RenewalFacts
from services.merchants.policies import RecoveryPolicy
from services.messaging.wording import AHEAD_TEMPLATES, template_of
from services.recovery.protection.risk import Outlook, RiskKind, assess, group_of_risk

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
POLICY = RecoveryPolicy()
GOOD = RenewalFacts(
    subscription_id="sub_1", status="active", currency="usd", amount=4900, monthly_value=4900,
    charge_at=NOW + timedelta(days=10), no_charge="", method=MethodFacts(valid_until=datetime(2027, 1, 1, tzinfo=UTC)),
    customer=CustomerFacts(id="cus_1"),
)  # fmt: skip


def outlook(policy: RecoveryPolicy = POLICY, **changes: object) -> tuple[Outlook, RiskKind | None]:
    found = assess(replace(GOOD, **changes), policy, NOW)  # type: ignore[arg-type]
    assert found.reason
    return found.outlook, found.kind


class TestCards:
    def test_a_card_that_is_good_is_safe(self) -> None:
        assert outlook() == (Outlook.SAFE, None)

    def test_one_is_good_to_the_last_moment_of_its_month_and_not_after(self) -> None:
        ends = datetime(2026, 4, 1, tzinfo=UTC)
        in_time, too_late = ends - timedelta(seconds=1), ends
        method = MethodFacts(valid_until=ends)
        assert outlook(method=method, charge_at=in_time) == (Outlook.SAFE, None)
        assert outlook(method=method, charge_at=too_late) == (Outlook.AT_RISK, RiskKind.CARD_EXPIRES)

    def test_one_that_ended_already_says_so(self) -> None:
        expired = replace(GOOD, method=MethodFacts(valid_until=NOW - timedelta(days=1)))
        assert assess(expired, POLICY, NOW).reason == "The card is expired."

    def test_no_card_at_all_is_a_risk(self) -> None:
        assert outlook(method=None) == (Outlook.AT_RISK, RiskKind.NO_CARD)

    def test_what_is_not_known_to_end_is_none(self) -> None:
        assert outlook(method=MethodFacts()) == (Outlook.SAFE, None)


class TestCharges:
    def test_what_will_not_be_charged_is_at_no_risk_whatever_the_card(self) -> None:
        assert outlook(no_charge="The subscription ends before the charge.", method=None)[0] is Outlook.NO_CHARGE
        assert outlook(amount=0, method=None)[0] is Outlook.NO_CHARGE

    @pytest.mark.parametrize(
        ("away", "seen"),
        [(timedelta(days=30), Outlook.AT_RISK), (timedelta(days=30, seconds=1), Outlook.NOT_IN_SIGHT),
         (timedelta(days=300), Outlook.NOT_IN_SIGHT), (timedelta(0), Outlook.NOT_IN_SIGHT)],
    )  # fmt: skip
    def test_a_yearly_plan_comes_in_sight_a_month_before(self, away: timedelta, seen: Outlook) -> None:
        assert outlook(charge_at=NOW + away, method=None)[0] is seen


class TestAlertLine:
    def test_nothing_is_above_a_line_that_nobody_drew(self) -> None:
        assert outlook(amount=10**9) == (Outlook.SAFE, None)

    def test_above_it_is_a_risk_and_on_it_is_none(self) -> None:
        policy = RecoveryPolicy(alert_lines={"usd": 5000})
        assert outlook(policy, amount=5001) == (Outlook.AT_RISK, RiskKind.ABOVE_LINE)
        assert outlook(policy, amount=5000) == (Outlook.SAFE, None)

    def test_each_currency_has_its_own(self) -> None:
        policy = RecoveryPolicy(alert_lines={"usd": 5000})
        assert outlook(policy, amount=900_000, currency="jpy") == (Outlook.SAFE, None)


class TestWords:
    def test_each_risk_has_words_of_its_own(self) -> None:
        assert {template_of(group_of_risk(kind)) for kind in RiskKind} == AHEAD_TEMPLATES
        assert len(AHEAD_TEMPLATES) == len(RiskKind)
