"""The rules as they are typed: what is read, and the sentence beside what is not."""

import pytest

from services.merchants import policy_form
from services.merchants.policies import RecoveryPolicy, parse_policy
from services.merchants.policy_fields import NEVER, changes_of, differences, value_of

GROUPS = ("technical", "funds")
ASKED = policy_form.names(GROUPS, ("usd", "jpy", "kwd"))
POLICY = parse_policy({"high_value_lines": {"usd": 123450, "jpy": None}, "alert_lines": {"kwd": 3250}, "sms": True})


def read(**typed: str) -> policy_form.Read:
    """The form as it stands, with these fields typed over; `__` is the point of a name."""
    texts = policy_form.typed(POLICY, ASKED)
    return policy_form.read({**texts, **{name.replace("__", "."): text for name, text in typed.items()}}, ASKED)


class TestUntouched:
    def test_is_read_as_it_is(self) -> None:
        found = read()
        assert found.problems == {}
        assert found.values == {name: value_of(POLICY, name) for name in ASKED}

    def test_amounts_stand_in_the_unit_people_speak_of(self) -> None:
        texts = policy_form.typed(POLICY, ASKED)
        assert [texts[name] for name in ("high_value_lines.usd", "high_value_lines.jpy", "alert_lines.kwd")] == [
            "1234.50", NEVER, "3.250",
        ]  # fmt: skip

    def test_every_decision_of_a_policy_but_the_switch_is_asked_for(self) -> None:
        """A field that is new in the policy is on screen, or left out on purpose here."""
        asked = {name.partition(".")[0] for name in ASKED}
        assert set(RecoveryPolicy.model_fields) - asked == {"paused", "going_since"}


class TestBounds:
    @pytest.mark.parametrize("name", [*policy_form.NUMBERS])
    def test_are_those_of_the_policy(self, name: str) -> None:
        least, most = policy_form.bounds(name)
        for beyond in (least - 1, most + 1):
            if beyond >= 0:
                assert read(**{name: str(beyond)}).problems[name] == f"A whole number from {least} to {most}."
        assert name not in read(**{name: str(least)}).problems or name == policy_form.QUIET_FROM

    @pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "673", "٣", "9" * 50, "1e2", "0x10"])
    def test_what_is_no_whole_number_is_refused(self, text: str) -> None:
        assert read(grace_hours__funds=text).problems == {"grace_hours.funds": "A whole number from 0 to 672."}

    def test_the_last_hour_comes_after_the_first(self) -> None:
        assert read(quiet_until_hour="9", quiet_from_hour="9").problems == {
            "quiet_from_hour": "The last hour must come after the first."
        }

    def test_something_must_count(self) -> None:
        assert "at least one" in next(iter(read(billing_reasons__subscription_cycle="").problems.values()))

    def test_an_unknown_choice_is_refused(self) -> None:
        assert read(own_retries="always").problems == {"own_retries": "Choose one of these."}


class TestAmounts:
    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("alert_lines__usd", "500", 50_000),
            ("alert_lines__jpy", "500", 500),
            ("alert_lines__kwd", "500", 500_000),
            ("alert_lines__kwd", "", None),
            ("high_value_lines__usd", "", None),
            ("high_value_lines__usd", "never", NEVER),
        ],
    )
    def test_are_read_exactly(self, name: str, text: str, value: object) -> None:
        assert read(**{name: text}).values[name.replace("__", ".")] == value

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("alert_lines__usd", "0", "More than 0. Leave it empty for none."),
            ("high_value_lines__usd", "0.00", "More than 0. Leave it empty for the usual one."),
            ("alert_lines__usd", "never", "Write the amount like 1234.50."),
            ("alert_lines__jpy", "1.5", "JPY has no decimals."),
            ("alert_lines__kwd", "1,234", "Write the amount like 1234.500."),
        ],
    )
    def test_say_what_is_wrong(self, name: str, text: str, why: str) -> None:
        assert read(**{name: text}).problems == {name.replace("__", "."): why}


class TestWhole:
    def test_an_empty_form_is_refused_field_by_field(self) -> None:
        found = policy_form.read({}, ASKED)
        assert {"cooldown_hours", "grace_hours.funds", "own_retries"} <= set(found.problems)

    def test_a_policy_made_of_its_own_texts_is_the_same(self) -> None:
        again = parse_policy(POLICY.model_dump(mode="json") | changes_of(POLICY, read().values))
        assert differences(POLICY, again) == {}
