"""Settings, consents: who agreed to be written to, since when and how it is known."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.consents import consents_list, import_panel, search
from phantom_app.components.parts import empty, link, page_head, skeletons
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.consents import Consents
from phantom_app.state.shell import Shell


def consents() -> rx.Component:
    return framed(
        routes.SETTINGS,
        page_head(
            "Consents",
            rx.fragment(
                link("Settings", to=routes.SETTINGS, class_name="text-link"),
                ": who agreed to be written to, since when, and how it is known",
            ),
        ),
        rx.cond(
            Consents.loaded,
            rx.cond(
                Consents.may_read,
                rx.fragment(search(), consents_list(), import_panel()),
                empty(
                    "Consents are not shown to your role", "Ask an owner or admin of this account for the member role."
                ),
            ),
            skeletons(8, "24px"),
        ),
    )


PAGE = Page(routes.CONSENTS, "Consents – PHANTOM", consents, on_load=[Shell.enter, Consents.load])
