"""The frame of every page behind the sign-in: navigation beside it, or above and below it on a phone."""

from typing import Any

import reflex as rx

from phantom_app import routes
from phantom_app.components.forms import posted_form
from phantom_app.components.icons import icon, wordmark
from phantom_app.components.parts import link, notice
from phantom_app.state.shell import Shell

_PLACES = (
    ("Dashboard", routes.DASHBOARD, "dashboard"),
    ("Recoveries", routes.RECOVERIES, "recoveries"),
    ("Tasks", routes.TASKS, "tasks"),
    ("System", routes.SYSTEM, "system"),
    ("Settings", routes.SETTINGS, "settings"),
)


def skip_link() -> rx.Component:
    return rx.el.a("Skip to content", href="#content", class_name="skip-link")


def theme_switch() -> rx.Component:
    """Light or dark; the system's choice until somebody makes one."""
    return rx.el.button(
        icon("theme"),
        on_click=rx.toggle_color_mode,
        class_name="button icon bare",
        aria_label="Switch between light and dark",
        title="Light or dark",
        type="button",
        data_testid="theme-switch",
    )


def _navigation(here: str, label: str) -> rx.Component:
    def place(text: str, path: str, symbol: str) -> rx.Component:
        marks = {"aria_current": "page"} if path == here else {}
        waiting = _waiting() if path == routes.TASKS else rx.fragment()
        return rx.el.li(link(icon(symbol), text, waiting, to=path, class_name="nav-link", **marks))

    return rx.el.nav(rx.el.ul(*[place(*each) for each in _PLACES], class_name="nav-list"), aria_label=label)


def _waiting() -> rx.Component:
    """How many tasks wait for a person."""
    return rx.cond(
        Shell.open_tasks > 0,
        rx.el.span(
            Shell.open_tasks,
            rx.el.span(" open", class_name="hidden-visually"),
            class_name="nav-count",
            data_testid="open-tasks",
        ),
    )


def _sign_out() -> rx.Component:
    """A form, because ending a session changes something and must be a full page load."""
    return posted_form(
        rx.el.button(
            icon("leave"),
            type="submit",
            class_name="button icon bare",
            aria_label="Sign out",
            title="Sign out",
            data_testid="sign-out",
        ),
        to=routes.AUTH_SIGN_OUT,
    )


def _sidebar(here: str) -> rx.Component:
    return rx.el.div(
        link(wordmark(), to=routes.DASHBOARD, aria_label="PHANTOM, dashboard"),
        _navigation(here, "Main"),
        rx.el.div(
            rx.el.div(
                rx.el.span(Shell.merchant, class_name="small", data_testid="merchant-name"),
                rx.el.span(Shell.email, class_name="faint tiny", data_testid="member-email"),
                class_name="who",
            ),
            rx.el.div(theme_switch(), _sign_out(), class_name="foot-row"),
            class_name="sidebar-foot",
        ),
        class_name="sidebar",
    )


def framed(here: str, *children: Any) -> rx.Component:
    """A page with its navigation; `here` is the path that is marked as current."""
    return rx.el.div(
        skip_link(),
        _sidebar(here),
        rx.el.div(
            link(wordmark(), to=routes.DASHBOARD, aria_label="PHANTOM, dashboard"),
            rx.el.div(theme_switch(), _sign_out(), class_name="controls"),
            class_name="topbar",
        ),
        rx.el.main(
            rx.el.div(
                rx.cond(Shell.problem != "", notice(Shell.problem, Shell.dismiss_problem)),
                *children,
                class_name="page-inner",
            ),
            class_name="page",
            id="content",
            tab_index=-1,
        ),
        rx.el.div(_navigation(here, "Main, below"), class_name="tabbar"),
        class_name="shell",
    )
