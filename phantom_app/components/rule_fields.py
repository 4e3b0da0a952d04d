"""One rule as a field: its name, its control, what it means, and where it is wrong, why."""

from typing import Any

import reflex as rx

from phantom_app.state.rules import LABELS, Rules

_HOURS = {hour: f"{hour:02}:00" for hour in range(25)}


def wrong(name: str) -> rx.Component:
    """What is wrong with it, where something is."""
    problem = Rules.problems[name]
    return rx.cond(
        problem != "",
        rx.el.p(problem, role="alert", class_name="small wrong", id=_id(name, "wrong"), data_testid=f"wrong-{name}"),
    )


def _id(name: str, part: str = "") -> str:
    return f"rule-{name.replace('.', '-').replace('_', '-')}{'-' + part if part else ''}"


def _common(name: str) -> dict[str, Any]:
    """Uncontrolled, and drawn anew when the rules are loaded."""
    return {
        "id": _id(name),
        "name": name,
        "key": f"{name}-{Rules.edited}",
        "disabled": ~Rules.may_edit,
        "data_testid": f"rule-{name}",
    }


def _field(name: str, control: rx.Component, under: str = "") -> rx.Component:
    return rx.el.div(
        rx.el.label(LABELS[name], html_for=_id(name)),
        control,
        rx.el.p(under, class_name="faint tiny", id=_id(name, "help")) if under else rx.fragment(),
        wrong(name),
        class_name="field",
    )


def number(name: str, under: str = "") -> rx.Component:
    """A whole number; `under` is what it means."""
    control = rx.el.input(
        **_common(name),
        default_value=Rules.fields[name],
        input_mode="numeric",
        auto_complete="off",
        aria_describedby=f"{_id(name, 'help')} {_id(name, 'wrong')}",
        aria_invalid=rx.cond(Rules.problems[name] != "", "true", "false"),
        class_name="input short number",
    )
    return _field(name, control, under)


def hour(name: str, first: int, last: int) -> rx.Component:
    """An hour of the day, one of those from first to last."""
    options = [rx.el.option(_HOURS[each], value=str(each)) for each in range(first, last + 1)]
    control = rx.el.select(
        *options,
        **_common(name),
        default_value=Rules.fields[name],
        aria_describedby=_id(name, "wrong"),
        class_name="select number",
    )
    return _field(name, control)


def switch(name: str, under: str = "") -> rx.Component:
    """On or off."""
    return rx.el.div(
        rx.el.label(
            rx.el.input(
                **_common(name),
                type="checkbox",
                default_checked=Rules.fields[name] == "on",
                aria_describedby=f"{_id(name, 'help')} {_id(name, 'wrong')}",
            ),
            rx.el.span(LABELS[name]),
            class_name="tick small",
        ),
        rx.el.p(under, class_name="faint tiny tick-help", id=_id(name, "help")) if under else rx.fragment(),
        wrong(name),
    )


def group(label: str, *children: rx.Component) -> rx.Component:
    """Several fields of one rule."""
    return rx.el.fieldset(rx.el.legend(label, class_name="field-label"), *children, class_name="rule-group")
