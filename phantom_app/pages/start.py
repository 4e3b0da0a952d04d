"""Start: what PHANTOM is."""

import reflex as rx
from phantom_app import routes
from phantom_app.pages.page import Page
from phantom_app.state.shell import Shell


def start() -> rx.Component:
    return rx.el.main(rx.el.h1("PHANTOM"), rx.el.p(Shell.problem))


PAGE = Page(routes.START, "PHANTOM", start)
