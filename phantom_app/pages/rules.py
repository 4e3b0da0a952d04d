"""Settings, rules: when customers are written to, how often, and what a person decides."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import link, page_head, skeletons
from phantom_app.components.rules_form import rules_form
from phantom_app.components.sending import messages_panel
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.rules import Rules
from phantom_app.state.sending import Sending
from phantom_app.state.shell import Shell


def rules() -> rx.Component:
    return framed(
        routes.SETTINGS,
        page_head(
            "Rules",
            rx.fragment(
                link("Settings", to=routes.SETTINGS, class_name="text-link"),
                ": when customers are written to, how often, and what a person decides",
            ),
        ),
        messages_panel(link("Preview", to=routes.DRY_RUN, class_name="button", data_testid="dry-run")),
        rx.cond(Rules.loaded, rules_form(), skeletons(8, "36px")),
    )


PAGE = Page(routes.RULES, "Rules – PHANTOM", rules, on_load=[Shell.enter, Sending.load, Rules.load])
