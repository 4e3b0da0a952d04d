"""What a socket may do with the rules: who may change them, what is refused, and two people at the same time."""

from typing import Any

import pytest
from sqlalchemy import update

from core import db
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.rules import CLASH, FIXED, LABELS, SAME, Rules, given, in_words, label_of, line_row, look
from services.merchants import policy_form
from services.merchants import service as merchants
from services.merchants.policies import RecoveryPolicy
from services.merchants.policy_fields import Edit
from services.recovery.plans import rules
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_served import answered

SAVE, ADD = (runtime.handler_name(each) for each in (Rules.save, Rules.add_currency))


def policy(person: Person) -> RecoveryPolicy:
    with db.tenant_session(person.merchant_id) as session:
        return merchants.get_policy(session, person.merchant_id)


def form(person: Person, **typed: str) -> dict[str, Any]:
    """What the browser posts: all fields as they stand, with these typed over; `__` is the point of a name."""
    with db.tenant_session(person.merchant_id) as session:
        found, known = look(session, person.merchant_id)
    texts = policy_form.typed(found, (*FIXED, *policy_form.lines(known)))
    return {**texts, **{name.replace("__", "."): text for name, text in typed.items()}}


async def opened(tab: Tab) -> None:
    """The page as its own loading fills it; a second load could come after what a test does next."""
    await tab.load()
    await tab.until(lambda: "US Dollar" in tab.heard())


class TestSocket:
    async def test_what_is_typed_is_kept(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            await tab.call(SAVE, form=form(ada, cooldown_hours="48", sms="on", alert_lines__usd="1,500.50"))
            await tab.until(lambda: "Saved." in tab.heard())
        found = policy(ada)
        assert (found.cooldown_hours, found.sms, found.alert_lines) == (48, True, {"usd": 150_050})

    async def test_a_currency_is_added_and_its_amounts_are_its_own(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            await tab.call(ADD, code="kwd")
            await tab.call(ADD, code="jpy")
            await tab.call(ADD, code="../x")
            await tab.until(lambda: "Kuwaiti Dinar" in tab.heard() and "Japanese Yen" in tab.heard())
            typed = form(ada, high_value_lines__kwd="3.25", alert_lines__jpy="9,000", never__jpy="on")
            await tab.call(SAVE, form=typed)
            await tab.until(lambda: "Saved." in tab.heard())
        assert (policy(ada).high_value_lines, policy(ada).alert_lines) == ({"kwd": 3250, "jpy": None}, {"jpy": 9000})

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ({"cooldown_hours": "0"}, "A whole number from 1 to 672."),
            ({"alert_lines__usd": "1.234,5"}, "Write the amount like 1234.50."),
            ({"quiet_from_hour": "8"}, "The last hour must come after the first."),
            ({}, SAME),
        ],
    )
    async def test_what_is_wrong_is_said_and_nothing_kept(
        self, served: Served, ada: Person, typed: dict[str, str], said: str
    ) -> None:
        before = policy(ada)
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            await tab.call(SAVE, form=form(ada, window_days="14", **typed) if typed else form(ada))
            await tab.until(lambda: said in tab.heard())
        assert policy(ada) == before

    async def test_somebody_elses_change_is_not_undone(self, served: Served, ada: Person) -> None:
        """Two fields of one dict, and one that only the other person touched, changed while this page was open."""
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            mine = form(ada, grace_hours__funds="24")
            theirs(ada, Edit("grace_hours.card_data", 0, 12), Edit("cooldown_hours", 72, 96))
            await tab.call(SAVE, form=mine)
            await tab.until(lambda: "Saved." in tab.heard())
        found = policy(ada)
        assert (found.grace_hours, found.cooldown_hours) == ({"technical": 24, "card_data": 12, "funds": 24}, 96)

    async def test_the_same_field_is_kept_by_who_saves_again_knowing(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            mine = form(ada, cooldown_hours="24", window_days="14")
            theirs(ada, Edit("cooldown_hours", 72, 96))
            await tab.call(SAVE, form=mine)
            await tab.until(lambda: "Somebody else has just set this to 96. Save again" in tab.heard())
            assert (policy(ada).cooldown_hours, policy(ada).window_days) == (96, 28)
            await tab.call(SAVE, form=mine)
            await tab.until(lambda: "Saved." in tab.heard())
        assert (policy(ada).cooldown_hours, policy(ada).window_days) == (24, 14)

    async def test_what_goes_together_with_nothing_any_more_is_refused(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            mine = form(ada, quiet_until_hour="20")
            theirs(ada, Edit("quiet_from_hour", 21, 18))
            await tab.call(SAVE, form=mine)
            await tab.until(lambda: CLASH in tab.heard())
        assert policy(ada).quiet_until_hour == 8

    @pytest.mark.parametrize("role", [Role.MEMBER, Role.ANALYST])
    async def test_a_role_without_the_permission_sees_and_changes_nothing(
        self, served: Served, ada: Person, role: Role
    ) -> None:
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=role))
        before = policy(ada)
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            await tab.call(ADD, code="kwd")
            await tab.call(SAVE, form=form(ada, cooldown_hours="48"))
            await answered(tab)
            assert "Kuwaiti" not in tab.heard()
        assert policy(ada) == before

    async def test_a_page_that_never_loaded_saves_nothing(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await tab.call(SAVE, form=form(ada, cooldown_hours="48"))
            await tab.until(lambda: "has grown old" in tab.heard())
        assert policy(ada).cooldown_hours == 72

    async def test_another_merchants_rules_stay_theirs(self, served: Served, ada: Person) -> None:
        other = sign_up("Borealis")
        async with Tab(served.url, ada.cookie, path="/settings/rules") as tab:
            await opened(tab)
            await tab.call(SAVE, form={**form(ada, cooldown_hours="48"), "merchant_id": other.merchant_id})
            await tab.until(lambda: "Saved." in tab.heard())
        assert (policy(ada).cooldown_hours, policy(other).cooldown_hours) == (48, 72)


def theirs(person: Person, *edits: Edit) -> None:
    with db.tenant_session(person.merchant_id) as session:
        rules.change(session, person.merchant_id, edits, actor_id="usr_other")


class TestWords:
    def test_every_field_has_a_name(self) -> None:
        assert set(FIXED) <= set(LABELS)
        assert label_of("alert_lines.usd") == "Warning in USD"

    def test_a_decision_in_words(self) -> None:
        assert [in_words(*each) for each in (("sms", True), ("own_retries", "off"), ("alert_lines.kwd", 3250))] == [
            "on", "“Never”", "3.250",
        ]  # fmt: skip
        assert in_words("alert_lines.usd", None) == "nothing"

    def test_a_row_shows_the_usual_line_where_none_is_set(self) -> None:
        row = line_row("jpy", {"high_value_lines.jpy": "never"}, {})
        assert (row.usual, row.high, row.never) == ("¥150,000", "", True)
        assert line_row("xbt", {}, {}).usual == "No line"  # no currency of Stripe's: nobody knows what much is

    def test_a_switch_beside_an_amount_stands_for_it(self) -> None:
        assert given({"high_value_lines.usd": "5", "never.usd": "on"}, ["usd"])["high_value_lines.usd"] == "never"


pytestmark = pytest.mark.usefixtures("database")
