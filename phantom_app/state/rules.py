"""The merchant's rules as a form: what stands in it, what is wrong with what was typed, and what came of saving it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import reflex as rx
from sqlmodel import Session

from phantom_app import live, runtime
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, change_as_tenant
from services.analytics import service as analytics
from services.identity.permissions import Permission
from services.merchants import policy_form
from services.merchants import service as merchants
from services.merchants.policies import InvalidPolicyError, OwnRetries, RecoveryPolicy
from services.merchants.policy_fields import (
    ALERT,
    GRACE,
    HIGH_VALUE,
    NEVER,
    REASONS,
    Edit,
    PolicyMovedError,
    Value,
    value_of,
)
from services.merchants.usual_lines import usual_line
from services.recovery.plans import rules

# What is chased is written to after a while; the other groups get no message that could wait.
GROUPS = {group: name for group, name in words.GROUPS.items() if group not in ("customer_stopped", "not_a_failure")}
REASONS_FOUND = {
    "subscription_cycle": "Renewals",
    "subscription_update": "Changes of plan in the middle of a period",
    "subscription_threshold": "Usage that reached a threshold",
}
RETRIES: dict[str, tuple[str, str]] = {
    OwnRetries.AFTER_STRIPE: (
        "After Stripe",
        "PHANTOM waits until Stripe's own schedule is over, then tries a few more times, some days apart.",
    ),
    OwnRetries.WITH_STRIPE: (
        "Between Stripe's attempts",
        "PHANTOM also tries between Stripe's attempts, never within a day of one.",
    ),
    OwnRetries.OFF: ("Never", "PHANTOM charges only a new card that a customer has added."),
}
LABELS = {
    **{f"{GRACE}.{group}": name for group, name in GROUPS.items()},
    "cooldown_hours": "Hours between two messages",
    "messages_per_ghost": "Messages about one invoice",
    "messages_per_customer_week": "Messages to a customer in a week",
    "window_days": "Days until PHANTOM stops asking",
    policy_form.QUIET_UNTIL: "From",
    policy_form.QUIET_FROM: "Until",
    "quiet_first_message": "The first mail keeps to these hours too",
    "sms": "Text messages",
    "protection_mails": "A mail before a charge that is at risk",
    "polite_note": "One polite note to customers who stopped paying through their bank",
    "unpaid_has_access": "Customers keep access while a subscription is unpaid",
    policy_form.RETRIES: "Charging again",
    **{f"{REASONS}.{reason}": name for reason, name in REASONS_FOUND.items()},
}
FIXED = policy_form.names(GROUPS, ())
"""Every field but the amounts, of which there are two in each currency."""
SAME = "Nothing to save: everything is as it was."
CLASH = "Not saved: it does not go together with what somebody else has changed meanwhile. Load the page again."


@dataclass(frozen=True)
class LineRow:
    """The amounts of one currency. `usual` is the line above which a person decides where none is typed, if any."""

    code: str
    name: str
    usual: str
    high: str
    never: bool
    alert: str
    high_wrong: str = ""
    alert_wrong: str = ""


def line_row(code: str, texts: Mapping[str, str], problems: Mapping[str, str]) -> LineRow:
    high, alert = f"{HIGH_VALUE}.{code}", f"{ALERT}.{code}"
    never = texts.get(high) == NEVER
    usual = usual_line(code)
    return LineRow(
        code=code,
        name=formats.currency(code),
        usual="No line" if usual is None else formats.money(usual, code),
        high="" if never else texts.get(high, ""),
        never=never,
        alert=texts.get(alert, ""),
        high_wrong=problems.get(high, ""),
        alert_wrong=problems.get(alert, ""),
    )


def given(form: Mapping[str, Any], currencies: list[str]) -> dict[str, Any]:
    """The form as it is read: the switch beside an amount stands for the amount."""
    never = {f"{HIGH_VALUE}.{code}": NEVER for code in currencies if form.get(f"{NEVER}.{code}") == "on"}
    return {**form, **never}


def in_words(name: str, value: Value) -> str:
    """What a decision is now, for somebody who wanted another."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == policy_form.RETRIES:
        return f"“{RETRIES[str(value)][0]}”"
    return policy_form.as_text(name, value) or "nothing"


def label_of(name: str) -> str:
    place, _, code = name.partition(".")
    return LABELS.get(name) or f"{'Warning' if place == ALERT else 'A person decides'} in {code.upper()}"


def look(session: Session, merchant_id: str) -> tuple[RecoveryPolicy, tuple[str, ...]]:
    """The rules, and the currencies they are about."""
    policy = merchants.get_policy(session, merchant_id)
    known = {*analytics.currencies_of(session, merchant_id), *policy.high_value_lines, *policy.alert_lines}
    return policy, tuple(sorted(known))


