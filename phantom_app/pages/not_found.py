"""What stands at an address that is none of ours: calm, and with a way home."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import link
from phantom_app.components.public import public_frame
from phantom_app.pages.page import Page
from phantom_app.state.shell import Shell


def not_found() -> rx.Component:
    return public_frame(
        rx.el.h1("There is nothing here"),
        rx.el.p("The address may be mistyped, or what it led to is gone. Nothing is lost.", class_name="soft"),
        rx.el.div(
            rx.cond(
                Shell.signed_in,
                link("To your dashboard", to=routes.DASHBOARD, class_name="button primary large", data_testid="home"),
                link("To the start", to=routes.START, class_name="button primary large", data_testid="home"),
            ),
            class_name="ways-in",
        ),
        class_name="narrow",
    )


PAGE = Page(routes.NOT_FOUND, "Nothing here – PHANTOM", not_found, on_load=Shell.visit)
