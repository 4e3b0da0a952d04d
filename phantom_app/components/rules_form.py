"""The merchant's rules as a form: each field with what it means and, where it is wrong, why."""

from typing import Any

import reflex as rx

from phantom_app.components import rule_fields as fields
from phantom_app.components.parts import calling, panel
from phantom_app.state.formats import CURRENCIES
from phantom_app.state.rules import GROUPS, REASONS_FOUND, RETRIES, LineRow, Rules


def _first() -> rx.Component:
    return panel(
        "The first message",
        "How many hours after the charge failed",
        rx.el.div(
            rx.el.p(
                "0 is at once: the sooner a customer knows, the likelier they pay. A technical fault often passes by "
                "itself within a day.",
                class_name="soft small",
            ),
            rx.el.div(*[fields.number(f"grace_hours.{group}") for group in GROUPS], class_name="rule-grid"),
            class_name="stack",
        ),
        test_id="first-panel",
    )


def _pace() -> rx.Component:
    return panel(
        "How often",
        "And when PHANTOM leaves people alone",
        rx.el.div(
            fields.number("cooldown_hours", "72 are three days."),
            fields.number("messages_per_ghost", "Never more than 3."),
            fields.number("messages_per_customer_week", "About all of a customer's invoices together."),
            fields.number("window_days", "After that nobody is asked any more. A payment still counts."),
            class_name="rule-grid",
        ),
        test_id="pace-panel",
    )


def _day() -> rx.Component:
    return panel(
        "Time of day",
        "Where the customer is",
        rx.el.div(
            rx.el.p(
                "Messages go out between these hours, at the one in which people pay most. The first mail goes at "
                "once, unless you say otherwise; text messages always keep to these hours, and to 8 to 21 o'clock.",
                class_name="soft small",
            ),
            rx.el.div(
                fields.hour("quiet_until_hour", 0, 23), fields.hour("quiet_from_hour", 1, 24), class_name="rule-grid"
            ),
            fields.switch("quiet_first_message"),
            class_name="stack",
        ),
        test_id="day-panel",
    )


def _reach() -> rx.Component:
    return panel(
        "What counts, and who hears of it",
        "Which charges are found, and which messages exist at all",
        rx.el.div(
            fields.group(
                "Failed charges for", *[fields.switch(f"billing_reasons.{reason}") for reason in REASONS_FOUND]
            ),
            rx.el.div(
                fields.switch(
                    "unpaid_has_access", "Off: where Stripe calls it unpaid, there is no access left to lose."
                ),
                fields.switch("sms", "Where a mail cannot go, to customers who agreed to texts."),
                fields.switch("protection_mails", "Off: banks and card networks renew most cards by themselves."),
                fields.switch("polite_note", "Nothing follows it, whatever they do."),
                class_name="rule-switches",
            ),
            class_name="stack",
        ),
        test_id="reach-panel",
    )


def _retries() -> rx.Component:
    def choice(code: str, name: str, about: str) -> rx.Component:
        chosen = rx.el.input(
            name="own_retries",
            type="radio",
            value=code,
            key=f"own-retries-{code}-{Rules.edited}",
            default_checked=Rules.fields["own_retries"] == code,
            disabled=~Rules.may_edit,
            data_testid=f"rule-own_retries-{code}",
        )
        return rx.el.label(
            chosen,
            rx.el.span(rx.el.span(name), rx.el.span(about, class_name="faint tiny tick-about")),
            class_name="tick small",
        )

    return panel(
        "Charging again",
        "When PHANTOM tries a card again that had no funds",
        rx.el.div(
            rx.el.fieldset(
                rx.el.legend("When PHANTOM charges again", class_name="hidden-visually"),
                *[choice(code, *words) for code, words in RETRIES.items()],
                class_name="rule-group",
            ),
            fields.wrong("own_retries"),
            rx.el.p(
                "Never a lost, stolen or blocked card, never against the bank's advice, never while the customer is "
                "paying, and never beyond what the card networks allow.",
                class_name="faint tiny",
            ),
            class_name="stack",
        ),
        test_id="own-retries-panel",
    )