class Rules(rx.State):
    """What is set now, and what was wrong with what was tried."""

    loaded: bool = False
    may_edit: bool = False
    busy: bool = False
    fields: dict[str, str] = dict.fromkeys(FIXED, "")
    problems: dict[str, str] = dict.fromkeys(FIXED, "")
    lines: list[LineRow] = []
    note: str = ""
    wrong: str = ""
    edited: int = 0
    """Counts what was loaded into the fields, so that the browser draws them anew."""
    _currencies: list[str] = []
    _seen: dict[str, Any] = {}  # each decision as this person saw it last

    def _asked(self) -> tuple[str, ...]:
        return (*FIXED, *policy_form.lines(self._currencies))

    def _take(self, policy: RecoveryPolicy, known: tuple[str, ...]) -> None:
        """Fill the form anew, with a row for each currency the merchant has and those the person has added."""
        added = [code for code in self._currencies if code not in known]
        self._currencies = [*known, *added]
        texts = policy_form.typed(policy, self._asked())
        self._seen = {name: value_of(policy, name) for name in self._asked()}
        self.fields = {name: texts[name] for name in FIXED}
        self._mark({}, texts)
        self.may_edit = Permission.SETTINGS_MANAGE in principal().permissions
        self.edited += 1
        self.loaded = True

    def _mark(self, problems: Mapping[str, str], texts: Mapping[str, Any]) -> None:
        self.problems = {name: problems.get(name, "") for name in FIXED}
        self.lines = [line_row(code, texts, problems) for code in self._currencies]
        self.wrong = f"Not saved: look at {', '.join(map(label_of, problems))}." if problems else ""
        self.note = ""

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        live.forget(runtime.tab_token(self))
        self.busy, self._currencies = False, []
        self._take(*await as_tenant(look))

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    def add_currency(self, code: str) -> None:
        """One more row of amounts; what was typed in the others stays in the browser."""
        if code in formats.CURRENCIES and code not in self._currencies:
            self._currencies = [*self._currencies, code]
            self._seen = {**self._seen, **dict.fromkeys(policy_form.lines([code]))}
            self.lines = [*self.lines, line_row(code, {}, {})]

    @rx.event(background=True)
    @allow(Permission.SETTINGS_MANAGE)
    async def save(self, form: dict[str, Any]) -> None:
        """Keep what was changed and nothing else, or say by field what is wrong and keep nothing.

        In the background, because thousands of ghosts may have to be planned anew.
        """
        async with self:
            edits = [] if self.busy else self._edits(form)
            self.busy = self.busy or bool(edits)
        if not edits:
            return
        try:
            await self._keep(edits)
        finally:
            async with self:
                self.busy = False

    def _edits(self, form: Mapping[str, Any]) -> list[Edit]:
        """What differs from what was seen; says so where that is nothing, or cannot be read."""
        if not self._seen:  # what this tab knew is gone
            self.wrong = "Not saved: this page has grown old. Load it again."
            return []
        texts = given(form, self._currencies)
        found = policy_form.read(texts, self._asked())
        self._mark(found.problems, texts)
        if found.problems:
            return []
        seen = self._seen
        edits = [Edit(name, seen[name], value) for name, value in found.values.items() if value != seen[name]]
        self.note = "" if edits else SAME
        return edits

    async def _keep(self, edits: list[Edit]) -> None:
        actor = principal().user_id
        try:
            number = await change_as_tenant(lambda s, m: rules.change(s, m, edits, actor_id=actor))
        except PolicyMovedError as error:
            async with self:
                self._show_moved(error.present)
        except InvalidPolicyError:
            async with self:
                self.wrong = CLASH
        else:
            found = await as_tenant(look)
            async with self:
                self._take(*found)
                follow = "open ghost follows" if number == 1 else "open ghosts follow"
                self.note = f"Saved. {formats.count(number)} {follow} the new rules." if number else "Saved."

    def _show_moved(self, present: Mapping[str, Value]) -> None:
        """What was typed stays; who saves again does it knowing what the other person has set."""
        self._seen = {**self._seen, **present}
        said = {
            name: f"Somebody else has just set this to {in_words(name, value)}. Save again to have it your way."
            for name, value in present.items()
        }
        self.problems = {name: said.get(name, "") for name in FIXED}
        self.lines = [
            replace(
                row,
                high_wrong=said.get(f"{HIGH_VALUE}.{row.code}", ""),
                alert_wrong=said.get(f"{ALERT}.{row.code}", ""),
            )
            for row in self.lines
        ]
        self.wrong = "Nothing was saved: somebody else has changed what is marked."
