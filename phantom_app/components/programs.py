"""Keys of the merchant's own programs."""

import reflex as rx

from phantom_app.components.parts import calling, panel, question, skeletons
from phantom_app.state.programs import ERASE, SCOPES, KeyLine, Programs


def _key(line: KeyLine) -> rx.Component:
    asked = question(
        "Revoke it for good?",
        "Yes, revoke",
        calling(Programs.revoke, line.id),
        calling(Programs.ask, ""),
        label=f"Revoke {line.name}",
        test_id="revoke",
    )
    button = rx.el.button(
        "Revoke",
        on_click=calling(Programs.ask, line.id),
        class_name="button bare",
        type="button",
        aria_label=f"Revoke {line.name}",
        data_testid="revoke",
    )
    return rx.el.li(
        rx.el.p(line.name, " ", rx.el.span("…", line.hint, class_name="mono faint small")),
        rx.el.p("May ", line.may, " · made ", line.made, " · used ", line.used, class_name="faint tiny"),
        rx.cond(Programs.may_manage, rx.cond(Programs.asking == line.id, asked, button)),
        data_testid="api-key",
    )


def _tick(scope: str, words: str, *, ticked: bool = True) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=scope, default_checked=ticked),
        rx.el.span(f"May {words}"),
        class_name="tick small",
    )


def _new() -> rx.Component:
    return rx.el.form(
        rx.el.div(
            rx.el.label("Name", html_for="key-name"),
            rx.el.input(
                id="key-name",
                name="name",
                key=f"key-{Programs.edited}",
                auto_complete="off",
                max_length=80,
                class_name="input",
                data_testid="key-name",
            ),
            class_name="field",
        ),
        *[_tick(scope, words) for scope, words in SCOPES.items() if scope != ERASE],
        rx.cond(Programs.may_erase, _tick(ERASE, SCOPES[ERASE], ticked=False)),
        rx.el.button("Make a key", type="submit", class_name="button", data_testid="key-make"),
        on_submit=Programs.create,
        class_name="stack",
        no_validate=True,
    )


def programs_panel() -> rx.Component:
    """API keys: the list, a new one, and how to be rid of one."""
    return panel(
        "API keys",
        "For your own programs, at /api/v1",
        rx.cond(
            Programs.loaded,
            rx.el.div(
                rx.cond(
                    Programs.keys,
                    rx.el.ul(rx.foreach(Programs.keys, _key), class_name="stack", aria_label="API keys, newest first"),
                    rx.el.p("No program has a key yet.", class_name="soft small"),
                ),
                rx.cond(
                    Programs.shown != "",
                    rx.el.p(
                        Programs.shown,
                        class_name="mono small",
                        style={"overflow_wrap": "anywhere"},
                        data_testid="key-shown",
                    ),
                ),
                rx.el.p(Programs.note, role="status", class_name="small", data_testid="key-note"),
                rx.cond(
                    Programs.may_manage,
                    _new(),
                    rx.el.p("An owner or admin can change this.", class_name="faint small"),
                ),
                class_name="stack",
            ),
            skeletons(3),
        ),
        test_id="api-keys-panel",
    )