def _amount(row: LineRow, line: str, label: str, value: Any, wrong: Any, placeholder: Any) -> rx.Component:
    """Its ids are the currency's: a row is drawn for whatever currencies there are."""
    named = f"rule-{line.replace('_', '-')}-" + row.code
    return rx.el.div(
        rx.el.label(label, html_for=named),
        rx.el.input(
            id=named,
            name=f"{line}." + row.code,
            key=f"{line}-{Rules.edited}",
            default_value=value,
            placeholder=placeholder,
            input_mode="decimal",
            auto_complete="off",
            disabled=~Rules.may_edit,
            aria_describedby=named + "-wrong",
            aria_invalid=rx.cond(wrong != "", "true", "false"),
            class_name="input short number",
            data_testid=f"rule-{line}.{row.code}",
        ),
        rx.cond(
            wrong != "",
            rx.el.p(
                wrong,
                role="alert",
                class_name="small wrong",
                id=named + "-wrong",
                data_testid=f"wrong-{line}.{row.code}",
            ),
        ),
        class_name="field",
    )


def _currency(row: LineRow) -> rx.Component:
    return rx.el.li(
        rx.el.h3(row.name, " ", rx.el.span(row.code.upper(), class_name="faint mono")),
        rx.el.div(
            rx.el.div(
                _amount(row, "high_value_lines", "A person decides above", row.high, row.high_wrong, row.usual),
                rx.el.label(
                    rx.el.input(
                        type="checkbox",
                        name="never." + row.code,
                        key=f"never-{Rules.edited}",
                        default_checked=row.never,
                        disabled=~Rules.may_edit,
                        data_testid=f"rule-never.{row.code}",
                    ),
                    rx.el.span("Never: PHANTOM writes whatever the amount"),
                    class_name="tick tiny soft",
                ),
                class_name="rule-pair",
            ),
            _amount(row, "alert_lines", "A coming charge is at risk above", row.alert, row.alert_wrong, "No line"),
            class_name="rule-grid",
        ),
        class_name="rule-currency",
        data_testid="currency",
    )


def _lines() -> rx.Component:
    return panel(
        "Large amounts",
        "The first line holds at once, the second from the next hunt on",
        rx.el.div(
            rx.el.p(
                "An invoice that is large waits for a person under Tasks; left empty, the line is the one shown in "
                "grey. A coming charge that is larger than you expect is shown as at risk before it is made.",
                class_name="soft small",
            ),
            rx.el.ul(rx.foreach(Rules.lines, _currency), class_name="stack"),
            rx.cond(
                Rules.may_edit,
                rx.el.select(
                    rx.el.option("Add a currency", value=""),
                    *[rx.el.option(f"{code.upper()} – {name}", value=code) for code, name in CURRENCIES.items()],
                    value="",
                    on_change=lambda code: calling(Rules.add_currency, code),
                    class_name="select",
                    aria_label="Add a currency",
                    data_testid="add-currency",
                ),
            ),
            class_name="stack",
        ),
        test_id="lines-panel",
    )


def _save() -> rx.Component:
    return rx.el.div(
        rx.cond(
            Rules.may_edit,
            rx.el.button(
                rx.cond(Rules.busy, "Saving and planning", "Save rules"),
                type="submit",
                disabled=Rules.busy,
                class_name="button primary",
                data_testid="save-rules",
            ),
            rx.el.p("An owner or admin can change this.", class_name="faint small", data_testid="rules-read-only"),
        ),
        rx.cond(
            Rules.wrong != "", rx.el.p(Rules.wrong, role="alert", class_name="small wrong", data_testid="rules-wrong")
        ),
        rx.el.p(Rules.note, role="status", class_name="small", data_testid="rules-note"),
        class_name="rule-save",
    )


def rules_form() -> rx.Component:
    """All of it under one button, so that what belongs together is kept together."""
    return rx.el.form(
        rx.el.div(
            rx.el.div(_first(), _pace(), _day(), class_name="stack"),
            rx.el.div(_reach(), _retries(), _lines(), class_name="stack"),
            class_name="columns even",
        ),
        _save(),
        on_submit=Rules.save,
        class_name="stack",
        no_validate=True,
    )
