"""Parts of the pages before the sign-in: the bar above, and the ways in."""

from typing import Any

import reflex as rx

from phantom_app import routes
from phantom_app.components.forms import posted_form
from phantom_app.components.icons import wordmark
from phantom_app.components.parts import leaving, link
from phantom_app.components.shell import skip_link, theme_switch
from phantom_app.state.shell import Shell


def demo_button(class_name: str = "button large") -> rx.Component:
    """Into the demo account with one click; a form, because it opens a session. Where there is one."""
    return rx.cond(
        Shell.demo,
        posted_form(
            rx.el.button("Open the demo", type="submit", class_name=class_name, data_testid="open-demo"),
            to=routes.AUTH_DEMO,
        ),
    )


def connect_button(class_name: str = "button primary large") -> rx.Component:
    """Leaves for Stripe's consent page: a real navigation, not a route of the application."""
    return leaving("Connect Stripe", to=routes.CONNECT_STRIPE, class_name=class_name, data_testid="connect-stripe")


def public_frame(*children: Any, class_name: str = "") -> rx.Component:
    return rx.el.div(
        skip_link(),
        rx.el.header(
            link(wordmark(), to=routes.START, aria_label="PHANTOM, start"),
            rx.el.nav(
                theme_switch(),
                rx.cond(
                    Shell.signed_in,
                    link("Dashboard", to=routes.DASHBOARD, class_name="button"),
                    link("Sign in", to=routes.SIGN_IN, class_name="button", data_testid="sign-in-link"),
                ),
                class_name="controls",
                aria_label="Main",
            ),
            class_name="public-bar",
        ),
        rx.el.main(*children, id="content", tab_index=-1, class_name=f"public {class_name}".strip()),
        class_name="public-page",
    )
