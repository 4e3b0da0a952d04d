"""A policy's decisions by name: read, changed one by one, and compared."""

from typing import Any

import pytest

from services.merchants.policies import RecoveryPolicy, parse_policy
from services.merchants.policy_fields import NEVER, Edit, changes_of, differences, moved, value_of

POLICY = parse_policy(
    {
        "grace_hours": {"technical": 24, "funds": 48},
        "high_value_lines": {"usd": 50_000, "eur": None},
        "alert_lines": {"jpy": 90_000},
        "own_retries": "off",
    }
)


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("cooldown_hours", 72),
            ("sms", False),
            ("own_retries", "off"),
            ("grace_hours.funds", 48),
            ("grace_hours.card_data", 0),
            ("billing_reasons.subscription_cycle", True),
            ("billing_reasons.subscription_update", False),
            ("high_value_lines.usd", 50_000),
            ("high_value_lines.eur", NEVER),
            ("high_value_lines.gbp", None),
            ("alert_lines.jpy", 90_000),
            ("alert_lines.usd", None),
        ],
    )
    def test_each_has_its_name(self, name: str, value: object) -> None:
        assert value_of(POLICY, name) == value

    def test_what_is_no_decision_has_none(self) -> None:
        with pytest.raises(AttributeError):
            value_of(POLICY, "colour")


class TestChanges:
    @pytest.mark.parametrize(
        ("wanted", "changes"),
        [
            ({"cooldown_hours": 24}, {"cooldown_hours": 24}),
            ({"grace_hours.funds": 0}, {"grace_hours": {"technical": 24, "funds": 0}}),
            (
                {"grace_hours.funds": 1, "grace_hours.card_data": 2},
                {"grace_hours": {"technical": 24, "funds": 1, "card_data": 2}},
            ),
            ({"high_value_lines.usd": None}, {"high_value_lines": {"eur": None}}),
            ({"high_value_lines.gbp": NEVER}, {"high_value_lines": {"usd": 50_000, "eur": None, "gbp": None}}),
            ({"alert_lines.jpy": None, "alert_lines.usd": 5}, {"alert_lines": {"usd": 5}}),
            (
                {"billing_reasons.subscription_update": True},
                {"billing_reasons": ["subscription_cycle", "subscription_update"]},
            ),
            ({"billing_reasons.subscription_cycle": False}, {"billing_reasons": []}),
        ],
    )
    def test_one_decision_leaves_the_others_of_its_field(self, wanted: Any, changes: dict[str, Any]) -> None:
        assert changes_of(POLICY, wanted) == changes

    def test_only_what_differs_is_told_from_what_to_what(self) -> None:
        after = parse_policy({"grace_hours": {"technical": 24}, "high_value_lines": {"usd": 50_000, "eur": 7}})
        assert differences(POLICY, after) == {
            "alert_lines.jpy": {"from": 90_000, "to": None},
            "grace_hours.funds": {"from": 48, "to": 0},
            "high_value_lines.eur": {"from": NEVER, "to": 7},
            "own_retries": {"from": "off", "to": "after_stripe"},
        }
        assert differences(POLICY, POLICY) == {}


class TestMoved:
    @pytest.mark.parametrize(
        ("seen", "wanted", "found"),
        [
            (72, 24, {}),
            (48, 72, {}),  # both want the same
            (48, 24, {"cooldown_hours": 72}),
        ],
    )
    def test_what_is_neither_as_seen_nor_as_wanted_has_moved(self, seen: int, wanted: int, found: Any) -> None:
        assert moved(RecoveryPolicy(), [Edit("cooldown_hours", seen, wanted)]) == found
